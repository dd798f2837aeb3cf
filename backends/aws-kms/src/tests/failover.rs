//! A multi-Region key whose own Region is away.

use super::*;
use catalyst_signing::{SignError, TransientKind};
use tokio::time::sleep;

fn with_failover(fake: &Fake) -> AwsKmsConfig {
    AwsKmsConfig { failover_regions: vec![WEST.into(), NORTH.into()], ..config(fake) }
}

/// Home fails; elsewhere all is well.
fn home_fails(request: &Request) -> Reply {
    if request.region == HOME { error(500, "KMSInternalException", "try again") } else { well(request) }
}

#[tokio::test]
async fn the_attempt_after_a_failure_goes_to_the_next_region_and_returns() {
    let fake = Fake::start(home_fails).await;
    let key = open(with_failover(&fake)).await;
    let error = key.sign(b"message").await.unwrap_err();
    assert!(error.is_transient());
    assert_eq!(fake.calls(), [format!("Sign {HOME}")], "an attempt is at one Region");

    key.sign(b"message").await.unwrap();
    assert_eq!(fake.calls(), [format!("GetPublicKey {WEST}"), format!("Sign {WEST}")]);
    key.sign(b"message").await.unwrap();
    assert_eq!(fake.calls(), [format!("Sign {WEST}")], "the key is compared once");
    assert_eq!(key.elsewhere().as_deref(), Some(WEST));
    let caution = key.caution().unwrap();
    assert!(caution.starts_with("signs in eu-west-1 since 20"), "{caution}");
    assert!(caution.ends_with("Z: eu-central-1 does not answer"), "{caution}");

    fake.now(|request| match request.region.as_str() {
        HOME => denied(&request.operation),
        _ => well(request),
    });
    pass(Duration::from_secs(10)).await;
    while key.elsewhere().is_some() {
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(fake.calls(), [format!("GetPublicKey {HOME}")], "a denial is an answer");
    assert_eq!(key.caution(), None);
    fake.now(well);
    key.sign(b"message").await.unwrap();
    assert_eq!(fake.calls(), [format!("Sign {HOME}")]);
}

#[tokio::test]
async fn the_region_is_asked_until_it_answers_and_no_longer_than_the_key_is_open() {
    let fake = Fake::start(home_fails).await;
    let key = open(with_failover(&fake)).await;
    key.sign(b"message").await.unwrap_err();
    key.sign(b"message").await.unwrap();
    fake.take();
    for _ in 0..2 {
        pass(Duration::from_secs(10)).await;
        while fake.calls().is_empty() {
            sleep(Duration::from_millis(5)).await;
        }
        // The answer has to be heard before the next pause begins.
        sleep(Duration::from_millis(100)).await;
        assert_eq!(key.elsewhere().as_deref(), Some(WEST));
    }
    drop(key);
    pass(Duration::from_secs(60)).await;
    sleep(Duration::from_millis(100)).await;
    assert_eq!(fake.calls(), Vec::<String>::new());
}

#[tokio::test]
async fn a_wait_that_one_region_names_is_not_for_the_next() {
    let busy = |_: &Request| {
        Reply::with(503, "Retry-After: 7\r\n", r#"{"__type":"ServiceUnavailable","message":"later"}"#)
    };
    let fake = Fake::start(busy).await;
    let key = open(with_failover(&fake)).await;
    assert_eq!(key.sign(b"message").await.unwrap_err().retry_after(), None);
    let key = open(config(&fake)).await;
    assert_eq!(key.sign(b"message").await.unwrap_err().retry_after(), Some(Duration::from_secs(7)));
}

#[tokio::test]
async fn one_keys_bad_experience_spares_the_others_theirs() {
    let fake = Fake::start(home_fails).await;
    let backend = backend(with_failover(&fake));
    let pin = pin(SignatureAlgorithm::EcP384);
    let (one, other) = (backend.open(&pin).await.unwrap(), backend.open(&pin).await.unwrap());
    one.sign(b"message").await.unwrap_err();
    fake.take();
    other.sign(b"message").await.unwrap();
    assert!(fake.calls().iter().all(|call| call.ends_with(WEST)));
}

#[tokio::test]
async fn a_key_opens_while_its_region_is_away() {
    let fake = Fake::start(home_fails).await;
    let key = open(with_failover(&fake)).await;
    key.public_key().await.unwrap_err();
    assert_eq!(key.public_key().await.unwrap().unwrap(), b"the pinned key");
}

#[tokio::test]
async fn throttling_and_refusals_move_nothing() {
    for (code, message) in [("ThrottlingException", "Rate exceeded"), ("DisabledException", "disabled")] {
        let fake = Fake::start(move |request| match request.region.as_str() {
            HOME => error(400, code, message),
            _ => well(request),
        })
        .await;
        let key = open(with_failover(&fake)).await;
        for _ in 0..3 {
            key.sign(b"message").await.unwrap_err();
        }
        assert!(fake.calls().iter().all(|call| call.ends_with(HOME)));
        assert_eq!(key.elsewhere(), None);
    }
}

#[tokio::test]
async fn a_region_with_another_key_is_left_out() {
    let fake = Fake::start(|request| match (request.region.as_str(), request.operation.as_str()) {
        (WEST, "GetPublicKey") => {
            Reply::json(200, &json!({ "KeyId": arn(WEST), "PublicKey": "YW5vdGhlcg==" }))
        }
        _ => home_fails(request),
    })
    .await;
    let key = open(with_failover(&fake)).await;
    key.sign(b"message").await.unwrap_err();
    let error = key.sign(b"message").await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    key.sign(b"message").await.unwrap();
    assert_eq!(key.elsewhere().as_deref(), Some(NORTH));
    assert!(key.caution().unwrap().contains("another public key in eu-west-1"), "{:?}", key.caution());
    assert!(!fake.calls().contains(&format!("Sign {WEST}")));
}

#[tokio::test]
async fn a_region_without_the_key_is_asked_once_and_says_how_to_replicate() {
    let fake = Fake::start(|request| match request.region.as_str() {
        WEST => error(400, "NotFoundException", "Key does not exist"),
        _ => home_fails(request),
    })
    .await;
    let key = open(with_failover(&fake)).await;
    key.sign(b"message").await.unwrap_err();
    assert!(key.sign(b"message").await.unwrap_err().is_transient());
    for _ in 0..3 {
        key.sign(b"message").await.unwrap();
    }
    assert_eq!(fake.calls().iter().filter(|call| call.ends_with(WEST)).count(), 1);
    let caution = key.caution().unwrap();
    let advice =
        format!("aws kms replicate-key --key-id {} --replica-region {WEST} --region {HOME}", arn(HOME));
    assert!(caution.contains(&advice), "{caution}");
}

#[tokio::test]
async fn a_refusal_elsewhere_latches_nothing_and_an_operator_may_end_it() {
    let fake = Fake::start(|request| match request.region.as_str() {
        HOME => error(500, "KMSInternalException", "try again"),
        _ => denied(&request.operation),
    })
    .await;
    let backend = backend(with_failover(&fake));
    let key = backend.open(&pin(SignatureAlgorithm::EcP384)).await.unwrap();
    for _ in 0..5 {
        let error = key.sign(b"message").await.unwrap_err();
        assert!(matches!(&error, SignError::Transient { kind: TransientKind::Unavailable, .. }), "{error}");
    }
    let signed = |region| format!("Sign {region}");
    let calls: Vec<String> = fake.calls().into_iter().filter(|call| call.starts_with("Sign")).collect();
    assert_eq!(calls, [signed(HOME), signed(WEST), signed(NORTH), signed(HOME), signed(HOME)]);
    assert!(key.caution().unwrap().contains("allow kms:Sign"));

    backend.retry();
    fake.now(home_fails);
    key.sign(b"message").await.unwrap_err();
    key.sign(b"message").await.unwrap();
    assert_eq!(key.elsewhere().as_deref(), Some(WEST));
    assert!(!key.caution().unwrap().contains("in eu-west-1 while"));
}

#[tokio::test]
async fn a_failing_replica_rests_while_the_next_one_signs() {
    let fake = Fake::start(|request| match request.region.as_str() {
        NORTH => well(request),
        _ => error(500, "KMSInternalException", "try again"),
    })
    .await;
    let key = open(with_failover(&fake)).await;
    key.sign(b"message").await.unwrap_err();
    key.sign(b"message").await.unwrap_err();
    key.sign(b"message").await.unwrap();
    assert_eq!(key.elsewhere().as_deref(), Some(NORTH));
}

#[tokio::test]
async fn a_signature_that_does_not_verify_moves_the_key_on() {
    let fake = Fake::start(home_fails).await;
    let key = open(with_failover(&fake)).await;
    key.sign(b"message").await.unwrap_err();
    key.sign(b"message").await.unwrap();
    assert_eq!(key.elsewhere().as_deref(), Some(WEST));
    key.doubt();
    key.sign(b"message").await.unwrap();
    assert_eq!(key.elsewhere().as_deref(), Some(NORTH));
}

#[tokio::test]
async fn a_key_of_one_region_never_leaves_it() {
    let fake = Fake::start(home_fails).await;
    let uri = KeyUri::parse(&format!("awskms:{}", arn(HOME).replace("mrk-", ""))).unwrap();
    let pin = KeyPin { uri, ..pin(SignatureAlgorithm::EcP384) };
    let key = backend(with_failover(&fake)).open(&pin).await.unwrap();
    for _ in 0..3 {
        key.sign(b"message").await.unwrap_err();
    }
    assert!(fake.calls().iter().all(|call| call.ends_with(HOME)));
}

#[tokio::test]
async fn a_region_that_answers_and_does_not_sign_is_not_returned_to_again_and_again() {
    let fake = Fake::start(|request| match (request.region.as_str(), request.operation.as_str()) {
        (HOME, "Sign") => error(500, "KMSInternalException", "try again"),
        _ => well(request),
    })
    .await;
    let key = open(with_failover(&fake)).await;
    for pause in [10, 20, 40] {
        key.sign(b"message").await.unwrap_err();
        key.sign(b"message").await.unwrap();
        fake.take();
        pass(Duration::from_secs(pause - 1)).await;
        sleep(Duration::from_millis(50)).await;
        key.sign(b"message").await.unwrap();
        assert_eq!(fake.calls(), [format!("Sign {WEST}")], "after less than {pause} s");
        pass(Duration::from_secs(1)).await;
        while key.elsewhere().is_some() {
            sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test]
async fn how_a_key_is_only_its_own_region_knows() {
    let fake = Fake::start(home_fails).await;
    let key = open(with_failover(&fake)).await;
    key.sign(b"message").await.unwrap_err();
    fake.take();
    assert!(key.state().await.unwrap_err().is_transient());
    assert_eq!(fake.calls(), Vec::<String>::new());
}
