//! What the key says when KMS, or something in its stead, answers badly.

use super::*;
use aws_sdk_kms::primitives::{DateTime, DateTimeFormat};
use catalyst_signing::{KeyState, Refusal, SignError, TransientKind};
use std::time::SystemTime;

async fn signing(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> SignError {
    let fake = Fake::start(script).await;
    let key = open(AwsKmsConfig { call_timeout: Duration::from_secs(3), ..config(&fake) }).await;
    let error = key.sign(b"message").await.unwrap_err();
    let text = error.to_string();
    for secret in ["TheSecretAccessKey", "TheSessionToken", "Canonical"] {
        assert!(!text.contains(secret), "{text}");
    }
    assert_eq!(fake.take().len(), 1, "one attempt is one call");
    error
}

fn kind(error: &SignError) -> Option<TransientKind> {
    match error {
        SignError::Transient { kind, .. } => Some(*kind),
        _ => None,
    }
}

#[tokio::test]
async fn what_is_no_answer_of_kms_passes_and_names_the_endpoint() {
    let page = "<html>blocked: TheSessionToken</html>";
    let whole = r#"{"KeyId":"k","Signature":"AAAA"}"#;
    let cut = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", whole.len(), &whole[..9]);
    for reply in [
        |page: &str, _: &str| Reply::with(200, "Content-Type: text/html\r\n", page),
        |page: &str, _: &str| Reply::with(403, "Content-Type: text/html\r\n", page),
        |_: &str, _: &str| Reply::with(403, "", r#"{"message":"Forbidden"}"#),
        |_: &str, _: &str| Reply::with(502, "", ""),
        |_: &str, cut: &str| Reply::Cut(cut.as_bytes().to_vec()),
        |_: &str, _: &str| Reply::Cut(Vec::new()),
    ] {
        let cut = cut.clone();
        let error = signing(move |_| reply(page, &cut)).await;
        assert_eq!(kind(&error), Some(TransientKind::Unavailable), "{error}");
        assert!(error.to_string().contains("http://127.0.0.1"), "{error}");
    }
}

#[tokio::test]
async fn an_answer_that_does_not_come_times_out() {
    let error = signing(|_| Reply::Hang).await;
    assert_eq!(kind(&error), Some(TransientKind::TimedOut), "{error}");
}

#[tokio::test]
async fn nobody_at_the_endpoint_passes() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let fake = Fake::start(well).await;
    for endpoint in [format!("http://{closed}"), format!("https://user:hunter2@{closed}")] {
        let key = open(AwsKmsConfig { endpoint: Some(endpoint), ..config(&fake) }).await;
        let error = key.sign(b"message").await.unwrap_err();
        assert_eq!(kind(&error), Some(TransientKind::Unavailable), "{error}");
        assert!(error.to_string().contains(&closed.to_string()), "{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

#[tokio::test]
async fn plain_http_where_tls_is_wanted_passes() {
    let fake = Fake::start(well).await;
    let endpoint = Some(fake.endpoint().replace("http:", "https:"));
    let key = open(AwsKmsConfig { endpoint, call_timeout: Duration::from_secs(3), ..config(&fake) }).await;
    let error = key.sign(b"message").await.unwrap_err();
    assert!(error.is_transient(), "{error}");
}

#[tokio::test]
async fn throttling_says_how_long_to_wait_where_kms_does() {
    let error = signing(|_| {
        Reply::with(
            400,
            "Retry-After: 7\r\n",
            r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#,
        )
    })
    .await;
    assert_eq!(kind(&error), Some(TransientKind::Throttled), "{error}");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
}

#[tokio::test]
async fn a_clock_that_is_off_is_said_with_its_distance() {
    let then = SystemTime::now() - Duration::from_secs(600);
    let date = DateTime::from(then).fmt(DateTimeFormat::HttpDate).unwrap();
    let error = signing(move |_| {
        Reply::with(
            400,
            &format!("Date: {date}\r\n"),
            r#"{"__type":"InvalidSignatureException","message":"Signature not yet current: 1 is still later than 2"}"#,
        )
    })
    .await;
    let text = error.to_string();
    assert_eq!(kind(&error), Some(TransientKind::Unavailable), "{text}");
    assert!(text.contains("this clock is 10 min ") && text.contains(" ahead of AWS'"), "{text}");
}

#[tokio::test]
async fn a_signature_that_does_not_match_tells_no_session_token() {
    let error = signing(|_| {
        error(
            400,
            "InvalidSignatureException",
            "The request signature we calculated does not match. The Canonical String for this request should have \
             been 'POST\n/\n\nx-amz-security-token:TheSessionToken'",
        )
    })
    .await;
    assert!(matches!(error, SignError::Refused { kind: Refusal::Denied, .. }), "{error}");
}

#[tokio::test]
async fn a_denial_names_the_permission_and_who_was_denied() {
    let text = signing(|_| denied("Sign")).await.to_string();
    assert!(text.contains("allow kms:Sign") && text.contains("user/ca"), "{text}");
}

#[tokio::test]
async fn a_key_that_is_new_may_not_show_yet() {
    let fake = Fake::start(|_| error(400, "NotFoundException", "Key does not exist")).await;
    let key = open(config(&fake)).await;
    let gone = key.sign(b"message").await.unwrap_err();
    assert!(matches!(gone, SignError::Refused { kind: Refusal::Missing, .. }), "{gone}");
    assert_eq!(key.state().await.unwrap(), KeyState::Gone);

    let now = DateTime::from(SystemTime::now()).secs();
    fake.now(move |_| {
        Reply::json(
            200,
            &json!({ "KeyMetadata": { "KeyId": ID, "CreationDate": now, "KeyState": "Enabled" } }),
        )
    });
    assert_eq!(key.state().await.unwrap(), KeyState::Usable);
    fake.now(|_| error(400, "NotFoundException", "Key does not exist"));
    let young = key.sign(b"message").await.unwrap_err();
    assert_eq!(kind(&young), Some(TransientKind::Unavailable), "{young}");
}

#[tokio::test]
async fn an_endpoint_that_is_none_is_a_wrong_setting() {
    let fake = Fake::start(well).await;
    for endpoint in ["", "not an endpoint", "127.0.0.1:4566", "ftp://127.0.0.1", "https://", "https://a b"] {
        let key = open(AwsKmsConfig { endpoint: Some(endpoint.into()), ..config(&fake) }).await;
        let error = key.sign(b"message").await.unwrap_err();
        assert!(
            matches!(error, SignError::Refused { kind: Refusal::Configuration, .. }),
            "{endpoint}: {error}"
        );
    }
}
