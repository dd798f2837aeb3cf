//! Lines of the denial journal, which is kept beside backups: what was denied and revoked after the newest of them.

use crate::identity::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The journal's name in the directory of backups.
pub const JOURNAL: &str = "denied.jsonl";

/// Actions of audit records that take something away or give it back, and so stand in the journal.
pub const JOURNALLED: [&str; 6] = [
    "identity.denied",
    "identity.allowed",
    "certificate.revoked",
    "ca.revoked",
    "token.revoked",
    "secret.revoked",
];

/// One line: an audit record as far as a restore needs it.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JournalLine {
    /// The deployment id, 16 hex digits.
    pub deployment: String,
    /// The audit record's number; 0 for a line that tells what stood in the store when the journal was begun.
    pub seq: i64,
    /// When, in milliseconds since the epoch.
    pub at: i64,
    /// One of [`JOURNALLED`].
    pub action: String,
    /// A SPIFFE id, a serial number, a CA's key identifier, a token's `jti`, or a kind of preset secret.
    pub subject: String,
    /// As in the audit record.
    pub detail: Value,
}

/// Lines, and how far they tell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JournalPiece {
    /// The lines.
    pub lines: Vec<JournalLine>,
    /// The audit record up to which everything is in them.
    pub up_to: i64,
}

impl JournalLine {
    /// When it happened.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        Timestamp::from_millis(self.at)
    }
}
