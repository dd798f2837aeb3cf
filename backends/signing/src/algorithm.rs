//! The one table of algorithms: name, X.509 identifier and verifier of each.

use aws_lc_rs::signature::{self as alc, ParsedPublicKey, VerificationAlgorithm};
use std::{fmt, str::FromStr};

/// How a key signs; fixed when the key is pinned, so a CA has one signature algorithm for life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum SignatureAlgorithm {
    /// ECDSA on P-384 with SHA-384 (RFC 5758): the default.
    EcP384,
    /// ECDSA on P-256 with SHA-256 (RFC 5758).
    EcP256,
    /// RSA of 3072 bits, PKCS#1 v1.5 with SHA-256 (RFC 4055).
    Rsa3072,
    /// RSA of 4096 bits, PKCS#1 v1.5 with SHA-256 (RFC 4055).
    Rsa4096,
    /// RSA of 3072 bits, PSS with SHA-256, MGF1-SHA-256 and a salt of 32 octets (RFC 4055).
    Rsa3072Pss,
    /// RSA of 4096 bits, PSS with SHA-256, MGF1-SHA-256 and a salt of 32 octets (RFC 4055).
    Rsa4096Pss,
    /// Ed25519 (RFC 8410).
    Ed25519,
    /// ML-DSA-65, pure mode, empty context (RFC 9881).
    MlDsa65,
    /// ML-DSA-87, pure mode, empty context (RFC 9881).
    MlDsa87,
}

/// The name is none of [`SignatureAlgorithm::ALL`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown algorithm '{0}': use one of EC-P384, EC-P256, RSA-3072, RSA-4096, RSA-3072-PSS, RSA-4096-PSS, ED25519, ML-DSA-65, ML-DSA-87"
)]
pub struct UnknownAlgorithm(pub String);
