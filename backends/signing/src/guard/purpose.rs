//! What a key may sign, and what comes out.

use crate::SignatureAlgorithm;
use std::fmt;

/// What a signature is for: a CA key refuses a token, a token key a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A TBSCertificate.
    Certificate,
    /// A TBSCertList.
    Crl,
    /// A token's JWS signing input.
    Token,
    /// A backup's manifest.
    Manifest,
    /// The head of the audit log.
    AuditHead,
    /// A health probe; open to every key whose policy has `probe`.
    Probe,
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certificate => "certificates",
            Self::Crl => "CRLs",
            Self::Token => "tokens",
            Self::Manifest => "backup manifests",
            Self::AuditHead => "audit heads",
            Self::Probe => "probes",
        })
    }
}

/// How one key is to be used; made by whoever owns the key, checked at every signature.
#[derive(Clone, Debug)]
pub struct KeyPolicy {
    /// The CA's name, for logs and metrics.
    pub name: String,
    /// The deployment's id, 16 hex digits; part of what probes sign.
    pub deployment: String,
    /// What the key may sign besides probes.
    pub purposes: &'static [Purpose],
    /// How many calls may be under way at once (at least 1).
    pub concurrency: usize,
    /// Whether the guard may make probe signatures; false for the root.
    pub probe: bool,
}

impl KeyPolicy {
    pub(super) fn allows(&self, purpose: Purpose) -> bool {
        match purpose {
            Purpose::Probe => self.probe,
            other => self.purposes.contains(&other),
        }
    }
}

/// A message and the signature that was verified over it under the pinned key. Only the guard makes one, and it is
/// not `Clone`: one request, one signature.
#[derive(Debug)]
#[non_exhaustive]
pub struct Verified {
    /// The bytes that were signed.
    pub message: Vec<u8>,
    /// The X.509 signature value.
    pub signature: Vec<u8>,
    /// How it was made.
    pub algorithm: SignatureAlgorithm,
}
