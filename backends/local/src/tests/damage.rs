//! Files that were cut, altered, exchanged, or encrypted by somebody else.

use super::*;
use crate::{LocalError, envelope};
use catalyst_signing::{Guard, KeyPolicy, NoObserver, Purpose};
use proptest::prelude::*;
use std::{fs, sync::Arc};

async fn one_key(home: &Path) -> (LocalBackend, KeyIntent, catalyst_signing::KeyPin) {
    let backend = cheap(home);
    let intent = intent(KeyRole::Services, 1, SignatureAlgorithm::EcP384);
    let pin = backend.create(&intent).await.unwrap();
    (backend, intent, pin)
}

#[tokio::test]
async fn a_wrong_passphrase_is_named_and_is_a_pin_refusal() {
    let home = directory();
    let (_, intent, pin) = one_key(home.path()).await;
    let other = LocalBackend::open(home.path().to_owned(), "another passphrase than before".into()).unwrap();
    for error in [other.open(&pin).await.unwrap_err(), other.find(&intent).await.unwrap_err()] {
        assert_eq!(error.code(), "key_refused_pin");
        assert!(error.to_string().contains("services-1.pem does not open with this passphrase"), "{error}");
    }
}

#[tokio::test]
async fn a_file_cut_at_any_length_is_an_error() {
    let home = directory();
    let (backend, _, pin) = one_key(home.path()).await;
    let path = home.path().join("services-1.pem");
    let whole = fs::read(&path).unwrap();
    let passphrase = SecretString::from(PASSPHRASE);
    for length in 0..whole.len() - 1 {
        let error = envelope::unlock(&whole[..length], &passphrase, &path).err();
        assert!(matches!(error, Some(LocalError::Truncated(_))), "cut at {length}: {error:?}");
    }
    // The last octet is the newline after the END line, which PEM does not need.
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let error = backend.open(&pin).await.unwrap_err();
    assert_eq!(error.code(), "key_integrity");
    assert!(error.to_string().contains("services-1.pem is truncated"), "{error}");
}

#[tokio::test]
async fn a_key_that_is_not_encrypted_is_refused() {
    let home = directory();
    let (backend, _, pin) = one_key(home.path()).await;
    fs::write(
        home.path().join("services-1.pem"),
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    )
    .unwrap();
    let error = backend.open(&pin).await.unwrap_err();
    assert!(error.to_string().contains("holds 'PRIVATE KEY', not an encrypted PKCS#8 key"), "{error}");
}

#[tokio::test]
async fn another_intents_file_under_this_name_is_not_adopted() {
    let home = directory();
    let (backend, intent, pin) = one_key(home.path()).await;
    let changed = [
        KeyIntent { nonce: Nonce::from_bytes([7; 16]), ..intent.clone() },
        KeyIntent { deployment: "fedcba9876543210".to_owned(), ..intent.clone() },
        KeyIntent { algorithm: SignatureAlgorithm::EcP256, ..intent.clone() },
        KeyIntent { created_at: intent.created_at + std::time::Duration::from_secs(400), ..intent.clone() },
    ];
    for other in changed {
        for error in [backend.find(&other).await.unwrap_err(), backend.create(&other).await.unwrap_err()] {
            assert_eq!(error.code(), "key_refused_ambiguous");
            assert!(error.to_string().contains("services-1.pem is there, but was not made for"), "{error}");
        }
    }
    assert_eq!(backend.find(&intent).await.unwrap(), Some(pin));
}

#[tokio::test]
async fn another_roles_file_put_in_its_place_is_not_adopted() {
    let home = directory();
    let (backend, intent, _) = one_key(home.path()).await;
    backend.create(&super::intent(KeyRole::Transport, 1, SignatureAlgorithm::EcP384)).await.unwrap();
    fs::copy(home.path().join("transport-1.pem"), home.path().join("services-1.pem")).unwrap();
    let error = backend.find(&intent).await.unwrap_err();
    assert_eq!(error.code(), "key_refused_ambiguous");
}

#[tokio::test]
async fn a_file_exchanged_with_another_cas_keeps_that_ca_down() {
    let home = directory();
    let (backend, _, pin) = one_key(home.path()).await;
    backend.create(&super::intent(KeyRole::Transport, 1, SignatureAlgorithm::EcP384)).await.unwrap();
    fs::copy(home.path().join("transport-1.pem"), home.path().join("services-1.pem")).unwrap();
    let policy = KeyPolicy {
        name: "services".to_owned(),
        deployment: "0123456789abcdef".to_owned(),
        purposes: &[Purpose::Certificate],
        concurrency: 1,
        probe: true,
    };
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(5);
    let opened = Guard::new(Arc::new(NoObserver)).open(Arc::new(backend), pin, policy, deadline).await;
    let error = opened.unwrap_err();
    assert_eq!(error.code(), "key_integrity");
    assert!(
        error.to_string().contains("local:services-1 holds another key than the one pinned for services")
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Altered ciphertext never opens as the same file, and never panics.
    #[test]
    fn altered_bytes_never_panic(at in 0usize..400, bits in 1u8..=255, key in any::<[u8; 32]>()) {
        let pem = altered(at, bits, &key);
        let _ = envelope::unlock(&pem, &SecretString::from(PASSPHRASE), Path::new("k.pem"));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(envelope::unlock(&bytes, &SecretString::from(PASSPHRASE), Path::new("k.pem")).is_err());
    }
}

fn altered(at: usize, bits: u8, seed: &[u8]) -> Vec<u8> {
    use crate::{envelope::Cost, material::Material};
    let pkcs8 = Material::generate(SignatureAlgorithm::Ed25519).unwrap().unwrap();
    let pem = envelope::lock(&pkcs8, seed, &SecretString::from(PASSPHRASE), Cost::TEST).unwrap();
    let (label, mut der) = der::pem::decode_vec(pem.as_bytes()).unwrap();
    let at = at % der.len();
    der[at] ^= bits;
    der::pem::encode_string(label, der::pem::LineEnding::LF, &der).unwrap().into_bytes()
}
