//! The CRL of each CA: number committed, then signed, then published; in memory for those who ask.

use super::{
    Authority, Result,
    error::AuthorityError,
    issuance::CLOCK_TOLERANCE_SECONDS,
    issuer::Issuer,
    x509::{self, CrlContent},
};
use crate::{
    identity::{Actor, CaRole, KeyId, Timestamp},
    store::{CaRow, CrlPublication, CrlRow, KeyRowState, Stamp},
};
use catalyst_signing::{KeyHealth, Purpose};
use std::sync::Arc;
use tokio::time::Instant;

/// An issuing CA's CRL is good for a day …
const ISSUING_SECONDS: i64 = 24 * 3600;
/// … and signed anew after a quarter of it.
const ISSUING_FRESH_SECONDS: i64 = 18 * 3600;
/// The root's is good for 90 days, and due when 30 are left.
const ROOT_SECONDS: i64 = 90 * 86_400;
/// Below this much left, status warns of the root's CRL.
pub(super) const ROOT_FRESH_SECONDS: i64 = 30 * 86_400;

impl Authority {
    /// The CRLs of all CAs that are neither retired nor at their end, PEM.
    ///
    /// # Errors
    /// [`AuthorityError::NotInitialized`] before the hierarchy is complete.
    pub fn crls_pem(&self) -> Result<String> {
        let (state, at) = (self.state.load(), self.clock.now());
        state.bundle()?;
        let rows = self.crls.load();
        let looked_after = |row: &&Arc<CrlRow>| state.ca(row.issuer).is_some_and(|ca| keeps_a_crl(ca, at));
        let published = rows.iter().filter(looked_after).filter_map(|row| row.published.as_ref());
        published.map(|crl| Ok(x509::crl_pem(&crl.der)?)).collect()
    }

    /// The published CRL of a role's active CA.
    ///
    /// # Errors
    /// Nothing is initialized, the role has no CA, or its first CRL is not signed yet.
    pub fn crl_of_role(&self, role: CaRole) -> Result<Arc<CrlRow>> {
        let state = self.state.load();
        state.bundle()?;
        let row = state.active_row(role).ok_or(AuthorityError::NoIssuer(role))?;
        self.crl_of(row.certificate.ski)
    }

    /// The published CRL of one CA.
    ///
    /// # Errors
    /// No such CA, or its first CRL is not signed yet.
    pub fn crl_of(&self, ca: KeyId) -> Result<Arc<CrlRow>> {
        let rows = self.crls.load();
        let row = rows.iter().find(|row| row.issuer == ca && row.published.is_some());
        row.cloned()
            .ok_or_else(|| AuthorityError::NotFound(format!("no CRL of a CA with key identifier {ca}")))
    }

    /// Signs every CRL that is due: a change waits, or its time is near. One CA's trouble holds up no other's.
    pub(super) async fn sign_due_crls(self: &Arc<Self>) {
        let at = self.clock.now();
        let due: Vec<KeyId> = {
            let state = self.state.load();
            let rows = self.crls.load();
            let wanted = |row: &&Arc<CrlRow>| {
                state
                    .ca(row.issuer)
                    .is_some_and(|ca| keeps_a_crl(ca, at) && is_due(row, ca.certificate.role, at))
            };
            rows.iter().filter(wanted).map(|row| row.issuer).collect()
        };
        let signing = due.into_iter().map(|ca| {
            let authority = self.clone();
            self.tasks.spawn(async move {
                if let Err(error) = authority.sign_crl(ca).await {
                    tracing::error!(target: "catalyst.pki", ski = %ca, error = %error, code = error.code(), "CRL not signed");
                }
            })
        });
        for task in signing.collect::<Vec<_>>() {
            let _finished = task.await;
        }
    }

    /// Signs the next CRL of one CA.
    pub(super) async fn sign_crl(&self, ca: KeyId) -> Result<()> {
        let slot = self.state.load().slot(ca).cloned();
        match slot {
            Some(slot) => {
                let issuer = slot.issuer(Instant::now() + self.config.signing_deadline).await?;
                self.sign_crl_with(&issuer).await
            }
            None => {
                let row = self.state.load().ca(ca).cloned();
                let row = row
                    .ok_or_else(|| AuthorityError::NotFound(format!("no CA has the key identifier {ca}")))?;
                let issuer = Issuer::open(&self.keys, &row).await?;
                self.sign_crl_with(&issuer).await
            }
        }
    }

    /// Reserves, signs and publishes one CRL. One at a time: a later number must never wait behind an earlier one.
    pub(super) async fn sign_crl_with(&self, issuer: &Issuer) -> Result<()> {
        // A number is for good, and a key that an operator must look at first would use up one with each retry.
        if let KeyHealth::Latched { error } = issuer.key().health() {
            return Err(error.into());
        }
        let certificate = issuer.certificate();
        let _one_at_a_time = self.crl_signing.lock(certificate.key_id()).await;
        let at = self.clock.now();
        let reserved =
            self.store.reserve_crl(certificate.key_id(), &Stamp { at, by: Actor::Service }).await?;
        let lasts = if issuer.role() == CaRole::Root { ROOT_SECONDS } else { ISSUING_SECONDS };
        let content = CrlContent {
            number: reserved.number,
            this_update: at.whole_seconds(),
            next_update: at.plus_seconds(lasts).whole_seconds().min(certificate.not_after()),
            entries: &reserved.entries,
        };
        let pin = issuer.key().pin();
        let tbs = x509::crl_tbs(certificate, pin.algorithm, &content)?;
        x509::lint_crl(&tbs, &content, certificate, pin)?;
        let deadline = Instant::now() + self.config.signing_deadline;
        let verified = issuer.key().sign(Purpose::Crl, tbs, deadline).await?;
        let publication = CrlPublication {
            issuer: certificate.key_id(),
            number: reserved.number,
            revision: reserved.revision,
            this_update: content.this_update,
            next_update: content.next_update,
            der: x509::frame(&verified)?,
        };
        self.store.publish_crl(&publication, &Stamp { at, by: Actor::Service }).await?;
        self.reload_crls().await?;
        tracing::info!(target: "catalyst.pki", ca_name = issuer.common_name(), crl_number = reserved.number,
            entries = reserved.entries.len(), next_update = %publication.next_update, "CRL published");
        Ok(())
    }

    /// Reads the published CRLs anew.
    pub(super) async fn reload_crls(&self) -> Result<()> {
        // Under the lock, so that an older answer never replaces a newer one.
        let _guard = self.crl_reading.lock().await;
        let rows = self.store.crls().await?.into_iter().map(Arc::new).collect();
        self.crls.store(Arc::new(rows));
        Ok(())
    }
}

/// A CA's CRL is looked after until the CA's end, also when it is superseded or revoked: its certificates may live.
fn keeps_a_crl(ca: &CaRow, at: Timestamp) -> bool {
    at < ca.certificate.not_after && ca.key.state != KeyRowState::Retired
}

fn is_due(row: &CrlRow, role: CaRole, at: Timestamp) -> bool {
    let fresh = if role == CaRole::Root { ROOT_FRESH_SECONDS } else { ISSUING_FRESH_SECONDS };
    match &row.published {
        None => true,
        // One that was signed while the clock was ahead is valid to nobody until then, and would not be due for long.
        Some(crl) => {
            row.pending
                || crl.next_update.seconds_since(at) < fresh
                || crl.this_update.seconds_since(at) > CLOCK_TOLERANCE_SECONDS
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crl_of_a_clock_that_was_ahead_is_due_at_once() {
        let signed_at = |this_update: i64| CrlRow {
            issuer: KeyId::from([1; 20]),
            pending: false,
            published: Some(CrlPublication {
                issuer: KeyId::from([1; 20]),
                number: 1,
                revision: 0,
                this_update: Timestamp::from_seconds(this_update),
                next_update: Timestamp::from_seconds(this_update + ISSUING_SECONDS),
                der: Vec::new(),
            }),
        };
        let (now, day) = (2_000_000_000, 86_400);
        let due = |row: &CrlRow| is_due(row, CaRole::Services, Timestamp::from_seconds(now));
        assert!(due(&signed_at(now + 30 * day)));
        assert!(!due(&signed_at(now)));
        assert!(!due(&signed_at(now + 60)));
        assert!(due(&signed_at(now - 7 * 3600)));
    }
}
