//! Connections: reused, bounded by the call's time, none left unusable.

use super::{
    wire::{Reply, Server},
    *,
};
use catalyst_rigs::gcp::crc32c;
use catalyst_signing::{SignError, TransientKind};
use serde_json::json;
use tokio::task::JoinSet;

/// A signature, as far as the adapter can see.
fn signed() -> Reply {
    let signature = b"signature";
    Reply::json(
        200,
        &json!({
            "name": VERSION,
            "signature": "c2lnbmF0dXJl",
            "signatureCrc32c": crc32c(signature).to_string(),
            "verifiedDigestCrc32c": true,
            "protectionLevel": "HSM",
        }),
    )
}

#[tokio::test]
async fn many_at_once_are_one_call_each_and_connections_are_used_again() {
    let server = Server::always(signed()).await;
    let key = open(&server.endpoint(), Duration::from_secs(30)).await;
    for _ in 0..3 {
        let mut signing = JoinSet::new();
        for _ in 0..128 {
            let key = key.clone();
            signing.spawn(async move { key.sign(b"message").await });
        }
        while let Some(signed) = signing.join_next().await {
            signed.unwrap().unwrap();
        }
        assert_eq!(server.take().len(), 128);
    }
    // One that is not back from the last call when the next comes is not waited for.
    assert!(server.connections() <= 256, "{} connections for 384 calls", server.connections());
    let before = server.connections();
    for _ in 0..20 {
        key.sign(b"message").await.unwrap();
    }
    assert_eq!(server.connections(), before);
}

#[tokio::test]
async fn a_call_that_is_given_up_leaves_the_key_usable() {
    let server = Server::always(Reply::Hang).await;
    let key = open(&server.endpoint(), Duration::from_secs(30)).await;
    for _ in 0..3 {
        let hanging = tokio::spawn({
            let key = key.clone();
            async move { key.sign(b"message").await }
        });
        while server.take().is_empty() {
            tokio::task::yield_now().await;
        }
        hanging.abort();
        assert!(hanging.await.unwrap_err().is_cancelled());
    }
    server.now(signed());
    key.sign(b"message").await.unwrap();
}

#[tokio::test]
async fn an_answer_that_does_not_come_or_does_not_end_times_out() {
    let endless = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"name\": \"          ";
    let page = b"HTTP/1.1 500 OK\r\nContent-Type: text/html\r\n\r\n<html>          ";
    let head = b"HTTP/1.1 200 OK\r\nX-Many: 1234567890";
    for reply in [
        Reply::Hang,
        Reply::Endless(endless.to_vec()),
        Reply::Endless(page.to_vec()),
        Reply::Endless(head.to_vec()),
    ] {
        let server = Server::always(reply).await;
        let key = open(&server.endpoint(), Duration::from_millis(500)).await;
        let error = key.sign(b"message").await.unwrap_err();
        assert!(matches!(error, SignError::Transient { kind: TransientKind::TimedOut, .. }), "{error}");
        assert!(error.to_string().contains(&server.endpoint()), "{error}");
    }
}

/// Neither what is to be signed nor the token goes to where an answer points.
#[tokio::test]
async fn no_redirect_is_followed() {
    let elsewhere = Server::always(signed()).await;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("Location: {}/v1/{VERSION}:asymmetricSign\r\n", elsewhere.endpoint());
        let server = Server::always(Reply::with(status, &location, "")).await;
        let key = open(&server.endpoint(), Duration::from_secs(10)).await;
        let error = key.sign(b"message").await.unwrap_err();
        assert!(error.is_transient() && error.to_string().contains(&status.to_string()), "{error}");
        assert_eq!(server.take().len(), 1);
    }
    assert!(elsewhere.take().is_empty());
}
