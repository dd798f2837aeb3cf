mod conformance;
mod damage;
mod files;
mod openssl;

use crate::{LocalBackend, envelope::Cost};
use catalyst_signing::{KeyIntent, KeyLifecycle, KeyRole, Nonce, SignatureAlgorithm, SigningBackend};
use secrecy::SecretString;
use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::SystemTime};
use tempfile::TempDir;

const PASSPHRASE: &str = "correct horse battery staple";

fn cheap(directory: &Path) -> LocalBackend {
    LocalBackend::with_cost(directory.to_owned(), PASSPHRASE.into(), Cost::TEST).unwrap()
}

fn directory() -> TempDir {
    let private = fs::Permissions::from_mode(0o700);
    tempfile::Builder::new().prefix("catalyst-local-").permissions(private).tempdir().unwrap()
}

fn intent(role: KeyRole, generation: u32, algorithm: SignatureAlgorithm) -> KeyIntent {
    KeyIntent {
        nonce: Nonce::random().unwrap(),
        deployment: "0123456789abcdef".to_owned(),
        role,
        generation,
        algorithm,
        created_at: SystemTime::now(),
    }
}

#[test]
fn a_short_passphrase_is_refused() {
    let home = directory();
    let error =
        LocalBackend::open(home.path().join("keys"), SecretString::from("fifteen letters")).unwrap_err();
    assert!(error.to_string().contains("15 characters, at least 16"), "{error}");
    assert!(!home.path().join("keys").exists());
}

#[tokio::test]
async fn debug_output_holds_no_passphrase() {
    let home = directory();
    let backend = cheap(home.path());
    let pin = backend.create(&intent(KeyRole::Services, 1, SignatureAlgorithm::EcP384)).await.unwrap();
    let key = backend.open(&pin).await.unwrap();
    let seen = format!("{backend:?} {key:#?}");
    assert!(!seen.contains(PASSPHRASE) && seen.contains("private key"), "{seen}");
}

#[tokio::test]
async fn a_reference_leads_nowhere_outside_the_directory() {
    let home = directory();
    let backend = cheap(home.path());
    for reference in [
        "../services-1",
        "services-1/../../x",
        "services",
        "",
        "services-01",
        "awskms:services-1",
        "/etc/x-1",
    ] {
        let error = backend.resolve(reference, SignatureAlgorithm::EcP384).await.unwrap_err();
        assert_eq!(error.code(), "key_refused_configuration", "{reference}: {error}");
    }
}

#[tokio::test]
async fn an_existing_file_is_pinned_by_name_or_uri() {
    let home = directory();
    let backend = cheap(home.path());
    let made = backend.create(&intent(KeyRole::Services, 3, SignatureAlgorithm::EcP256)).await.unwrap();
    for reference in ["services-3", "local:services-3"] {
        assert_eq!(backend.resolve(reference, SignatureAlgorithm::EcP256).await.unwrap(), made);
    }
    let error = backend.resolve("services-3", SignatureAlgorithm::EcP384).await.unwrap_err();
    assert_eq!(error.code(), "key_refused_wrong_type");
    assert!(error.to_string().contains("services-3.pem holds no EC-P384 key"), "{error}");
    let error = backend.resolve("services-4", SignatureAlgorithm::EcP256).await.unwrap_err();
    assert_eq!(error.code(), "key_refused_missing");
    assert!(error.to_string().contains("services-4.pem is missing"), "{error}");
}
