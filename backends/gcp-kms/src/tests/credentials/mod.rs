//! Who asks: read when it is wanted, read anew when it is not taken, never shown.

use super::{
    wire::{Reply, Request, Server},
    *,
};
use catalyst_rigs::gcp::crc32c;
use catalyst_signing::{KeyState, Refusal, SignError};
use google_cloud_auth::{
    credentials::{CacheableResource, CredentialsProvider, EntityTag},
    errors::CredentialsError,
};
use http::{Extensions, HeaderMap, HeaderValue};
use serde_json::json;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tokio::time::{advance, pause, resume};

mod files;
mod machine;
mod sources;

/// Lets time pass without waiting.
async fn pass(time: Duration) {
    pause();
    advance(time).await;
    resume();
}

/// A token that stays.
#[derive(Debug)]
struct Fixed(&'static str);

impl CredentialsProvider for Fixed {
    async fn headers(&self, _: Extensions) -> Result<CacheableResource<HeaderMap>, CredentialsError> {
        let value = HeaderValue::from_str(&format!("Bearer {}", self.0)).unwrap();
        let data = HeaderMap::from_iter([(http::header::AUTHORIZATION, value)]);
        Ok(CacheableResource::New { entity_tag: EntityTag::new(), data })
    }

    async fn universe_domain(&self) -> Option<String> {
        None
    }
}

/// A way to credentials that gives others each time, and says how often it was asked.
macro_rules! changing {
    ($load:ident, $times:ident) => {
        static $times: AtomicUsize = AtomicUsize::new(0);

        fn $load(_: &GcpKmsConfig) -> Result<google_cloud_auth::credentials::Credentials, String> {
            Ok(Fixed(["FIRST", "SECOND", "THIRD"][$times.fetch_add(1, Relaxed).min(2)]).into())
        }
    };
}

/// A signature, as far as the adapter can see.
fn signed() -> Reply {
    let checksum = crc32c(b"signature").to_string();
    Reply::json(
        200,
        &json!({
            "name": VERSION,
            "signature": "c2lnbmF0dXJl",
            "signatureCrc32c": checksum,
            "verifiedDigestCrc32c": true,
            "protectionLevel": "HSM",
        }),
    )
}

/// Cloud KMS, which takes one token.
fn taking(good: &'static str) -> impl Fn(&Request) -> Reply + Send + Sync + 'static {
    move |request| match request.token.as_deref() == Some(good) {
        true => signed(),
        false => Reply::json(
            401,
            &json!({ "error": {
                "code": 401,
                "message": "Request had invalid authentication credentials.",
                "status": "UNAUTHENTICATED",
            } }),
        ),
    }
}

fn tokens(server: &Server) -> Vec<String> {
    server.take().into_iter().filter_map(|request| request.token).collect()
}

#[tokio::test]
async fn what_is_not_taken_is_read_anew_but_not_at_every_call() {
    changing!(load, TIMES);
    let server = Server::start(taking("THIRD")).await;
    let backend = GcpKmsBackend::over(Clients::loading(config(&server.endpoint()), load));
    let key = backend.open(&pin(SignatureAlgorithm::EcP384)).await.unwrap();
    for _ in 0..5 {
        let error = key.sign(b"message").await.unwrap_err();
        assert!(error.is_transient() && error.to_string().contains("read anew"), "{error}");
    }
    assert_eq!(tokens(&server), ["FIRST", "SECOND", "SECOND", "SECOND", "SECOND"]);
    pass(Duration::from_secs(6)).await;
    key.sign(b"message").await.unwrap_err();
    key.sign(b"message").await.unwrap();
    assert_eq!(TIMES.load(Relaxed), 3);
}

#[tokio::test]
async fn an_operator_has_them_read_anew_at_once() {
    changing!(load, TIMES);
    let server = Server::start(taking("THIRD")).await;
    let backend = GcpKmsBackend::over(Clients::loading(config(&server.endpoint()), load));
    let key = backend.open(&pin(SignatureAlgorithm::EcP384)).await.unwrap();
    for _ in 0..2 {
        key.sign(b"message").await.unwrap_err();
    }
    backend.retry();
    key.sign(b"message").await.unwrap();
    assert_eq!(tokens(&server), ["FIRST", "SECOND", "THIRD"]);
}

#[tokio::test]
async fn what_is_open_for_one_operation_has_its_own() {
    changing!(load, TIMES);
    let server = Server::always(signed()).await;
    let config = GcpKmsConfig { opening: Opening::WhileInUse, ..config(&server.endpoint()) };
    let backend = GcpKmsBackend::over(Clients::loading(config, load));
    for expected in ["FIRST", "SECOND"] {
        let key = backend.open(&pin(SignatureAlgorithm::EcP384)).await.unwrap();
        key.sign(b"message").await.unwrap();
        key.sign(b"message").await.unwrap();
        assert_eq!(tokens(&server), [expected, expected]);
    }
}

/// What nobody wanted to know is not worth opening them for.
#[tokio::test]
async fn what_is_open_for_one_operation_is_not_opened_unprompted() {
    changing!(load, TIMES);
    let server = Server::always(signed()).await;
    let config = GcpKmsConfig { opening: Opening::WhileInUse, ..config(&server.endpoint()) };
    let backend = GcpKmsBackend::over(Clients::loading(config, load));
    let pin = pin(SignatureAlgorithm::EcP384);
    assert_eq!(backend.state_of(&pin).await, Ok(KeyState::Unknown));
    let (key, _) = VERSION.split_once("/cryptoKeyVersions").unwrap();
    assert_eq!(backend.whereabouts(key).await, Ok(None));
    assert!(server.take().is_empty());
}

#[tokio::test]
async fn many_callers_read_them_once() {
    changing!(load, TIMES);
    let server = Server::always(signed()).await;
    let backend = GcpKmsBackend::over(Clients::loading(config(&server.endpoint()), load));
    let key = backend.open(&pin(SignatureAlgorithm::EcP384)).await.unwrap();
    let signing = (0..64).map(|_| {
        let key = key.clone();
        tokio::spawn(async move { key.sign(b"message").await })
    });
    for signing in signing.collect::<Vec<_>>() {
        signing.await.unwrap().unwrap();
    }
    assert_eq!(TIMES.load(Relaxed), 1);
}

#[tokio::test]
async fn nothing_is_kept_after_a_key_store_was_let_go() {
    changing!(load, TIMES);
    let server = Server::always(signed()).await;
    let backend = GcpKmsBackend::over(Clients::loading(config(&server.endpoint()), load));
    let key = backend.open(&pin(SignatureAlgorithm::EcP384)).await.unwrap();
    key.sign(b"message").await.unwrap();
    assert!(format!("{backend:?}").contains("FIRST"));
    backend.shut_down().await;
    assert!(!format!("{backend:?}").contains("FIRST"));
}

/// The SDK's own panics are errors, and the next call is not worse off.
#[tokio::test]
async fn a_panic_of_the_sdk_is_an_error() {
    #[derive(Debug)]
    struct Panics;
    impl CredentialsProvider for Panics {
        async fn headers(&self, _: Extensions) -> Result<CacheableResource<HeaderMap>, CredentialsError> {
            panic!("a token without an end")
        }
        async fn universe_domain(&self) -> Option<String> {
            None
        }
    }
    let server = Server::always(signed()).await;
    let load = |config: &GcpKmsConfig| Ok(crate::client::watched(Panics.into(), config));
    let backend = GcpKmsBackend::over(Clients::loading(config(&server.endpoint()), load));
    let key = backend.open(&pin(SignatureAlgorithm::EcP384)).await.unwrap();
    let error = key.sign(b"message").await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("clock"), "{error}");
    assert!(server.take().is_empty());
}

fn is_configuration(error: &SignError) -> bool {
    matches!(error, SignError::Refused { kind: Refusal::Configuration, .. })
}
