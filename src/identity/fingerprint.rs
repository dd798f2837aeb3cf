//! SHA-256 names: of a certificate, of a public key; and the key identifier of RFC 5280.

use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use std::{fmt, str::FromStr};

/// SHA-256 of a certificate's DER. Shown as base64url without padding.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; 32]);

/// SHA-256 of a SubjectPublicKeyInfo's DER. Shown as base64url without padding.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpkiHash([u8; 32]);

/// A key identifier (RFC 5280, 4.2.1.2): the leftmost 160 bits of SHA-256 over the public key's BIT STRING
/// (RFC 7093, method 1). Shown as 40 lower-case hex digits; it names a CA in `/pki/crl/{ski}`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; 20]);

/// The text is no SHA-256 fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a SHA-256 fingerprint: expected 43 base64url characters (with or without '=') or 64 hex digits (with or without ':')"
)]
pub struct FingerprintError;

/// SHA-256 of any bytes.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

/// Lower-case hex of any bytes.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// The bytes that an even number of hex digits of either case stand for.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok());
    text.as_bytes().chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

fn parse_sha256(text: &str) -> Result<[u8; 32], FingerprintError> {
    let bare = text.trim();
    let digits: String = bare.chars().filter(|c| *c != ':').collect();
    let bytes = match digits.len() {
        64 => unhex(&digits),
        _ => URL_SAFE_NO_PAD.decode(bare.trim_end_matches('=')).ok(),
    };
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or(FingerprintError)
}

impl Fingerprint {
    /// The fingerprint of a certificate's DER.
    pub fn of_certificate(der: &[u8]) -> Self {
        Self(sha256(der))
    }
}

impl SpkiHash {
    /// The hash of a SubjectPublicKeyInfo's DER.
    pub fn of_spki(der: &[u8]) -> Self {
        Self(sha256(der))
    }
}

impl KeyId {
    /// The identifier of the key whose `subjectPublicKey` bits these are.
    pub fn of_public_key(bits: &[u8]) -> Self {
        let mut id = [0; 20];
        id.copy_from_slice(&sha256(bits)[..20]);
        Self(id)
    }

    /// The 20 octets, as they stand in SKI and AKI.
    pub fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }
}

macro_rules! sha256_name {
    ($name:ident) => {
        impl $name {
            /// The 32 octets.
            pub fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
        impl From<[u8; 32]> for $name {
            fn from(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }
        }
        impl FromStr for $name {
            type Err = FingerprintError;
            fn from_str(text: &str) -> Result<Self, FingerprintError> {
                parse_sha256(text).map(Self)
            }
        }
    };
}
sha256_name!(Fingerprint);
sha256_name!(SpkiHash);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<[u8; 20]> for KeyId {
    fn from(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }
}

impl FromStr for KeyId {
    type Err = FingerprintError;
    /// Takes 40 hex digits of either case.
    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        unhex(text).and_then(|bytes| bytes.try_into().ok()).map(Self).ok_or(FingerprintError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_in_every_form_operators_have() {
        let fingerprint = Fingerprint::of_certificate(b"certificate");
        let shown = fingerprint.to_string();
        let bare = hex(fingerprint.as_bytes());
        let colons: Vec<String> =
            bare.as_bytes().chunks(2).map(|p| String::from_utf8_lossy(p).to_uppercase()).collect();
        for text in [shown.clone(), format!("{shown}="), bare.clone(), colons.join(":")] {
            assert_eq!(text.parse(), Ok(fingerprint), "{text}");
        }
        assert_eq!("abc".parse::<Fingerprint>(), Err(FingerprintError));
        assert_eq!(bare[1..].parse::<Fingerprint>(), Err(FingerprintError));
    }
}
