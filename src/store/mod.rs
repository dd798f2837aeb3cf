//! What the CA remembers: public material and metadata only, never a private key, token or passphrase.
//!
//! [`Store`] is the contract. Its methods are whole steps of the CA, one transaction each: the check, the row and
//! the audit record commit together or not at all. For one identity, denying and recording are serial.

mod adoption;
mod audit;
mod certificate;
#[cfg(test)]
pub(crate) mod conformance;
mod copy;
mod data_dir;
mod error;
mod hierarchy;
mod journal;
mod restore;
mod revocation;
mod sqlite;
mod token;

pub use adoption::{AdoptOutcome, AdoptRefusal};
pub use audit::{AuditEntry, AuditHead, AuditQuery, AuditRecord, AuditVerdict};
pub use certificate::{
    CertificateQuery, CertificateRow, CertificateStatus, IssuanceLimit, IssuanceRecord, IssuedCertificate,
    KeyRefusal, Preflight, RecordOutcome, SignedCertificate, Summary,
};
pub use copy::{CaFacts, CrlFacts, KeyFacts, StoreFacts};
pub use data_dir::{DataDirLock, UNFINISHED_RESTORE};
pub use error::{Result, StoreError};
pub use hierarchy::{
    CaIntention, CaPlan, CaRow, Deployment, Hierarchy, InitPlan, KeyIntention, KeyRole, KeyRow, KeyRowState,
    MadeKey, SignedCa,
};
pub use journal::{JOURNAL, JOURNALLED, JournalLine, JournalPiece};
pub use restore::{NewerCrl, RestorePlan, Restored, Standing};
pub use revocation::{
    AllowOutcome, CrlEntry, CrlPublication, CrlReservation, CrlRow, Denial, DenyOutcome, ExpiringCertificate,
    RevocationReason,
};
pub use sqlite::{
    Copied, Occupant, PendingMigration, SqliteStore, StoreCopy, copy_store, occupant, pending_migration,
    restore_store, standing,
};
pub use token::{
    BootstrapGrant, BootstrapUse, PresetSecret, RenewalUse, Ticket, TicketRefusal, TokenQuery, TokenRecord,
    TokenRow, TokenSelector,
};

use crate::identity::{
    Actor, DnsName, Fingerprint, InstanceId, KeyId, Serial, SpiffeId, SpkiHash, Timestamp,
};

/// When a step is taken, and by whom; every changing method writes it into the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The CA's clock.
    pub at: Timestamp,
    /// Who asked.
    pub by: Actor,
}

/// That a store was put back from a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restoration {
    /// When the copy was made: what was issued later may be unknown.
    pub snapshot_at: Timestamp,
    /// When the store was put in place.
    pub restored_at: Timestamp,
    /// When an operator said that the instance of before is gone; until then nothing is issued.
    pub confirmed_at: Option<Timestamp>,
}

impl Restoration {
    /// From when to when a certificate that the store does not know may have begun: what was issued after the copy, by
    /// an instance that is gone since `confirmed_at`, or may still be there at `now`. notBefore lies a minute back in
    /// each certificate, and on a whole second.
    pub fn window(&self, now: Timestamp) -> std::ops::RangeInclusive<Timestamp> {
        self.snapshot_at.plus_seconds(-60).whole_seconds()..=self.confirmed_at.unwrap_or(now)
    }
}

/// A backup that was wholly verified, as whoever verified it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedBackup {
    /// When its copy was made.
    pub created_at: Timestamp,
    /// SHA-256 of its manifest.
    pub manifest_sha256: [u8; 32],
    /// When it was reported.
    pub verified_at: Timestamp,
}

/// The contract of a store. The suite in `store::conformance` states it for every implementation.
///
/// Every method fails with [`StoreError`] when the storage itself fails; then nothing of the step has happened.
#[async_trait::async_trait]
pub trait Store: Send + Sync + std::fmt::Debug {
    // ---- the deployment -------------------------------------------------------------------------------------

    /// What this store belongs to.
    async fn deployment(&self) -> Result<Deployment>;

    /// The newest time that this store was put back, if it ever was.
    async fn restoration(&self) -> Result<Option<Restoration>>;

    /// Ends the recovery: the instance of before is gone. Answers whether one was unconfirmed.
    async fn confirm_restoration(&self, stamp: &Stamp) -> Result<bool>;

    /// Records a certificate that one of our CAs signed and that the store does not know: it was issued after the copy
    /// was made that the store came from. What speaks against it is looked at in one step: a notBefore outside the
    /// window ([`Restoration::window`]), its end, a denial, an entry on a CRL, the issuer's state, the key rules, the
    /// owners of its names. Counts and owns names as an issued one does; limit and ticket do not matter.
    async fn adopt_certificate(&self, certificate: SignedCertificate, stamp: &Stamp) -> Result<AdoptOutcome>;
    /// The newest backup that was reported as wholly verified.
    async fn verified_backup(&self) -> Result<Option<VerifiedBackup>>;

    /// Takes note that a backup of this store was wholly verified, with an audit record. Of several the one that was
    /// made last is kept; of one that is reported again, the newest report.
    async fn record_verified_backup(
        &self,
        created_at: Timestamp,
        manifest_sha256: [u8; 32],
        stamp: &Stamp,
    ) -> Result<()>;

    /// The newest time that any step was recorded at; the clock must not be far behind it.
    async fn newest_time(&self) -> Result<Timestamp>;

    // ---- keys and CAs ---------------------------------------------------------------------------------------

    /// Commits what the hierarchy will be, before anything is made. If a plan was committed already, that one is
    /// answered and nothing changes. Stores the trust domain for good.
    async fn begin_initialization(&self, plan: &InitPlan, stamp: &Stamp) -> Result<InitPlan>;

    /// Everything known of keys and CAs, the plan and the bundle's versions.
    async fn hierarchy(&self) -> Result<Hierarchy>;

    /// Commits the intent to make (or take) a key, before the key store is asked. Idempotent per role and
    /// generation: the row that is there already is answered. [`StoreError::Conflict`] while the role has another
    /// key that is not yet active.
    async fn intend_key(&self, key: &KeyIntention, stamp: &Stamp) -> Result<KeyRow>;

    /// Records where the key is and its public half. Idempotent for the same values; [`StoreError::Conflict`] when
    /// the SPKI belongs to another key, or the row holds other values.
    async fn record_key_made(
        &self,
        role: KeyRole,
        generation: u32,
        made: &MadeKey,
        stamp: &Stamp,
    ) -> Result<KeyRow>;

    /// Makes a token key the one that signs. The earlier one is retired and verifies until `grace_until`, `stamp.at`
    /// for no grace; earlier ones still never longer than they did. The fresh system token, made with the new key, is
    /// recorded in the same step. Answers how many unrevoked tokens of earlier keys outlive that moment by their `exp`.
    /// Idempotent: for the key that is active already nothing changes, and the answer is 0.
    async fn activate_token_key(
        &self,
        generation: u32,
        grace_until: Timestamp,
        system_token: Option<&TokenRecord>,
        stamp: &Stamp,
    ) -> Result<u64>;

    /// Commits the TBS bytes of a CA certificate before they are signed. If bytes were committed already for this
    /// key, those are answered: what is signed after a crash is what was meant before it.
    async fn intend_ca(&self, ca: &CaIntention, stamp: &Stamp) -> Result<CaIntention>;

    /// Records all certificates of the planned hierarchy and makes them active, in one step: before it nothing is
    /// served, after it everything. Idempotent once complete.
    async fn complete_initialization(&self, cas: &[SignedCa], stamp: &Stamp) -> Result<()>;

    /// Records a further intermediate. The first of its role is active at once; a later one waits for
    /// [`Store::activate_ca`]. In the bundle from now on.
    async fn record_intermediate(&self, ca: &SignedCa, stamp: &Stamp) -> Result<()>;

    /// Makes a CA the one that issues for its role. [`StoreError::Conflict`] when it is retired, revoked or
    /// expired. The caller has checked how long it was published.
    async fn activate_ca(&self, ca: KeyId, stamp: &Stamp) -> Result<()>;

    /// Records another address of a CA's key, as the operator typed it and as its key store names it.
    /// [`StoreError::Conflict`] when `made` has another public key than the CA. Idempotent for the same values. The
    /// caller has seen that the key signs there.
    async fn repin_ca(
        &self,
        ca: KeyId,
        backend: &str,
        reference: &str,
        made: &MadeKey,
        stamp: &Stamp,
    ) -> Result<()>;

    /// Takes a CA out of the bundle. [`StoreError::Conflict`] while it is active or certificates of it live.
    async fn retire_ca(&self, ca: KeyId, stamp: &Stamp) -> Result<()>;

    /// Revokes an intermediate: out of every bundle and onto the root's CRL, in one step.
    async fn revoke_ca(&self, ca: KeyId, reason: RevocationReason, stamp: &Stamp) -> Result<()>;

    /// Raises the bundle's versions if a CA has expired since they were last set; answers whether it did.
    async fn refresh_bundle(&self, at: Timestamp) -> Result<bool>;

    // ---- issuance -------------------------------------------------------------------------------------------

    /// What is known against an issuance, asked before a signature is spent. [`Store::record_issued`] decides.
    async fn preflight(
        &self,
        spiffe_id: &SpiffeId,
        spki: SpkiHash,
        names: &[DnsName],
        limit: Option<IssuanceLimit>,
        ticket: Option<&Ticket>,
        at: Timestamp,
    ) -> Result<Preflight>;

    /// Records a signed certificate, or refuses it: clock, deny list, ticket, issuer's state, key rules, name owners,
    /// limit, row and audit record in one step, and in this order. Only its answer makes an [`IssuedCertificate`].
    ///
    /// A bootstrap credential is [`TicketRefusal::Spent`] when its token or preset secret is revoked, or when it has
    /// brought as many certificates as it may; purging them gives none back. A certificate proves a renewal, or is
    /// handed out again, while it is active and its CA is not revoked. What is refused uses nothing up.
    /// [`StoreError::Conflict`] for a credential that begins with `preset:` and goes on with no SHA-256.
    async fn record_issued(&self, certificate: SignedCertificate, stamp: &Stamp) -> Result<RecordOutcome>;

    /// Certificates, newest first, at most `query.limit`; CA certificates included. Expired ones of all identities
    /// come in the order of their ends, the latest first.
    async fn certificates(&self, query: &CertificateQuery, at: Timestamp) -> Result<Vec<CertificateRow>>;

    /// One certificate by serial number.
    async fn certificate(&self, serial: Serial, at: Timestamp) -> Result<Option<CertificateRow>>;

    /// One certificate by fingerprint.
    async fn certificate_by_fingerprint(
        &self,
        fingerprint: Fingerprint,
        at: Timestamp,
    ) -> Result<Option<CertificateRow>>;

    /// Counts for status and metrics; its cost does not grow with the number of certificates.
    async fn summary(&self, at: Timestamp) -> Result<Summary>;

    /// Deletes at most `limit` end-entity certificates that expired before `before`; answers how many. Never an
    /// owner of names, a CRL entry, a blocked key or an audit record.
    async fn purge_expired(&self, before: Timestamp, limit: u32, stamp: &Stamp) -> Result<u64>;

    /// Who owns a DNS name.
    async fn name_owner(&self, name: &DnsName) -> Result<Option<InstanceId>>;

    /// Gives a DNS name free; answers whether it had an owner.
    async fn release_name(&self, name: &DnsName, stamp: &Stamp) -> Result<bool>;

    // ---- denial and revocation ------------------------------------------------------------------------------

    /// Puts an identity on the deny list and its unexpired certificates on hold, or revokes them for good
    /// (`compromised`). Denying again is no error; `compromised` then turns holds into revocations. Revokes the tokens
    /// that are bound to any of its certificates, expired ones included; no later allowing brings them back.
    async fn deny_identity(
        &self,
        spiffe_id: &SpiffeId,
        reason: &str,
        compromised: bool,
        stamp: &Stamp,
    ) -> Result<DenyOutcome>;

    /// Lifts a denial and its holds; what was revoked for good stays so.
    async fn allow_identity(&self, spiffe_id: &SpiffeId, stamp: &Stamp) -> Result<AllowOutcome>;

    /// The deny list, newest first.
    async fn denied_identities(&self) -> Result<Vec<Denial>>;

    /// Revokes one end-entity certificate for good, and the tokens that are bound to it. `None`: no such serial
    /// number. Answers its issuer.
    async fn revoke_certificate(
        &self,
        serial: Serial,
        reason: RevocationReason,
        stamp: &Stamp,
    ) -> Result<Option<KeyId>>;

    /// Commits the number of the next CRL of this CA, `max(last + 1, unix seconds)`, and answers what stands on it.
    async fn reserve_crl(&self, issuer: KeyId, stamp: &Stamp) -> Result<CrlReservation>;

    /// Publishes a signed CRL; `false` (and nothing changes) when a later number is published already. Entries
    /// whose certificate had expired before its `this_update` have now stood on one CRL beyond that and go.
    async fn publish_crl(&self, crl: &CrlPublication, stamp: &Stamp) -> Result<bool>;

    /// Of each CA certificate the published CRL, and whether a change waits for the next one.
    async fn crls(&self) -> Result<Vec<CrlRow>>;

    // ---- tokens ---------------------------------------------------------------------------------------------

    /// Records a token that was made (never the token itself); a name that stands twice among its SANs is kept once.
    /// [`StoreError::Conflict`] when its `jti` is recorded already.
    async fn record_token(&self, token: &TokenRecord, stamp: &Stamp) -> Result<()>;

    /// The record of a token.
    async fn token(&self, jti: &str) -> Result<Option<TokenRecord>>;

    /// Tokens, newest first, at most `query.limit`.
    async fn tokens(&self, query: &TokenQuery) -> Result<Vec<TokenRow>>;

    /// Revokes tokens; answers those that were neither revoked nor expired, as they are now. A selector that fits none
    /// is no error. Each leaves an audit record.
    async fn revoke_tokens(&self, which: &TokenSelector, stamp: &Stamp) -> Result<Vec<TokenRecord>>;

    /// The `jti` of every revoked token that has not expired, ascending.
    async fn revoked_tokens(&self, at: Timestamp) -> Result<Vec<String>>;

    /// Deletes at most `limit` records of tokens that ended before `before`, with what they have used up, and as many
    /// uses of preset secrets from before it; answers how many of the two. Their audit records stay. `before` lies
    /// further back than any certificate lives, so that none that they brought can be asked for again.
    async fn purge_tokens(&self, before: Timestamp, limit: u32) -> Result<u64>;

    /// Remembers the hash of a preset secret the first time it is seen.
    async fn preset_secret(&self, kind: &str, sha256: &[u8; 32], stamp: &Stamp) -> Result<PresetSecret>;

    /// Revokes a preset secret for good; answers whether it was known and good until now.
    async fn revoke_preset_secret(&self, kind: &str, sha256: &[u8; 32], stamp: &Stamp) -> Result<bool>;

    /// Rises with every commit that ends something a credential rests on, before the commit's caller is answered: a
    /// token or preset secret was revoked, an identity denied, a certificate or CA revoked, another token key activated.
    /// It may rise once too often, never too rarely. What is kept of a check goes with the count that was read before
    /// the check; at another count it must be checked again. Begins at 0 with each opening.
    fn revocations(&self) -> u64;

    // ---- audit ----------------------------------------------------------------------------------------------

    /// Audit records in ascending order. Filters are applied along the log, without an index: with one that fits few
    /// records, everything from `after` on is read.
    async fn audit(&self, query: &AuditQuery) -> Result<Vec<AuditRecord>>;

    /// Writes records that stand for themselves, all in one step: policy denials, changes of policy.
    async fn append_audit(&self, entries: &[AuditEntry], stamp: &Stamp) -> Result<()>;

    /// Takes note of the policies that hold from now on, by their hash; an audit record where they are not those of
    /// before. Answers whether they took others' place; the first of a store do not.
    async fn policies_in_force(&self, hash: &str, stamp: &Stamp) -> Result<bool>;

    /// Where the records in the store begin: the head up to which they were sealed and dropped; zero at first.
    async fn audit_base(&self) -> Result<AuditHead>;

    /// Drops the records up to and including `sealed`, which now lie in a sealed file that `name` names; what is left
    /// continues from there, and an `audit.sealed` record says so. At most 5,000 records at once, so that the step stays
    /// short. Idempotent for the same head and name. [`StoreError::Conflict`] when `sealed` is not a record of this
    /// chain, or further off.
    async fn drop_sealed_audit(&self, sealed: AuditHead, name: &str, stamp: &Stamp) -> Result<()>;

    /// The newest record's number and hash.
    async fn audit_head(&self) -> Result<AuditHead>;

    /// Recomputes the whole chain, from its base to its head.
    async fn verify_audit(&self) -> Result<AuditVerdict>;

    // ---- the journal of denials -----------------------------------------------------------------------------

    /// Up to which audit record the journal has what belongs there.
    async fn journalled(&self) -> Result<i64>;

    /// Notes that the journal has everything up to this audit record; never moves back.
    async fn set_journalled(&self, up_to: i64) -> Result<()>;

    /// The journal's lines of the audit records after this one, ascending. Records that were sealed and dropped have
    /// none.
    async fn journal_after(&self, seq: i64) -> Result<JournalPiece>;

    /// What stands at this moment, as lines of number 0: denials, revocations of certificates and tokens that have not
    /// ended, of preset secrets, of CAs.
    async fn journal_of_all(&self, at: Timestamp) -> Result<JournalPiece>;

    // ---- the end --------------------------------------------------------------------------------------------

    /// Finishes what is queued and lets go of the files.
    async fn close(&self) -> Result<()>;
}
