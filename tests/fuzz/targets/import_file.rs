//! Key files that others made: of any bytes without a password, and of any content encrypted under one.
#![no_main]

use catalyst_local::ImportedKey;
use libfuzzer_sys::fuzz_target;
use pkcs8::{
    EncryptedPrivateKeyInfoRef,
    der::{Encode as _, asn1::OctetStringRef},
    pkcs5::{EncryptionScheme, pbes2},
};

const PASSWORD: &str = "a password for fuzzing";

/// PKCS#8 of this content, at no cost: how much work is bearable is decided elsewhere.
fn encrypted(plain: &[u8]) -> Option<Vec<u8>> {
    let parameters = pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(1, &[1; 16], [2; 16]).ok()?;
    let scheme = EncryptionScheme::from(parameters);
    let sealed = scheme.encrypt(PASSWORD, plain).ok()?;
    let encrypted_data = OctetStringRef::new(&sealed).ok()?;
    EncryptedPrivateKeyInfoRef { encryption_algorithm: scheme, encrypted_data }.to_der().ok()
}

fuzz_target!(|data: &[u8]| {
    let read = match data.split_first() {
        Some((0, plain)) => encrypted(plain).map(|file| ImportedKey::read(&file, Some(&PASSWORD.into()))),
        // Without a password nothing costs work, and PKCS#12 that is not encrypted is read to its last bag.
        _ => Some(ImportedKey::read(data, None)),
    };
    if let Some(Ok(key)) = read {
        assert!(key.algorithm().verifier(key.spki()).is_some());
    }
});
