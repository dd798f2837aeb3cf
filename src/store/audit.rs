//! The audit log: every record carries the hash of the one before it.

use crate::identity::Timestamp;

/// One record. `hash` is SHA-256 over `prev_hash` and the other fields, each with its length before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// Counts from 1 without gaps.
    pub seq: i64,
    /// When.
    pub at: Timestamp,
    /// Who, as [`crate::identity::Actor`] shows itself.
    pub actor: String,
    /// What was done: `certificate.issued`, `identity.denied`, …
    pub action: String,
    /// What it was done to: a SPIFFE id, a CA's key identifier, a name.
    pub subject: String,
    /// Details as a JSON object: serial number, SPKI hash, fingerprint.
    pub detail: String,
    /// The record before; 32 zero octets for the first.
    pub prev_hash: [u8; 32],
    /// This record.
    pub hash: [u8; 32],
}

/// Which records to read.
#[derive(Clone, Debug, Default)]
pub struct AuditQuery {
    /// Only later ones than this.
    pub after: i64,
    /// At most so many.
    pub limit: u32,
}

/// The end of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditHead {
    /// The newest record's number; 0 when there is none.
    pub seq: i64,
    /// Its hash; zero when there is none.
    pub hash: [u8; 32],
}

/// What recomputing the chain found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditVerdict {
    /// Whole, up to this head.
    Intact(AuditHead),
    /// This record, or the place where it should be, is not what was written.
    Broken {
        /// The first wrong number.
        seq: i64,
    },
}
