//! Local key files: of any bytes, and of any content properly encrypted under the passphrase.
#![no_main]

use catalyst_local::LocalBackend;
use catalyst_signing::{
    KeyIntent, KeyLifecycle as _, KeyRole, Nonce, SignatureAlgorithm, SigningBackend as _,
};
use libfuzzer_sys::fuzz_target;
use pkcs8::{
    EncryptedPrivateKeyInfoRef, LineEnding, SecretDocument,
    der::{Decode as _, EncodePem as _, asn1::OctetStringRef},
    pkcs5::{EncryptionScheme, pbes2},
};
use std::{cell::OnceCell, fs, os::unix::fs::PermissionsExt as _, path::PathBuf, time::SystemTime};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const PASSPHRASE: &str = "a passphrase for fuzzing";

struct KeyStore {
    runtime: Runtime,
    backend: LocalBackend,
    file: PathBuf,
    _directory: TempDir,
}

impl KeyStore {
    fn start() -> Self {
        let directory = TempDir::new().unwrap();
        let keys = directory.path().join("keys");
        let backend = LocalBackend::open(keys.clone(), PASSPHRASE.into()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let file = keys.join("services-1.pem");
        Self { runtime, backend, file, _directory: directory }
    }

    fn read(&self, content: &[u8]) {
        fs::write(&self.file, content).unwrap();
        fs::set_permissions(&self.file, fs::Permissions::from_mode(0o600)).unwrap();
        let intent = KeyIntent {
            deployment: "0123456789abcdef".into(),
            role: KeyRole::Services,
            generation: 1,
            algorithm: SignatureAlgorithm::EcP384,
            nonce: Nonce::from_bytes([7; 16]),
            created_at: SystemTime::now(),
        };
        self.runtime.block_on(async {
            let _ = self.backend.resolve("services-1", SignatureAlgorithm::EcP384).await;
            // The intent's HMAC is beyond a fuzzer that does not know the key.
            assert!(!matches!(self.backend.find(&intent).await, Ok(Some(_))));
        });
    }
}

/// Whether opening it takes no time worth speaking of: how much work is bearable is decided elsewhere.
fn is_cheap(pem: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(pem) else { return true };
    let Ok((_, document)) = SecretDocument::from_pem(text) else { return true };
    let Ok(info) = EncryptedPrivateKeyInfoRef::from_der(document.as_bytes()) else { return true };
    let EncryptionScheme::Pbes2(scheme) = &info.encryption_algorithm else { return true };
    match &scheme.kdf {
        pbes2::Kdf::Scrypt(kdf) => {
            let work = kdf.cost_parameter.saturating_mul(u64::from(kdf.block_size));
            work.saturating_mul(u64::from(kdf.parallelization)) <= 1024
        }
        pbes2::Kdf::Pbkdf2(kdf) => kdf.iteration_count <= 1000,
        _ => true,
    }
}

fn encrypted(plain: &[u8]) -> Option<String> {
    let parameters = pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(1, &[1; 16], [2; 16]).ok()?;
    let scheme = EncryptionScheme::from(parameters);
    let sealed = scheme.encrypt(PASSPHRASE, plain).ok()?;
    let encrypted_data = OctetStringRef::new(&sealed).ok()?;
    EncryptedPrivateKeyInfoRef { encryption_algorithm: scheme, encrypted_data }.to_pem(LineEnding::LF).ok()
}

thread_local! {
    static KEY_STORE: OnceCell<KeyStore> = const { OnceCell::new() };
}

fuzz_target!(|data: &[u8]| {
    KEY_STORE.with(|store| {
        let store = store.get_or_init(KeyStore::start);
        match data.split_first() {
            Some((0, plain)) => {
                if let Some(pem) = encrypted(plain) {
                    store.read(pem.as_bytes());
                }
            }
            _ if is_cheap(data) => store.read(data),
            _ => {}
        }
    });
});
