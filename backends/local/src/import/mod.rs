//! Keys that were made elsewhere, in the files that other programs write: PKCS#8 and PKCS#12.

mod error;
mod mac;
mod pem;
mod pkcs12;
#[cfg(test)]
mod tests;

pub use error::ImportError;

use crate::{
    envelope,
    material::{CAPABILITIES, Material},
};
use catalyst_signing::SignatureAlgorithm;
use der::{
    Decode as _, SliceReader, Tag, Tagged as _,
    asn1::{AnyRef, ObjectIdentifier},
};
use pkcs8::{AlgorithmIdentifierRef, EncryptedPrivateKeyInfoRef, pkcs5::EncryptionScheme};
use secrecy::{ExposeSecret as _, SecretString};
use std::fmt;
use zeroize::Zeroizing;

/// PBES2 (RFC 8018, A.4).
const PBES2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.13");

/// A private key in PKCS#8 (DER).
type Pkcs8 = Zeroizing<Vec<u8>>;

/// A private key that was made elsewhere, of an algorithm that this program signs with; it signs, and its public half
/// verifies that. Its Debug prints nothing of it.
pub struct ImportedKey {
    pub(crate) pkcs8: Pkcs8,
    algorithm: SignatureAlgorithm,
    spki: Vec<u8>,
    certificates: Vec<Vec<u8>>,
}

impl ImportedKey {
    /// Reads the one key of a file: PKCS#8 (RFC 5958), PEM or DER, encrypted with PBES2 or plain, or PKCS#12 (RFC 7292)
    /// whose contents are encrypted with PBES2. `password` is what the file is encrypted with, which is another than
    /// that of the key directory.
    ///
    /// It takes as long as the file's own parameters want, up to some seconds.
    ///
    /// # Errors
    /// [`ImportError::PasswordWanted`] where it is encrypted and no password was given; otherwise what is wrong with it.
    pub fn read(content: &[u8], password: Option<&SecretString>) -> Result<Self, ImportError> {
        let found =
            if pem::is_pem(content) { pem::read(content, password)? } else { read_der(content, password)? };
        let Found { mut keys, certificates } = found;
        let pkcs8 = match (keys.pop(), keys.len()) {
            (None, _) => return Err(ImportError::NoKey),
            (Some(_), others @ 1..) => return Err(ImportError::SeveralKeys(others + 1)),
            (Some(key), 0) => envelope::without_attributes(&key).map_err(|_| ImportError::Unreadable)?,
        };
        let known = |algorithm| {
            let material = Material::read(algorithm, &pkcs8).ok()?;
            let spki = material.spki().ok()?;
            algorithm.verifier(&spki)?;
            Some((algorithm, material, spki))
        };
        let (algorithm, material, spki) = CAPABILITIES
            .iter()
            .find_map(|capability| known(capability.algorithm))
            .ok_or_else(|| ImportError::of_unknown(&pkcs8))?;
        const TRIAL: &[u8] = b"catalyst-pki: does this key sign?";
        let signature = material.sign(TRIAL).map_err(|_| ImportError::Mismatch)?;
        if !algorithm.verify(&spki, TRIAL, &signature) {
            return Err(ImportError::Mismatch);
        }
        Ok(Self { pkcs8, algorithm, spki, certificates })
    }

    /// What it signs with.
    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// Its public half: SubjectPublicKeyInfo, DER.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// The certificates beside it, DER, as they stand there.
    pub fn certificates(&self) -> &[Vec<u8>] {
        &self.certificates
    }
}

impl fmt::Debug for ImportedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImportedKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// What a file holds.
#[derive(Default)]
struct Found {
    keys: Vec<Pkcs8>,
    certificates: Vec<Vec<u8>>,
}

/// PKCS#8, encrypted or not, or PKCS#12: their first element tells.
fn read_der(content: &[u8], password: Option<&SecretString>) -> Result<Found, ImportError> {
    // SEQUENCE of indefinite length (X.690, 8.1.3.6), as some programs write PKCS#12.
    if content.starts_with(&[0x30, 0x80]) {
        return Err(ImportError::Ber);
    }
    let whole = AnyRef::from_der(content).map_err(|_| ImportError::Unreadable)?;
    if whole.tag() != Tag::Sequence {
        return Err(ImportError::Unreadable);
    }
    let mut inside = SliceReader::new(whole.value()).map_err(|_| ImportError::Unreadable)?;
    let first = AnyRef::decode(&mut inside).map_err(|_| ImportError::Unreadable)?;
    let second = AnyRef::decode(&mut inside).map_err(|_| ImportError::Unreadable)?.tag();
    match (first.tag(), first.value()) {
        (Tag::Sequence, _) => Ok(Found { keys: vec![decrypt(content, password)?], ..Found::default() }),
        (Tag::Integer, [3]) => pkcs12::read(content, password),
        // PrivateKeyInfo goes on with an algorithm; the older forms of RSA and EC keys do not.
        (Tag::Integer, [0 | 1]) if second == Tag::Sequence => {
            Ok(Found { keys: vec![Zeroizing::new(content.to_vec())], ..Found::default() })
        }
        (Tag::Integer, [0 | 1]) => Err(ImportError::Traditional),
        _ => Err(ImportError::Unreadable),
    }
}

/// EncryptedPrivateKeyInfo (RFC 5958, 3).
fn decrypt(der: &[u8], password: Option<&SecretString>) -> Result<Pkcs8, ImportError> {
    let Ok(info) = EncryptedPrivateKeyInfoRef::from_der(der) else {
        return Err(unreadable_encryption(der));
    };
    unlock(&info.encryption_algorithm, info.encrypted_data.as_bytes(), password)
}

/// Why an EncryptedPrivateKeyInfo can't be read: its algorithm, or all of it.
fn unreadable_encryption(der: &[u8]) -> ImportError {
    let algorithm = AnyRef::from_der(der).ok().and_then(|whole| {
        let mut inside = SliceReader::new(whole.value()).ok()?;
        AlgorithmIdentifierRef::decode(&mut inside).ok()
    });
    algorithm.map_or(ImportError::Unreadable, |algorithm| {
        scheme(algorithm).err().unwrap_or(ImportError::Unreadable)
    })
}

fn scheme(algorithm: AlgorithmIdentifierRef<'_>) -> Result<EncryptionScheme, ImportError> {
    if algorithm.oid != PBES2 {
        return Err(ImportError::Outdated);
    }
    EncryptionScheme::try_from(algorithm).map_err(|_| ImportError::Parameters)
}

fn unlock(
    scheme: &EncryptionScheme,
    encrypted: &[u8],
    password: Option<&SecretString>,
) -> Result<Pkcs8, ImportError> {
    if scheme.pbes2().is_none() {
        return Err(ImportError::Outdated);
    }
    if !envelope::is_bearable(scheme) {
        return Err(ImportError::Parameters);
    }
    let password = password.ok_or(ImportError::PasswordWanted)?.expose_secret();
    let plain = scheme.decrypt(password, encrypted).map(Zeroizing::new);
    // CBC has no checksum: a wrong password shows as bad padding or, one time in 256, as garbage.
    let plain = plain.map_err(|_| ImportError::WrongPassword)?;
    AnyRef::from_der(&plain).map_err(|_| ImportError::WrongPassword)?;
    Ok(plain)
}
