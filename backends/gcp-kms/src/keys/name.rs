//! How key rings, keys and versions are named.

use catalyst_signing::{KeyUri, Refusal, Result, SignError};
use std::fmt;

/// `projects/<p>/locations/<l>/keyRings/<r>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyRing(String);

/// `<key ring>/cryptoKeys/<k>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CryptoKey(String);

/// `<key>/cryptoKeyVersions/<n>`: what a pin names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Version(KeyUri);

/// What an operator wrote: where keys are made, or which key there is. Kept as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// A key ring, in which keys are made.
    Ring(KeyRing),
    /// An existing key, of which the newest enabled version is meant.
    Key(ReferencedKey),
    /// An existing version.
    Version(ReferencedVersion),
}

/// An existing key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferencedKey(pub(crate) CryptoKey);

/// An existing version of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferencedVersion(pub(crate) Version);

impl KeyRing {
    /// The key of this id in it.
    pub(crate) fn key(&self, id: &str) -> CryptoKey {
        CryptoKey(format!("{self}/cryptoKeys/{id}"))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl CryptoKey {
    /// From what Cloud KMS calls a key.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match Reference::parse(name) {
            Ok(Reference::Key(ReferencedKey(key))) if key.as_str() == name => Some(key),
            _ => None,
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn ring(&self) -> KeyRing {
        ring_of(&self.0)
    }

    /// Its id in its key ring.
    pub(crate) fn id(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }
}

impl Version {
    /// From what Cloud KMS calls a version.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::of(&KeyUri::parse(&format!("gcpkms:{name}")).ok()?)
    }

    /// From a pin.
    pub(crate) fn of(uri: &KeyUri) -> Option<Self> {
        (uri.scheme() == "gcpkms").then(|| Self(uri.clone()))
    }

    pub(crate) fn uri(&self) -> &KeyUri {
        &self.0
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.rest()
    }

    pub(crate) fn key(&self) -> CryptoKey {
        CryptoKey(self.parts().get(..8).unwrap_or_default().join("/"))
    }

    pub(crate) fn project(&self) -> &str {
        self.parts().get(1).copied().unwrap_or_default()
    }

    pub(crate) fn location(&self) -> &str {
        self.parts().get(3).copied().unwrap_or_default()
    }

    /// Its number: the service counts versions.
    pub(crate) fn number(&self) -> u64 {
        self.parts().last().and_then(|number| number.parse().ok()).unwrap_or_default()
    }

    fn parts(&self) -> Vec<&str> {
        self.as_str().split('/').collect()
    }
}

impl Reference {
    /// # Errors
    /// The text is no full name of a key ring, a key or a version.
    pub fn parse(text: &str) -> Result<Self> {
        let name = text.strip_prefix("gcpkms:").unwrap_or(text);
        let parts: Vec<&str> = name.split('/').collect();
        // One grammar for all: that of a version.
        let whole = |rest: &str| Version::parse(&format!("{name}{rest}"));
        let found = match parts.len() {
            6 => whole("/cryptoKeys/k/cryptoKeyVersions/1").map(|_| Self::Ring(KeyRing(name.to_owned()))),
            8 => whole("/cryptoKeyVersions/1").map(|version| Self::Key(ReferencedKey(version.key()))),
            _ => whole("").map(|version| Self::Version(ReferencedVersion(version))),
        };
        found.ok_or_else(|| {
            SignError::refused(
                Refusal::Configuration,
                "no name of Google Cloud KMS: write projects/<p>/locations/<l>/keyRings/<r> for a key ring, \
                 followed by /cryptoKeys/<k> for a key, and by /cryptoKeyVersions/<n> for a version",
            )
        })
    }

    /// The key ring that it is, or that it is in.
    #[must_use]
    pub fn ring(&self) -> KeyRing {
        match self {
            Self::Ring(ring) => ring.clone(),
            Self::Key(ReferencedKey(key)) => ring_of(key.as_str()),
            Self::Version(ReferencedVersion(version)) => ring_of(version.as_str()),
        }
    }
}

fn ring_of(name: &str) -> KeyRing {
    KeyRing(name.split('/').take(6).collect::<Vec<_>>().join("/"))
}

impl fmt::Display for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for CryptoKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
