//! What a [`Store`] promises, method by method: which of the steps runs, and whether the writer or a reader runs it.

use super::{
    super::{
        AdoptOutcome, AllowOutcome, AuditEntry, AuditHead, AuditQuery, AuditRecord, AuditVerdict,
        CaIntention, CertificateQuery, CertificateRow, CrlPublication, CrlReservation, CrlRow, Denial,
        DenyOutcome, Deployment, Hierarchy, InitPlan, IssuanceLimit, JournalPiece, KeyIntention, KeyRole,
        KeyRow, MadeKey, Preflight, PresetSecret, RecordOutcome, Restoration, Result, RevocationReason,
        SignedCa, SignedCertificate, Stamp, Store, Summary, Ticket, TokenQuery, TokenRecord, TokenRow,
        TokenSelector, VerifiedBackup,
    },
    SqliteStore, adopt, audit, ca, crl, deny, deployment, issue, journal, key, list, recovery, secret, token,
};
use crate::identity::{DnsName, Fingerprint, InstanceId, KeyId, Serial, SpiffeId, SpkiHash, Timestamp};
use std::sync::{Arc, atomic::Ordering};

#[async_trait::async_trait]
impl Store for SqliteStore {
    async fn deployment(&self) -> Result<Deployment> {
        self.read(deployment::deployment).await
    }

    async fn restoration(&self) -> Result<Option<Restoration>> {
        self.read(recovery::last).await
    }

    async fn confirm_restoration(&self, stamp: &Stamp) -> Result<bool> {
        let stamp = stamp.clone();
        self.write(move |step| recovery::confirm(step, &stamp)).await
    }

    async fn adopt_certificate(&self, certificate: SignedCertificate, stamp: &Stamp) -> Result<AdoptOutcome> {
        let stamp = stamp.clone();
        self.write(move |step| adopt::adopt(step, &certificate, &stamp)).await
    }

    async fn verified_backup(&self) -> Result<Option<VerifiedBackup>> {
        self.read(recovery::verified_backup).await
    }

    async fn record_verified_backup(
        &self,
        created_at: Timestamp,
        manifest_sha256: [u8; 32],
        stamp: &Stamp,
    ) -> Result<()> {
        let stamp = stamp.clone();
        self.write(move |step| recovery::record_verified_backup(step, created_at, manifest_sha256, &stamp))
            .await
    }

    async fn newest_time(&self) -> Result<Timestamp> {
        self.read(deployment::newest_time).await
    }

    async fn begin_initialization(&self, plan: &InitPlan, stamp: &Stamp) -> Result<InitPlan> {
        let (plan, stamp) = (plan.clone(), stamp.clone());
        self.write(move |step| deployment::begin_initialization(step, &plan, &stamp)).await
    }

    async fn hierarchy(&self) -> Result<Hierarchy> {
        self.read(ca::hierarchy).await
    }

    async fn intend_key(&self, key: &KeyIntention, stamp: &Stamp) -> Result<KeyRow> {
        let (key, stamp) = (key.clone(), stamp.clone());
        self.write(move |step| key::intend(step, &key, &stamp)).await
    }

    async fn record_key_made(
        &self,
        role: KeyRole,
        generation: u32,
        made: &MadeKey,
        stamp: &Stamp,
    ) -> Result<KeyRow> {
        let (made, stamp) = (made.clone(), stamp.clone());
        self.write(move |step| key::record_made(step, role, generation, &made, &stamp)).await
    }

    async fn activate_token_key(
        &self,
        generation: u32,
        grace_until: Timestamp,
        system_token: Option<&TokenRecord>,
        stamp: &Stamp,
    ) -> Result<u64> {
        let (system_token, stamp) = (system_token.cloned(), stamp.clone());
        self.write(move |step| {
            key::activate_token(step, generation, grace_until, system_token.as_ref(), &stamp)
        })
        .await
    }

    async fn intend_ca(&self, ca: &CaIntention, stamp: &Stamp) -> Result<CaIntention> {
        let (ca, stamp) = (ca.clone(), stamp.clone());
        self.write(move |step| key::intend_ca(step, &ca, &stamp)).await
    }

    async fn complete_initialization(&self, cas: &[SignedCa], stamp: &Stamp) -> Result<()> {
        let (cas, stamp) = (cas.to_vec(), stamp.clone());
        self.write(move |step| ca::complete_initialization(step, &cas, &stamp)).await
    }

    async fn record_intermediate(&self, ca: &SignedCa, stamp: &Stamp) -> Result<()> {
        let (ca, stamp) = (ca.clone(), stamp.clone());
        self.write(move |step| ca::record_intermediate(step, &ca, &stamp)).await
    }

    async fn activate_ca(&self, ca: KeyId, stamp: &Stamp) -> Result<()> {
        let stamp = stamp.clone();
        self.write(move |step| ca::activate(step, ca, &stamp)).await
    }

    async fn repin_ca(
        &self,
        ca: KeyId,
        backend: &str,
        reference: &str,
        made: &MadeKey,
        stamp: &Stamp,
    ) -> Result<()> {
        let (backend, reference) = (backend.to_owned(), reference.to_owned());
        let (made, stamp) = (made.clone(), stamp.clone());
        self.write(move |step| ca::repin(step, ca, &backend, &reference, &made, &stamp)).await
    }

    async fn retire_ca(&self, ca: KeyId, stamp: &Stamp) -> Result<()> {
        let stamp = stamp.clone();
        self.write(move |step| ca::retire(step, ca, &stamp)).await
    }

    async fn revoke_ca(&self, ca: KeyId, reason: RevocationReason, stamp: &Stamp) -> Result<()> {
        let stamp = stamp.clone();
        self.write(move |step| ca::revoke(step, ca, reason, &stamp)).await
    }

    async fn refresh_bundle(&self, at: Timestamp) -> Result<bool> {
        self.write(move |step| deployment::refresh_bundle(step, at)).await
    }

    async fn preflight(
        &self,
        spiffe_id: &SpiffeId,
        spki: SpkiHash,
        names: &[DnsName],
        limit: Option<IssuanceLimit>,
        ticket: Option<&Ticket>,
        at: Timestamp,
    ) -> Result<Preflight> {
        let (spiffe_id, names, ticket) = (spiffe_id.clone(), names.to_vec(), ticket.cloned());
        self.read_short(move |connection| {
            issue::preflight(connection, &spiffe_id, spki, &names, limit, ticket.as_ref(), at)
        })
        .await
    }

    async fn record_issued(&self, certificate: SignedCertificate, stamp: &Stamp) -> Result<RecordOutcome> {
        let stamp = stamp.clone();
        let certificate = Arc::new(certificate);
        let lent = Arc::clone(&certificate);
        let decision = self.write(move |step| issue::record(step, &lent, &stamp)).await?;
        Ok(decision.after_commit(certificate))
    }

    async fn certificates(&self, query: &CertificateQuery, at: Timestamp) -> Result<Vec<CertificateRow>> {
        let query = query.clone();
        self.read(move |connection| list::certificates(connection, &query, at)).await
    }

    async fn certificate(&self, serial: Serial, at: Timestamp) -> Result<Option<CertificateRow>> {
        self.read(move |connection| list::by_serial(connection, serial, at)).await
    }

    async fn certificate_by_fingerprint(
        &self,
        fingerprint: Fingerprint,
        at: Timestamp,
    ) -> Result<Option<CertificateRow>> {
        self.read(move |connection| list::by_fingerprint(connection, fingerprint, at)).await
    }

    async fn summary(&self, at: Timestamp) -> Result<Summary> {
        self.read(move |connection| list::summary(connection, at)).await
    }

    async fn purge_expired(&self, before: Timestamp, limit: u32, stamp: &Stamp) -> Result<u64> {
        let stamp = stamp.clone();
        self.write(move |step| list::purge_expired(step, before, limit, &stamp)).await
    }

    async fn name_owner(&self, name: &DnsName) -> Result<Option<InstanceId>> {
        let name = name.clone();
        self.read(move |connection| issue::name_owner(connection, &name)).await
    }

    async fn release_name(&self, name: &DnsName, stamp: &Stamp) -> Result<bool> {
        let (name, stamp) = (name.clone(), stamp.clone());
        self.write(move |step| issue::release_name(step, &name, &stamp)).await
    }

    async fn deny_identity(
        &self,
        spiffe_id: &SpiffeId,
        reason: &str,
        compromised: bool,
        stamp: &Stamp,
    ) -> Result<DenyOutcome> {
        let (spiffe_id, reason, stamp) = (spiffe_id.clone(), reason.to_owned(), stamp.clone());
        self.write(move |step| deny::deny(step, &spiffe_id, &reason, compromised, &stamp)).await
    }

    async fn allow_identity(&self, spiffe_id: &SpiffeId, stamp: &Stamp) -> Result<AllowOutcome> {
        let (spiffe_id, stamp) = (spiffe_id.clone(), stamp.clone());
        self.write(move |step| deny::allow(step, &spiffe_id, &stamp)).await
    }

    async fn denied_identities(&self) -> Result<Vec<Denial>> {
        self.read(deny::list).await
    }

    async fn revoke_certificate(
        &self,
        serial: Serial,
        reason: RevocationReason,
        stamp: &Stamp,
    ) -> Result<Option<KeyId>> {
        let stamp = stamp.clone();
        self.write(move |step| deny::revoke_certificate(step, serial, reason, &stamp)).await
    }

    async fn reserve_crl(&self, issuer: KeyId, stamp: &Stamp) -> Result<CrlReservation> {
        let stamp = stamp.clone();
        self.write(move |step| crl::reserve(step, issuer, &stamp)).await
    }

    async fn publish_crl(&self, crl: &CrlPublication, stamp: &Stamp) -> Result<bool> {
        let (crl, stamp) = (crl.clone(), stamp.clone());
        self.write(move |step| crl::publish(step, &crl, &stamp)).await
    }

    async fn crls(&self) -> Result<Vec<CrlRow>> {
        self.read(crl::list).await
    }

    async fn record_token(&self, token: &TokenRecord, stamp: &Stamp) -> Result<()> {
        let (token, stamp) = (token.clone(), stamp.clone());
        self.write(move |step| token::record(step, &token, &stamp)).await
    }

    async fn token(&self, jti: &str) -> Result<Option<TokenRecord>> {
        let jti = jti.to_owned();
        self.read(move |connection| token::get(connection, &jti)).await
    }

    async fn tokens(&self, query: &TokenQuery) -> Result<Vec<TokenRow>> {
        let query = query.clone();
        self.read(move |connection| token::list(connection, &query)).await
    }

    async fn revoke_tokens(&self, which: &TokenSelector, stamp: &Stamp) -> Result<Vec<TokenRecord>> {
        let (which, stamp) = (which.clone(), stamp.clone());
        self.write(move |step| token::revoke(step, &which, &stamp)).await
    }

    async fn revoked_tokens(&self, at: Timestamp) -> Result<Vec<String>> {
        self.read(move |connection| token::revoked(connection, at)).await
    }

    async fn purge_tokens(&self, before: Timestamp, limit: u32) -> Result<u64> {
        self.write(move |step| token::purge(step, before, limit)).await
    }

    async fn preset_secret(&self, kind: &str, sha256: &[u8; 32], stamp: &Stamp) -> Result<PresetSecret> {
        let (kind, sha256, stamp) = (kind.to_owned(), *sha256, stamp.clone());
        self.write(move |step| secret::seen(step, &kind, &sha256, &stamp)).await
    }

    async fn revoke_preset_secret(&self, kind: &str, sha256: &[u8; 32], stamp: &Stamp) -> Result<bool> {
        let (kind, sha256, stamp) = (kind.to_owned(), *sha256, stamp.clone());
        self.write(move |step| secret::revoke(step, &kind, &sha256, &stamp)).await
    }

    fn revocations(&self) -> u64 {
        self.revocations.load(Ordering::Acquire)
    }

    async fn audit(&self, query: &AuditQuery) -> Result<Vec<AuditRecord>> {
        let mut search = audit::Search::new(query.clone());
        while !search.done {
            // In pieces, as below.
            search = self.read(move |connection| audit::search_some(connection, search)).await?;
        }
        Ok(search.found)
    }

    async fn append_audit(&self, entries: &[AuditEntry], stamp: &Stamp) -> Result<()> {
        let (entries, stamp) = (entries.to_vec(), stamp.clone());
        self.write(move |step| audit::append(step, &entries, &stamp)).await
    }

    async fn policies_in_force(&self, hash: &str, stamp: &Stamp) -> Result<bool> {
        let (hash, stamp) = (hash.to_owned(), stamp.clone());
        self.write(move |step| deployment::policies_in_force(step, &hash, &stamp)).await
    }

    async fn audit_base(&self) -> Result<AuditHead> {
        self.read(audit::base).await
    }

    async fn drop_sealed_audit(&self, sealed: AuditHead, name: &str, stamp: &Stamp) -> Result<()> {
        let (name, stamp) = (name.to_owned(), stamp.clone());
        self.write(move |step| audit::drop_sealed(step, sealed, &name, &stamp)).await
    }

    async fn audit_head(&self) -> Result<AuditHead> {
        self.read(audit::head).await
    }

    async fn verify_audit(&self) -> Result<AuditVerdict> {
        let mut check = audit::Check::default();
        loop {
            // In pieces: one long look would keep the write-ahead log from being folded into the file.
            check = self.read(move |connection| audit::verify_some(connection, check)).await?;
            if let Some(verdict) = check.verdict {
                return Ok(verdict);
            }
        }
    }

    async fn journalled(&self) -> Result<i64> {
        self.read(journal::journalled).await
    }

    async fn set_journalled(&self, up_to: i64) -> Result<()> {
        self.write(move |step| journal::set_journalled(step, up_to)).await
    }

    async fn journal_after(&self, seq: i64) -> Result<JournalPiece> {
        let mut piece = JournalPiece { lines: Vec::new(), up_to: seq };
        loop {
            // In pieces, as above.
            let (gathered, more) = self.read(move |connection| journal::gather(connection, piece)).await?;
            if !more {
                return Ok(gathered);
            }
            piece = gathered;
        }
    }

    async fn journal_of_all(&self, at: Timestamp) -> Result<JournalPiece> {
        self.read(move |connection| journal::standing(connection, at)).await
    }

    async fn close(&self) -> Result<()> {
        self.finish().await
    }
}
