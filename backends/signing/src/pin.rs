//! What the CA's store keeps of a key: where it is, how it signs and its whole public key.

use crate::{Result as Answer, SignError, SignatureAlgorithm, external_mu::external_mu, uri};
use aws_lc_rs::digest;
use std::{fmt, str::FromStr};

pub use crate::uri::KeyUriError;

/// Names one key for good: `local:<role>-<generation>`, `awskms:<key ARN>`,
/// `gcpkms:projects/…/cryptoKeyVersions/<n>`, `pkcs11:serial=…;id=%…` (RFC 7512). Only a backend makes one, in
/// `resolve` or `create`; what an operator typed is a `&str`. Never lower-cased, never rewritten.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyUri(String);

/// What the store keeps of a key. The whole SPKI, not its hash: the guard, EXTERNAL_MU and sign-only permission
/// need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPin {
    /// Where the key is.
    pub uri: KeyUri,
    /// How it signs, for life.
    pub algorithm: SignatureAlgorithm,
    /// SubjectPublicKeyInfo, DER (RFC 5280, 4.1.2.7).
    pub spki: Vec<u8>,
}

impl KeyUri {
    /// Checks the grammar of the scheme and keeps the text as it is. Schemes of other backends need a name
    /// (`[a-z][a-z0-9+.-]*`) and a rest of printable ASCII.
    pub fn parse(text: &str) -> Result<Self, KeyUriError> {
        uri::check(text)?;
        Ok(Self(text.to_owned()))
    }

    /// The whole URI, as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before the first colon.
    pub fn scheme(&self) -> &str {
        self.0.split_once(':').map_or("", |(scheme, _)| scheme)
    }

    /// What stands after the first colon.
    pub fn rest(&self) -> &str {
        self.0.split_once(':').map_or("", |(_, rest)| rest)
    }
}

impl fmt::Display for KeyUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for KeyUri {
    type Err = KeyUriError;

    fn from_str(text: &str) -> Result<Self, KeyUriError> {
        Self::parse(text)
    }
}

impl KeyPin {
    /// SHA-256 of the SPKI: what people see and compare.
    pub fn spki_sha256(&self) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, &self.spki).as_ref());
        hash
    }

    /// What a key store that hashes for ML-DSA elsewhere is given in a message's place: µ with an empty context (FIPS 204,
    /// algorithm 7, line 6).
    ///
    /// # Errors
    /// An integrity error where the pinned public key is none.
    pub fn external_mu(&self, message: &[u8]) -> Answer<[u8; 64]> {
        let unreadable = || SignError::integrity(format!("the public key pinned for {} is no key", self.uri));
        external_mu(&self.spki, message).ok_or_else(unreadable)
    }
}
