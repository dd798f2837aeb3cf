//! Which CA issues, which is trusted, which no longer.

use super::{Authority, Result, error::AuthorityError};
use crate::{
    identity::{Actor, KeyId},
    store::{CaRow, RevocationReason, Stamp},
};
use std::sync::Arc;

/// How long a new CA must have been in the bundle before it issues: a day.
const PUBLISHED_BEFORE_ACTIVE_SECONDS: i64 = 86_400;

impl Authority {
    /// Makes a published CA the one that issues for its role.
    ///
    /// # Errors
    /// [`AuthorityError::Conflict`] when it has been in the bundle for less than 24 hours, unless `now` is said;
    /// [`AuthorityError::Recovery`].
    pub async fn activate(self: &Arc<Self>, ca: KeyId, now: bool, by: Actor) -> Result<CaRow> {
        let authority = self.clone();
        self.to_its_end(async move { authority.activate_here(ca, now, by).await }).await
    }

    async fn activate_here(&self, ca: KeyId, now: bool, by: Actor) -> Result<CaRow> {
        self.may_issue()?;
        let _one_at_a_time = self.change.lock().await;
        let row = self.row(ca)?;
        let at = self.clock.now();
        let published = at.seconds_since(row.published_at);
        if row.activated_at.is_none() && !now && published < PUBLISHED_BEFORE_ACTIVE_SECONDS {
            return Err(AuthorityError::Conflict(format!(
                "{} has been in the bundle for {} minutes only; verifiers need 24 hours to fetch it: wait, or say --now",
                row.certificate.common_name,
                published / 60
            )));
        }
        self.store.activate_ca(ca, &Stamp { at, by }).await?;
        self.reload().await?;
        tracing::info!(target: "catalyst.pki", ca_name = row.certificate.common_name, ski = %ca, "CA activated");
        self.row(ca)
    }

    /// Takes a CA out of the bundle.
    ///
    /// # Errors
    /// [`AuthorityError::Conflict`] while it is active or certificates of it live.
    pub async fn retire(self: &Arc<Self>, ca: KeyId, by: Actor) -> Result<CaRow> {
        let authority = self.clone();
        self.to_its_end(async move { authority.retire_here(ca, by).await }).await
    }

    async fn retire_here(&self, ca: KeyId, by: Actor) -> Result<CaRow> {
        let _one_at_a_time = self.change.lock().await;
        let row = self.row(ca)?;
        self.store.retire_ca(ca, &Stamp { at: self.clock.now(), by }).await?;
        self.reload().await?;
        tracing::info!(target: "catalyst.pki", ca_name = row.certificate.common_name, ski = %ca, "CA retired");
        self.row(ca)
    }

    /// Revokes an intermediate: out of every bundle at once, and onto the root's CRL as soon as the root can sign.
    ///
    /// # Errors
    /// No such intermediate.
    pub async fn revoke_ca(
        self: &Arc<Self>,
        ca: KeyId,
        reason: RevocationReason,
        by: Actor,
    ) -> Result<CaRow> {
        let authority = self.clone();
        self.to_its_end(async move { authority.revoke_ca_here(ca, reason, by).await }).await
    }

    async fn revoke_ca_here(&self, ca: KeyId, reason: RevocationReason, by: Actor) -> Result<CaRow> {
        let _one_at_a_time = self.change.lock().await;
        let row = self.row(ca)?;
        self.store.revoke_ca(ca, reason, &Stamp { at: self.clock.now(), by }).await?;
        self.reload().await?;
        tracing::warn!(target: "catalyst.pki", ca_name = row.certificate.common_name, ski = %ca, "CA revoked");
        self.crls_wanted.notify_one();
        self.row(ca)
    }

    /// A CA's certificate and what it chains to, PEM.
    ///
    /// # Errors
    /// A CA that is not in the store.
    pub fn certificate_of(&self, row: &CaRow) -> Result<(String, Vec<String>)> {
        let found = self.state.load().certificate_of(row);
        found.ok_or_else(|| AuthorityError::Internal("the CA is not in the store".into()))
    }

    pub(super) fn row(&self, ca: KeyId) -> Result<CaRow> {
        let row = self.state.load().ca(ca).cloned();
        row.ok_or_else(|| AuthorityError::NotFound(format!("no CA has the key identifier {ca}")))
    }
}
