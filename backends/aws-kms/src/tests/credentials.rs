//! Who asks: read once, read anew when KMS says so, never shown.

use super::*;
use crate::client::in_time;
use aws_credential_types::provider::{ProvideCredentials, future};
use catalyst_signing::{Refusal, SignError};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// A way to credentials that gives others each time, and says how often it was asked.
macro_rules! changing {
    ($load:ident, $times:ident) => {
        static $times: AtomicUsize = AtomicUsize::new(0);

        fn $load(config: AwsKmsConfig) -> Loading {
            let id = ["FIRST", "SECOND", "THIRD"][$times.fetch_add(1, Relaxed).min(2)];
            Box::pin(async move { settings(&config).credentials_provider(fixed(id)).load().await })
        }
    };
}

fn expired_but(good: &'static str) -> impl Fn(&Request) -> Reply + Send + Sync + 'static {
    move |request| match request.who == good {
        true => well(request),
        false => error(400, "ExpiredTokenException", "The security token included in the request is expired"),
    }
}

#[tokio::test]
async fn credentials_that_have_expired_are_read_anew_but_not_at_every_call() {
    changing!(load, TIMES);
    let fake = Fake::start(expired_but("THIRD")).await;
    let backend = AwsKmsBackend::over(Clients::loading(config(&fake), load));
    let key = backend.open(&pin(SignatureAlgorithm::EcP384)).await.unwrap();
    for _ in 0..5 {
        let error = key.sign(b"message").await.unwrap_err();
        assert!(error.is_transient() && error.to_string().contains("expired"), "{error}");
    }
    let who: Vec<String> = fake.take().into_iter().map(|request| request.who).collect();
    assert_eq!(who, ["FIRST", "SECOND", "SECOND", "SECOND", "SECOND"]);
    backend.retry();
    key.sign(b"message").await.unwrap();
    assert_eq!(TIMES.load(Relaxed), 3);
}

#[tokio::test]
async fn what_is_open_for_one_operation_has_its_own_and_takes_them_with_it() {
    changing!(load, TIMES);
    let fake = Fake::start(well).await;
    let config = AwsKmsConfig { opening: Opening::WhileInUse, ..config(&fake) };
    let backend = AwsKmsBackend::over(Clients::loading(config, load));
    for expected in ["FIRST", "SECOND"] {
        let key = backend.open(&pin(SignatureAlgorithm::EcP384)).await.unwrap();
        key.sign(b"message").await.unwrap();
        key.sign(b"message").await.unwrap();
        assert!(fake.take().iter().all(|request| request.who == expected));
    }
}

#[tokio::test]
async fn many_callers_read_them_once() {
    changing!(load, TIMES);
    let fake = Fake::start(well).await;
    let clients = Arc::new(Clients::loading(config(&fake), load));
    let wanted = (0..64).map(|at| {
        let clients = clients.clone();
        tokio::spawn(async move { clients.of([Some(HOME), Some(WEST)][at % 2]).await.map(drop) })
    });
    for wanted in wanted.collect::<Vec<_>>() {
        wanted.await.unwrap().unwrap();
    }
    assert_eq!(TIMES.load(Relaxed), 1);
}

#[tokio::test]
async fn a_profile_that_does_not_exist_is_a_wrong_setting() {
    let fake = Fake::start(well).await;
    let profile = "catalyst-no-such-profile".to_owned();
    for credentials in [
        Credentials::Profile(profile.clone()),
        Credentials::Role { arn: "arn:aws:iam::111122223333:role/ca".into(), profile: Some(profile.clone()) },
    ] {
        let backend = AwsKmsBackend::new(AwsKmsConfig { credentials, ..config(&fake) });
        let key = backend.open(&pin(SignatureAlgorithm::EcP384)).await.unwrap();
        for _ in 0..4 {
            let error = key.sign(b"message").await.unwrap_err();
            assert!(matches!(&error, SignError::Refused { kind: Refusal::Configuration, .. }), "{error}");
            assert!(error.to_string().contains(&profile), "{error}");
        }
    }
    assert!(fake.take().is_empty());
}

static LOADED: AtomicUsize = AtomicUsize::new(0);

#[derive(Debug)]
struct Counting;

impl ProvideCredentials for Counting {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            LOADED.fetch_add(1, Relaxed);
            tokio::time::sleep(Duration::from_millis(50)).await;
            Ok(fixed("AKIDTESTWXYZ"))
        })
    }
}

#[tokio::test]
async fn many_callers_load_credentials_once_and_one_that_leaves_holds_up_nobody() {
    fn load(config: AwsKmsConfig) -> Loading {
        Box::pin(async move { settings(&config).credentials_provider(Counting).load().await })
    }
    let fake = Fake::start(well).await;
    let backend = AwsKmsBackend::over(Clients::loading(config(&fake), load));
    let key = backend.open(&pin(SignatureAlgorithm::EcP384)).await.unwrap();
    let signing = || {
        let key = key.clone();
        tokio::spawn(async move { key.sign(b"message").await })
    };
    let first = signing();
    while LOADED.load(Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    let others: Vec<_> = (0..32).map(|_| signing()).collect();
    first.abort();
    for other in others {
        other.await.unwrap().unwrap();
    }
    assert!(LOADED.load(Relaxed) <= 2, "one for the caller that left, one for all others");
}

#[derive(Debug)]
struct Silent;

impl ProvideCredentials for Silent {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(std::future::pending())
    }
}

#[tokio::test]
async fn credentials_that_do_not_come_are_named_and_move_no_key() {
    fn load(config: AwsKmsConfig) -> Loading {
        Box::pin(async move {
            in_time(settings(&config).credentials_provider(Silent).load().await, config.call_timeout)
        })
    }
    let fake = Fake::start(well).await;
    let config = AwsKmsConfig {
        call_timeout: Duration::from_secs(2),
        failover_regions: vec![WEST.into()],
        ..config(&fake)
    };
    let backend = AwsKmsBackend::over(Clients::loading(config, load));
    let key = backend.open(&pin(SignatureAlgorithm::EcP384)).await.unwrap();
    let error = key.sign(b"message").await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert!(error.to_string().contains("the AWS credentials could not be loaded"), "{error}");
    assert_eq!(key.elsewhere(), None);
    assert!(fake.take().is_empty());
}

#[tokio::test]
async fn an_endpoint_and_fips_exclude_each_other() {
    let fake = Fake::start(well).await;
    let key = open(AwsKmsConfig { use_fips: true, ..config(&fake) }).await;
    let error = key.sign(b"message").await.unwrap_err();
    assert!(matches!(error, SignError::Refused { kind: Refusal::Configuration, .. }), "{error}");
}

#[tokio::test]
async fn a_key_store_says_where_it_is_who_asks_and_what_he_may() {
    let fake = Fake::start(well).await;
    let backend = backend(AwsKmsConfig { failover_regions: vec![WEST.into()], ..config(&fake) });
    let facts = backend.describe().await.unwrap();
    let fact = |name: &str| facts.iter().find(|fact| fact.name == name).unwrap().value.clone();
    assert_eq!(fact("Region"), HOME);
    assert_eq!(fact("endpoint"), fake.endpoint().replace("{region}", HOME));
    assert_eq!(fact("failover Regions"), WEST);
    assert_eq!(fact("listing keys"), "not allowed (kms:ListKeys)");
    assert_eq!(fact("credentials"), "…WXYZ from test");
    assert!(!format!("{facts:?} {backend:?}").contains("TheSe"));

    fake.now(|_| Reply::json(200, &json!({ "Keys": [], "Truncated": false })));
    let facts = backend.describe().await.unwrap();
    assert!(facts.iter().any(|fact| fact.value == "allowed"));
    assert_eq!(fake.take().last().unwrap().body["Limit"], 1);
}

#[tokio::test]
async fn the_quota_is_that_of_account_and_region() {
    let fake = Fake::start(well).await;
    let quota = backend(config(&fake)).quota(&pin(SignatureAlgorithm::EcP384).uri);
    assert_eq!(quota.name, "awskms:111122223333:eu-central-1");
    assert_eq!(quota.per_second, Some(100.0));
}

#[tokio::test]
async fn a_store_that_was_shut_down_begins_anew_when_it_is_wanted_again() {
    changing!(load, TIMES);
    let fake = Fake::start(well).await;
    let backend = AwsKmsBackend::over(Clients::loading(config(&fake), load));
    let key = backend.open(&pin(SignatureAlgorithm::EcP384)).await.unwrap();
    key.sign(b"message").await.unwrap();
    backend.shut_down().await;
    key.sign(b"message").await.unwrap();
    assert_eq!(TIMES.load(Relaxed), 2);
}
