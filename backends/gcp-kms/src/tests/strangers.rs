//! What answers in the stead of Cloud KMS, or does not.

use super::{
    wire::{Reply, Server},
    *,
};
use catalyst_signing::{SignError, TransientKind};

async fn signing(reply: Reply) -> (String, SignError) {
    let server = Server::always(reply).await;
    let key = open(&server.endpoint(), Duration::from_secs(20)).await;
    let error = key.sign(b"message").await.unwrap_err();
    assert_eq!(server.take().len(), 1, "one attempt is one call");
    assert!(!error.to_string().contains("TheToken"), "{error}");
    (server.endpoint(), error)
}

fn kind(error: &SignError) -> Option<TransientKind> {
    match error {
        SignError::Transient { kind, .. } => Some(*kind),
        _ => None,
    }
}

const BODIES: [(&str, &str); 4] = [
    ("Content-Type: text/html\r\n", "<html>blocked: Bearer TheToken</html>"),
    ("", ""),
    ("Content-Type: application/json\r\n", r#"{"error":"invalid_grant","token":"TheToken"}"#),
    ("Content-Type: application/json\r\n", r#"["TheToken"]"#),
];

#[tokio::test]
async fn what_is_no_answer_of_kms_passes_names_the_endpoint_and_is_not_repeated() {
    for status in [200, 400, 401, 403, 404, 407, 429, 500, 502, 503, 504] {
        for (headers, body) in BODIES {
            let (endpoint, error) = signing(Reply::with(status, headers, body)).await;
            let expected = if status == 429 { TransientKind::Throttled } else { TransientKind::Unavailable };
            // An answer of an unknown shape has no field that is right.
            if (status, body) == (200, BODIES[2].1) {
                assert!(matches!(error, SignError::Integrity { .. }), "{error}");
                continue;
            }
            assert_eq!(kind(&error), Some(expected), "{status} {body}: {error}");
            let text = error.to_string();
            assert!(text.contains(&endpoint) && text.contains(&status.to_string()), "{text}");
        }
    }
}

/// A 401 that is not Google's says nothing of the credentials.
#[tokio::test]
async fn a_proxy_that_wants_to_know_who_asks_is_named() {
    let headers = "WWW-Authenticate: Basic realm=\"proxy\"\r\nContent-Type: text/html\r\n";
    let (_, error) = signing(Reply::with(401, headers, "<html>who are you?</html>")).await;
    assert!(error.to_string().contains("proxies on the way"), "{error}");
}

#[tokio::test]
async fn fields_of_another_kind_are_no_answer() {
    for body in [
        r#"{"name":7}"#,
        r#"{"signature":"TheToken, which is no base64!"}"#,
        r#"{"signatureCrc32c":"TheToken"}"#,
        r#"{"signatureCrc32c":"99999999999999999999"}"#,
        r#"{"protectionLevel":{}}"#,
        r#"{"name":"a""#,
        "null",
    ] {
        let (endpoint, error) = signing(Reply::with(200, "Content-Type: application/json\r\n", body)).await;
        // What serde reads as nothing at all is an answer without its fields.
        match body {
            "null" => {
                assert!(error.is_transient() || matches!(error, SignError::Integrity { .. }), "{error}")
            }
            _ => assert!(error.is_transient() && error.to_string().contains(&endpoint), "{body}: {error}"),
        }
    }
}

#[tokio::test]
async fn what_breaks_off_passes() {
    for cut in [
        &b""[..],
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"name\":",
        b"HTTP/1.1 403 OK\r\nContent-Length: 100\r\n\r\n{\"error\":",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"nam",
        b"HTTP/1.1 2",
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ] {
        let (endpoint, error) = signing(Reply::Cut(cut.to_vec())).await;
        assert_eq!(kind(&error), Some(TransientKind::Unavailable), "{error}");
        assert!(error.to_string().contains(&endpoint), "{error}");
    }
}

#[tokio::test]
async fn nobody_at_the_endpoint_passes_and_no_password_is_shown() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (endpoint, place) in [
        (format!("http://{closed}"), closed.to_string()),
        (format!("http://user:hunter2@{closed}"), closed.to_string()),
        (format!("https://{closed}/hunter"), closed.to_string()),
        ("http://no-such-host.invalid".to_owned(), "no-such-host.invalid".to_owned()),
    ] {
        let error = open(&endpoint, Duration::from_secs(9)).await.sign(b"message").await.unwrap_err();
        let text = error.to_string();
        assert!(error.is_transient(), "{endpoint}: {text}");
        assert!(text.contains(&place) && !text.contains("hunter2"), "{text}");
    }
}

#[tokio::test]
async fn plain_http_where_tls_is_wanted_passes() {
    let server = Server::always(Reply::with(400, "", "")).await;
    let endpoint = server.endpoint().replace("http:", "https:");
    let error = open(&endpoint, Duration::from_secs(9)).await.sign(b"message").await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains(&endpoint), "{error}");
}

#[tokio::test]
async fn an_endpoint_that_is_none_is_a_wrong_setting() {
    for endpoint in ["", "not an endpoint", "https://", "127.0.0.1:1"] {
        let error = open(endpoint, Duration::from_secs(9)).await.sign(b"message").await.unwrap_err();
        let is_refused =
            matches!(error, SignError::Refused { kind: catalyst_signing::Refusal::Configuration, .. });
        assert!(is_refused, "{endpoint}: {error}");
    }
}
