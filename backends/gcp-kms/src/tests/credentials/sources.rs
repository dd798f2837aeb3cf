//! Every form of credentials, up to the call that Cloud KMS gets, and what goes wrong on the way to a token.

use super::*;
use aws_lc_rs::{encoding::AsDer, rsa::KeySize, signature::RsaKeyPair};
use base64::{Engine, prelude::BASE64_STANDARD, prelude::BASE64_URL_SAFE_NO_PAD};
use catalyst_signing::TransientKind;
use serde_json::Value;
use std::fs;
use tempfile::TempDir;

pub(super) const WORKLOAD: &str = "system:serviceaccount:catalyst:ca";
const ACCOUNT: &str = "ca@p.iam.gserviceaccount.com";

/// A directory with a workload's token (`token`) and a credentials file (`credentials.json`).
pub(super) struct Files(TempDir);

impl Files {
    pub(super) fn new() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        let claims = BASE64_URL_SAFE_NO_PAD.encode(json!({ "sub": WORKLOAD }).to_string());
        fs::write(files.0.path().join("token"), format!("e30.{claims}.TheSubjectToken")).unwrap();
        files
    }

    /// The configuration of a workload identity that exchanges the token there.
    pub(super) fn workload(&self, exchange: &str) -> Value {
        json!({
            "type": "external_account",
            "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/k8s",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": format!("{exchange}/v1/token"),
            "credential_source": { "file": self.0.path().join("token") },
        })
    }

    pub(super) fn credentials(&self, json: &Value) -> Credentials {
        let path = self.0.path().join("credentials.json");
        fs::write(&path, json.to_string()).unwrap();
        Credentials::File(path)
    }
}

fn impersonation(server: &str) -> String {
    format!("{server}/v1/projects/-/serviceAccounts/{ACCOUNT}:generateAccessToken")
}

/// A service account's key file; the second is its private key.
fn service_account() -> (Value, String) {
    let der = RsaKeyPair::generate(KeySize::Rsa2048).unwrap().as_der().unwrap();
    let base64 = BASE64_STANDARD.encode(der.as_ref());
    let lines: Vec<&str> =
        (0..base64.len()).step_by(64).map(|at| &base64[at..(at + 64).min(base64.len())]).collect();
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"));
    let json = json!({
        "type": "service_account",
        "client_email": ACCOUNT,
        "private_key_id": "1",
        "private_key": pem,
        "project_id": "p",
    });
    (json, base64)
}

#[tokio::test]
async fn every_file_is_who_it_says() {
    let fake = FakeKms::start().unwrap();
    let version = plant(&fake, P384, "ca");
    let files = Files::new();
    let endpoint = fake.endpoint();
    let (key_file, private_key) = service_account();
    let with_account = |mut json: Value| {
        json["service_account_impersonation_url"] = impersonation(&endpoint).into();
        json
    };
    let impersonating = with_account(json!({
        "type": "impersonated_service_account",
        "source_credentials": files.workload(&endpoint),
    }));
    for (json, caller) in [
        (files.workload(&endpoint), WORKLOAD),
        (with_account(files.workload(&endpoint)), ACCOUNT),
        (key_file, ACCOUNT),
        (impersonating, ACCOUNT),
    ] {
        let credentials = files.credentials(&json);
        let backend = GcpKmsBackend::new(GcpKmsConfig { credentials, ..config(&endpoint) });
        let pin = backend.resolve(&version, P384.ours).await.unwrap();
        let key = backend.open(&pin).await.unwrap();
        key.sign(b"message").await.unwrap();
        let call = fake.calls().unwrap().pop().unwrap();
        assert_eq!((call.method, call.caller.as_deref()), (Method::AsymmetricSign, Some(caller)), "{json}");
        let shown = format!("{backend:?} {key:?} {:?}", backend.describe().await.unwrap());
        for secret in ["TheSubjectToken", &private_key[..32], &private_key[64..96]] {
            assert!(!shown.contains(secret), "{shown}");
        }
        if caller == ACCOUNT {
            let facts = backend.describe().await.unwrap();
            let who = facts.iter().find(|fact| fact.name == "credentials").unwrap();
            assert!(who.value.contains(ACCOUNT), "{who:?}");
        }
    }
}

/// Signs once through a workload identity whose tokens come from `exchange`, and whose Cloud KMS takes any.
async fn signing(
    exchange: &Server,
    change: impl FnOnce(&mut Value),
) -> (Arc<dyn SigningKey>, SignError, Server, Files) {
    let kms = Server::always(signed()).await;
    let files = Files::new();
    let mut json = files.workload(&exchange.endpoint());
    json["client_id"] = "client".into();
    json["client_secret"] = "TheClientSecret".into();
    change(&mut json);
    let credentials = files.credentials(&json);
    let call_timeout = Duration::from_secs(6);
    let config = GcpKmsConfig { credentials, call_timeout, ..config(&kms.endpoint()) };
    let backend = GcpKmsBackend::new(config);
    let key = backend.open(&pin(SignatureAlgorithm::EcP384)).await.unwrap();
    let error = key.sign(b"message").await.unwrap_err();
    let text = format!("{error} {error:?} {backend:?}");
    for secret in ["TheSubjectToken", "TheClientSecret", "TheAccessToken"] {
        assert!(!text.contains(secret), "{text}");
    }
    assert!(error.to_string().contains("gcp-kms: the Google credentials"), "{error}");
    assert!(kms.take().is_empty());
    (key, error, kms, files)
}

fn token() -> Value {
    json!({
        "access_token": "TheAccessToken",
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "token_type": "Bearer",
        "expires_in": 3600,
    })
}

#[tokio::test]
async fn what_may_be_back_in_a_moment_passes_and_is_tried_anew() {
    let page = || Reply::with(200, "Content-Type: text/html\r\n", "<html>TheSubjectToken");
    for reply in [
        Reply::with(503, "", ""),
        Reply::with(429, "", "TheSubjectToken"),
        Reply::with(502, "Content-Type: text/html\r\n", "<html>TheSubjectToken"),
        page(),
        Reply::json(200, &json!({ "access_token": "TheAccessToken" })),
        Reply::Cut(
            b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"access_token\":\"TheAccessToken".to_vec(),
        ),
        Reply::Cut(Vec::new()),
    ] {
        let exchange = Server::always(reply).await;
        let (key, error, _kms, _files) = signing(&exchange, |_| ()).await;
        assert!(error.is_transient(), "{error}");
        exchange.now(Reply::json(200, &token()));
        pass(Duration::from_secs(6)).await;
        // This one finds that the SDK has given up, or is waiting.
        let _ = key.sign(b"message").await;
        key.sign(b"message").await.unwrap();
    }
}

#[tokio::test]
async fn what_is_refused_stays_and_says_why_without_the_request() {
    for (status, body, said, kind) in [
        (
            400,
            r#"{"error":"invalid_grant","error_description":"The audience does not match.","x":"TheSubjectToken"}"#,
            "The audience does not match",
            Refusal::Configuration,
        ),
        (
            401,
            r#"{"error":"invalid_client","x":"TheSubjectToken"}"#,
            "invalid_client",
            Refusal::Configuration,
        ),
        (403, "<html>TheSubjectToken", "HTTP 403", Refusal::Denied),
        (404, "TheSubjectToken", "HTTP 404", Refusal::Configuration),
    ] {
        let exchange = Server::always(Reply::with(status, "", body)).await;
        let (key, error, _kms, _files) = signing(&exchange, |_| ()).await;
        assert!(matches!(&error, SignError::Refused { kind: is, .. } if *is == kind), "{error}");
        assert!(error.to_string().contains(said), "{error}");
        // The SDK has given up for good: what comes after is made anew.
        exchange.now(Reply::json(200, &token()));
        pass(Duration::from_secs(6)).await;
        let _ = key.sign(b"message").await;
        key.sign(b"message").await.unwrap();
    }
}

#[tokio::test]
async fn an_impersonation_that_is_not_permitted_names_the_role() {
    let server = Server::start(|request| match request.line.contains(":generateAccessToken") {
        true => Reply::json(
            403,
            &json!({ "error": {
                "code": 403,
                "message": "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).",
                "status": "PERMISSION_DENIED",
            } }),
        ),
        false => Reply::json(200, &token()),
    })
    .await;
    let url = impersonation(&server.endpoint());
    let (_, error, ..) =
        signing(&server, |json| json["service_account_impersonation_url"] = url.into()).await;
    assert!(matches!(error, SignError::Refused { kind: Refusal::Denied, .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("iam.serviceAccounts.getAccessToken"), "{text}");
    assert!(text.contains("roles/iam.serviceAccountTokenCreator"), "{text}");
}

/// Both make the SDK panic, and the clock of this host may be to blame.
#[tokio::test]
async fn a_token_whose_end_makes_no_sense_passes_and_names_the_clock() {
    let mut endless = token();
    endless["expires_in"] = u64::MAX.into();
    let server = Server::always(Reply::json(200, &endless)).await;
    let (_, error, ..) = signing(&server, |_| ()).await;
    assert!(error.is_transient() && error.to_string().contains("clock"), "{error}");

    let server = Server::start(|request| match request.line.contains(":generateAccessToken") {
        true => Reply::json(
            200,
            &json!({ "accessToken": "TheAccessToken", "expireTime": "2020-01-01T00:00:00Z" }),
        ),
        false => Reply::json(200, &token()),
    })
    .await;
    let url = impersonation(&server.endpoint());
    let json = json!({
        "type": "impersonated_service_account",
        "service_account_impersonation_url": url,
        "source_credentials": Files::new().workload(&server.endpoint()),
    });
    let files = Files::new();
    let mut impersonating = json;
    impersonating["source_credentials"] = files.workload(&server.endpoint());
    let (_, error, ..) = signing(&server, |json| *json = impersonating).await;
    assert!(error.is_transient() && error.to_string().contains("clock"), "{error}");
}

#[tokio::test]
async fn a_token_that_does_not_come_in_time_is_the_credentials_fault() {
    let exchange = Server::always(Reply::Hang).await;
    let (key, error, _kms, _files) = signing(&exchange, |_| ()).await;
    assert!(matches!(error, SignError::Transient { kind: TransientKind::Unavailable, .. }), "{error}");
    assert!(error.to_string().contains("no token came in time"), "{error}");
    // Asked for once more, and then not before a minute has passed.
    for _ in 0..2 {
        key.sign(b"message").await.unwrap_err();
    }
    assert_eq!(exchange.take().len(), 2);
    exchange.now(Reply::json(200, &token()));
    pass(Duration::from_secs(61)).await;
    let _ = key.sign(b"message").await;
    key.sign(b"message").await.unwrap();
}

#[tokio::test]
async fn a_subject_token_that_is_not_there_or_under_another_name_is_not_repeated() {
    let exchange = Server::always(Reply::json(200, &token())).await;
    let (_, error, ..) =
        signing(&exchange, |json| json["credential_source"]["file"] = "/no/such/token".into()).await;
    assert!(is_configuration(&error) && error.to_string().contains("No such file"), "{error}");

    let files = Files::new();
    let path = files.0.path().join("token.json");
    fs::write(&path, r#"{"another":"TheSubjectToken"}"#).unwrap();
    let (_, error, ..) = signing(&exchange, |json| {
        json["credential_source"] =
            json!({ "file": path, "format": { "type": "json", "subject_token_field_name": "token" } });
    })
    .await;
    assert!(is_configuration(&error) && error.to_string().contains("`token`"), "{error}");
    assert!(exchange.take().is_empty());
}

/// A workload's token is written anew by the machine; each exchange reads it.
#[tokio::test]
async fn a_root_that_is_opened_twice_is_exchanged_twice() {
    let exchange = Server::always(Reply::json(200, &token())).await;
    let kms = Server::always(signed()).await;
    let files = Files::new();
    let credentials = files.credentials(&files.workload(&exchange.endpoint()));
    let config = GcpKmsConfig { credentials, opening: Opening::WhileInUse, ..config(&kms.endpoint()) };
    let backend = GcpKmsBackend::new(config);
    for _ in 0..2 {
        let key = backend.open(&pin(SignatureAlgorithm::EcP384)).await.unwrap();
        key.sign(b"message").await.unwrap();
        key.sign(b"message").await.unwrap();
        assert_eq!(exchange.take().len(), 1);
    }
    assert!(!format!("{backend:?}").contains("Bearer"));
}
