//! The files are plain enough for the real `openssl`, and its files for us.

use super::*;
use std::process::Command;

fn openssl(arguments: &[&str], file: &Path) -> Vec<u8> {
    let output = Command::new("openssl").args(arguments).arg("-in").arg(file).output().unwrap();
    assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// At full cost, for that is what `openssl` must be able to open by default.
#[tokio::test]
async fn openssl_opens_our_files_and_sees_the_pinned_key() {
    let home = directory();
    let backend = LocalBackend::open(home.path().to_owned(), PASSPHRASE.into()).unwrap();
    let algorithms = [
        SignatureAlgorithm::EcP384,
        SignatureAlgorithm::EcP256,
        SignatureAlgorithm::Ed25519,
        SignatureAlgorithm::Rsa3072,
    ];
    for (generation, algorithm) in (1..).zip(algorithms) {
        let pin = backend.create(&intent(KeyRole::Services, generation, algorithm)).await.unwrap();
        let file = home.path().join(format!("services-{generation}.pem"));
        let password = format!("pass:{PASSPHRASE}");
        let public = openssl(&["pkey", "-pubout", "-outform", "DER", "-passin", &password], &file);
        assert_eq!(public, pin.spki, "{algorithm}");

        let shown = String::from_utf8(openssl(&["asn1parse"], &file)).unwrap();
        for expected in [
            "PBES2",
            "scrypt",
            "aes-256-cbc",
            "INTEGER           :4000",
            "INTEGER           :08",
            "INTEGER           :05",
        ] {
            assert!(shown.contains(expected), "no {expected} in {shown}");
        }
    }
}

#[tokio::test]
async fn a_key_that_openssl_made_is_pinned_and_opened() {
    let home = directory();
    let backend = cheap(home.path());
    let made = Command::new("openssl")
        .args(["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384", "-aes-256-cbc"])
        .args(["-pass", &format!("pass:{PASSPHRASE}"), "-out"])
        .arg(home.path().join("root-1.pem"))
        .status();
    assert!(made.unwrap().success());
    let pin = backend.resolve("root-1", SignatureAlgorithm::EcP384).await.unwrap();
    let signature = backend.open(&pin).await.unwrap().sign(b"message").await.unwrap();
    assert!(pin.algorithm.verify(&pin.spki, b"message", &signature));
    // It was made for no intent of ours, so none adopts it.
    let error = backend.find(&intent(KeyRole::Root, 1, SignatureAlgorithm::EcP384)).await.unwrap_err();
    assert!(error.to_string().contains("carries no intent"), "{error}");
}
