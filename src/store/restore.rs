//! What is known besides a backup when its store is put back, and what came of it.

use super::{CrlEntry, JournalLine};
use crate::identity::{KeyId, Timestamp};

/// What a store out of a backup is brought up to date with.
#[derive(Clone, Debug)]
pub struct RestorePlan {
    /// When the backup's copy was made.
    pub snapshot_at: Timestamp,
    /// SHA-256 of the backup's manifest.
    pub manifest_sha256: [u8; 32],
    /// CRLs of this store's CAs; whoever gives them has checked their signatures.
    pub crls: Vec<NewerCrl>,
    /// Lines of the denial journal, in their order there.
    pub journal: Vec<JournalLine>,
    /// What stands in the store in whose place it is put.
    pub standing: Option<Standing>,
    /// Tokens and preset secrets of before stay good, but for tokens that are good for a number of times.
    pub keep_tokens: bool,
}

/// What was taken away in a store, and the numbers that verifiers have seen of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    /// What stands, as a journal tells it.
    pub lines: Vec<JournalLine>,
    /// The bundle's version.
    pub bundle_version: i64,
    /// The SPIFFE bundle's sequence number.
    pub spiffe_sequence: i64,
    /// The greatest CRLNumber that each CA has given away.
    pub crl_numbers: Vec<(KeyId, i64)>,
}

/// A CRL that was published after the backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewerCrl {
    /// Whose it is.
    pub issuer: KeyId,
    /// Its CRLNumber.
    pub number: i64,
    /// thisUpdate.
    pub this_update: Timestamp,
    /// nextUpdate.
    pub next_update: Timestamp,
    /// CertificateList, DER.
    pub der: Vec<u8>,
    /// What stands on it.
    pub entries: Vec<CrlEntry>,
}

/// What was done to a store out of a backup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Identities that are denied now and were not in the backup.
    pub denied: u64,
    /// Certificates and CAs that are revoked or on hold now and were not in the backup.
    pub revoked: u64,
    /// Tokens that were revoked.
    pub tokens: u64,
    /// Preset secrets that were revoked.
    pub secrets: u64,
    /// CRLs that were newer than those of the backup.
    pub crls: u64,
    /// What the operator should know, in sentences.
    pub notes: Vec<String>,
}
