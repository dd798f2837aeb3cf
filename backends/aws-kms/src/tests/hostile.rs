//! Answers that KMS would not give, but something in its place may.

use super::*;
use catalyst_signing::{KeyIntent, KeyLifecycle, Refusal, SignError};

/// An inherited intent, so that KMS is asked for its key.
fn inherited() -> KeyIntent {
    intent(Duration::from_secs(3600))
}

#[tokio::test]
async fn a_list_that_does_not_end_is_read_no_further() {
    let fake = Fake::start(|request| match request.operation.as_str() {
        "ListKeys" => Reply::json(200, &json!({ "Keys": [], "Truncated": true, "NextMarker": "again" })),
        _ => denied(&request.operation),
    })
    .await;
    let error = backend(config(&fake)).find(&inherited()).await.unwrap_err();
    assert!(matches!(error, SignError::Integrity { .. }), "{error}");
    assert_eq!(fake.take().len(), 2);
}

#[tokio::test]
async fn a_list_that_was_cut_short_is_not_taken_for_whole() {
    let key = json!({ "KeyId": ID, "KeyArn": arn(HOME) });
    for (keys, tags) in [
        (json!({ "Keys": [], "Truncated": true }), json!({ "Tags": [] })),
        (json!({ "Keys": [key], "Truncated": false }), json!({ "Tags": [], "Truncated": true })),
    ] {
        let fake = Fake::start(move |request| match request.operation.as_str() {
            "ListKeys" => Reply::json(200, &keys),
            "ListResourceTags" => Reply::json(200, &tags),
            _ => Reply::json(200, &json!({})),
        })
        .await;
        let error = backend(config(&fake)).create(&inherited()).await.unwrap_err();
        assert!(matches!(error, SignError::Integrity { .. }), "{error}");
        assert!(fake.take().iter().all(|request| request.operation != "CreateKey"));
    }
}

#[tokio::test]
async fn a_name_without_the_form_of_a_region_is_asked_nothing() {
    let fake = Fake::start(well).await;
    let backend = backend(config(&fake));
    for region in ["", "a/../b", "evil.example#", "user@evil.example", "EU-central-1", "{region}"] {
        let alias = format!("arn:aws:kms:{region}:111122223333:alias/ca");
        let error = backend.resolve(&alias, SignatureAlgorithm::EcP384).await.unwrap_err();
        assert!(
            matches!(&error, SignError::Refused { kind: Refusal::Configuration, .. }),
            "{region}: {error}"
        );
    }
    assert_eq!(fake.calls(), Vec::<String>::new());
}

/// Nothing was sent, so nothing was made: there is no key to be looked for.
#[tokio::test]
async fn a_creation_that_had_no_credentials_leaves_nothing_to_wait_for() {
    use crate::client::in_time;
    use aws_credential_types::provider::{ProvideCredentials, error::CredentialsError, future};
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    static THERE: AtomicBool = AtomicBool::new(false);

    #[derive(Debug)]
    struct Late;
    impl ProvideCredentials for Late {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            future::ProvideCredentials::ready(match THERE.load(Relaxed) {
                true => Ok(fixed("AKIDTESTWXYZ")),
                false => Err(CredentialsError::not_loaded("nowhere")),
            })
        }
    }
    fn load(config: AwsKmsConfig) -> Loading {
        Box::pin(async move {
            in_time(settings(&config).credentials_provider(Late).load().await, config.call_timeout)
        })
    }

    let fake = Fake::start(well).await;
    let settle = Duration::from_secs(300);
    let backend = AwsKmsBackend::over(Clients::loading(AwsKmsConfig { settle, ..config(&fake) }, load));
    let intent = intent(Duration::ZERO);
    let error = backend.create(&intent).await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("no AWS credentials"), "{error}");
    assert_eq!(fake.calls(), Vec::<String>::new());
    THERE.store(true, Relaxed);
    backend.create(&intent).await.unwrap_err();
    assert_eq!(fake.calls(), [format!("CreateKey {HOME}")]);
}
