//! Credentials files that are none, not whole, or hold what must not be shown.

use super::*;
use std::fs;

async fn signing(credentials: Credentials, endpoint: &str) -> (GcpKmsBackend, SignError) {
    let backend = GcpKmsBackend::new(GcpKmsConfig { credentials, ..config(endpoint) });
    let key = backend.open(&pin(SignatureAlgorithm::EcP384)).await.unwrap();
    let error = key.sign(b"message").await.unwrap_err();
    (backend, error)
}

/// What a file with this content is refused with.
async fn refused(content: &str) -> String {
    let server = Server::always(signed()).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("credentials.json");
    fs::write(&path, content).unwrap();
    for credentials in [
        Credentials::File(path.clone()),
        Credentials::Impersonated {
            account: "ca@p.iam.gserviceaccount.com".into(),
            file: Some(path.clone()),
        },
    ] {
        let (_, error) = signing(credentials, &server.endpoint()).await;
        assert!(is_configuration(&error), "{content}: {error}");
        let text = error.to_string();
        assert!(text.contains(path.to_str().unwrap()) && text.contains("gcp-kms: "), "{text}");
    }
    assert!(server.take().is_empty());
    let (_, error) = signing(Credentials::File(path), &server.endpoint()).await;
    error.to_string()
}

#[tokio::test]
async fn what_is_no_credentials_file_is_refused_and_not_repeated() {
    for (content, said) in [
        ("", "no JSON"),
        ("TheSecret", "no JSON"),
        (r#"{"type":"service_account","private_key":"TheSecret"#, "not the whole"),
        (r#"{"type":"service_account","private_key":"TheSecret"}"#, "client_email is missing"),
        (r#"{"type":"service_account","client_email":["TheSecret"]}"#, "made again"),
        (
            r#"{"type":"authorized_user","client_id":"i","client_secret":"TheSecret"}"#,
            "refresh_token is missing",
        ),
        (r#"{"type":"external_account","credential_source":"TheSecret"}"#, "made again"),
        (r#"{"type":"impersonated_service_account","delegates":"TheSecret"}"#, "made again"),
        (r#"{"type":"TheSecret"}"#, "its type must be service_account"),
        (r#"{"type":7,"secret":"TheSecret"}"#, "its type must be service_account"),
        (r#"["TheSecret"]"#, "its type must be service_account"),
        (r#""TheSecret""#, "its type must be service_account"),
    ] {
        let text = refused(content).await;
        assert!(text.contains(said) && !text.contains("TheSecret"), "{content}: {text}");
    }
}

#[tokio::test]
async fn a_file_that_is_not_there_or_is_none_is_refused() {
    let server = Server::always(signed()).await;
    let directory = tempfile::tempdir().unwrap();
    for (path, said) in [
        (directory.path().join("none.json"), "No such file"),
        (directory.path().to_owned(), "is no file"),
        ("/dev/zero".into(), "is no file"),
    ] {
        let (_, error) = signing(Credentials::File(path.clone()), &server.endpoint()).await;
        let text = error.to_string();
        assert!(is_configuration(&error), "{error}");
        assert!(text.contains(path.to_str().unwrap()) && text.contains(said), "{text}");
    }
}

/// A key whose line ends were written as `\n` twice over is one line, which the SDK would repeat.
#[tokio::test]
async fn a_private_key_that_cannot_be_read_is_not_repeated() {
    let server = Server::always(signed()).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("credentials.json");
    for key in [
        "-----BEGIN PRIVATE KEY-----\\nTUlJRXZRSUJBREFO\\n-----END PRIVATE KEY-----\\n",
        "-----BEGIN PRIVATE KEY-----\nTUlJRXZRSUJBREFO\n-----END PRIVATE KEY-----\n",
        "-----BEGIN PRIVATE KEY-----\nTUlJRXZRSUJBREFO!\n",
        "-----BEGIN RSA PRIVATE KEY-----\nTUlJRXZRSUJBREFO\n-----END RSA PRIVATE KEY-----\n",
        "TUlJRXZRSUJBREFO",
        "",
    ] {
        let json = json!({
            "type": "service_account",
            "client_email": "ca@p.iam.gserviceaccount.com",
            "private_key_id": "1",
            "private_key": key,
            "project_id": "p",
        });
        fs::write(&path, json.to_string()).unwrap();
        let (backend, error) = signing(Credentials::File(path.clone()), &server.endpoint()).await;
        let text = format!("{error} {error:?} {backend:?}");
        // In letters, and as the numbers of "TUlJ".
        assert!(!text.contains("TUlJ") && !text.contains("84, 85, 108, 74"), "{text}");
        assert!(is_configuration(&error), "{key}: {error}");
    }
    assert!(server.take().is_empty());
}

#[tokio::test]
async fn a_file_that_was_mended_is_seen_at_the_next_call_and_one_that_was_rewritten_after_a_retry() {
    let server = Server::start(|request| match request.line.contains("/token") {
        true => Reply::json(
            200,
            &json!({
                "access_token": request.body.split("refresh_token\":\"").nth(1).unwrap().split('"').next().unwrap(),
                "token_type": "Bearer",
                "expires_in": 3600,
            }),
        ),
        false => signed(),
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("credentials.json");
    let write = |token: &str| {
        let json = json!({
            "type": "authorized_user",
            "client_id": "i",
            "client_secret": "s",
            "refresh_token": token,
            "token_uri": format!("{}/token", server.endpoint()),
        });
        fs::write(&path, json.to_string()).unwrap();
    };
    fs::write(&path, "{").unwrap();
    let (backend, _) = signing(Credentials::File(path.clone()), &server.endpoint()).await;
    let key = backend.open(&pin(SignatureAlgorithm::EcP384)).await.unwrap();
    write("ONE");
    key.sign(b"message").await.unwrap();
    write("TWO");
    key.sign(b"message").await.unwrap();
    assert_eq!(tokens(&server), ["ONE", "ONE"]);
    backend.retry();
    key.sign(b"message").await.unwrap();
    assert_eq!(tokens(&server), ["TWO"]);
}
