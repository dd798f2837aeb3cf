//! The audit log: every record carries the hash of the one before it.

use crate::identity::{Actor, Timestamp};
use aws_lc_rs::digest;

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

impl AuditRecord {
    /// The record that follows `head`.
    pub(in crate::store) fn after(
        head: AuditHead,
        at: Timestamp,
        actor: &Actor,
        action: &str,
        subject: String,
        detail: String,
    ) -> Self {
        let mut record = Self {
            seq: head.seq + 1,
            at,
            actor: actor.to_string(),
            action: action.to_owned(),
            subject,
            detail,
            prev_hash: head.hash,
            hash: [0; 32],
        };
        record.hash = record.computed_hash();
        record
    }

    /// What `hash` has to be: SHA-256 over the previous hash, number, time (both 8 octets, big-endian), actor,
    /// action, subject and detail, each with its length before it (8 octets, big-endian).
    pub fn computed_hash(&self) -> [u8; 32] {
        let mut context = digest::Context::new(&digest::SHA256);
        let fields: [&[u8]; 7] = [
            &self.prev_hash,
            &self.seq.to_be_bytes(),
            &self.at.millis().to_be_bytes(),
            self.actor.as_bytes(),
            self.action.as_bytes(),
            self.subject.as_bytes(),
            self.detail.as_bytes(),
        ];
        for field in fields {
            context.update(&(field.len() as u64).to_be_bytes());
            context.update(field);
        }
        let mut hash = [0; 32];
        hash.copy_from_slice(context.finish().as_ref());
        hash
    }

    /// The chain up to and including this record.
    pub fn head(&self) -> AuditHead {
        AuditHead { seq: self.seq, hash: self.hash }
    }
}

/// What is to be written, by whoever the stamp names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// As in [`AuditRecord`].
    pub action: String,
    /// As in [`AuditRecord`].
    pub subject: String,
    /// As in [`AuditRecord`].
    pub detail: String,
}

/// Which records to read. Filters must all hold.
#[derive(Clone, Debug, Default)]
pub struct AuditQuery {
    /// Only later ones than this.
    pub after: i64,
    /// At most so many.
    pub limit: u32,
    /// This action, or with a dot at the end every action that begins so: `certificate.`.
    pub action: Option<String>,
    /// This actor, as it shows itself.
    pub actor: Option<String>,
    /// This subject.
    pub subject: Option<String>,
    /// At or after.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
}

/// The end of the chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
