//! What the CA's store keeps of a key: where it is, how it signs and its whole public key.

use crate::SignatureAlgorithm;

/// Names one key for good: `local:<role>-<generation>`, `awskms:<key ARN>`,
/// `gcpkms:projects/…/cryptoKeyVersions/<n>`, `pkcs11:serial=…;id=%…`. Only a backend makes one, in `resolve` or
/// `create`; what an operator typed is a `&str`. Never lower-cased, never rewritten.
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
