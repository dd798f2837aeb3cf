//! After a restore: nothing is issued until an operator has said that the instance of before is gone. Two CAs of one
//! hierarchy would give out one DNS name twice, and neither would know what the other has revoked.

use super::{Authority, Result, error::AuthorityError};
use crate::{
    identity::Actor,
    store::{Restoration, Stamp},
};
use std::sync::Arc;

/// That certificates may be signed; without one, neither an SVID nor a CA is.
pub(super) struct MayIssue(());

impl Authority {
    /// The restore that nobody has confirmed yet.
    pub fn recovery(&self) -> Option<Restoration> {
        self.restoration.load().as_deref().copied().filter(|restored| restored.confirmed_at.is_none())
    }

    /// Refuses while the store is in recovery.
    ///
    /// # Errors
    /// [`AuthorityError::Recovery`]
    pub(super) fn may_issue(&self) -> Result<MayIssue> {
        self.recovery().map_or(Ok(MayIssue(())), |restored| Err(AuthorityError::Recovery(restored)))
    }

    /// Ends the recovery: the instance of before is gone. Answers the restore that was confirmed by it, `None` where
    /// none waited.
    ///
    /// # Errors
    /// The certificate store's alone.
    pub async fn confirm_recovery(self: &Arc<Self>, by: Actor) -> Result<Option<Restoration>> {
        let authority = self.clone();
        self.to_its_end(async move { authority.confirm_here(by).await }).await
    }

    async fn confirm_here(&self, by: Actor) -> Result<Option<Restoration>> {
        let _one_at_a_time = self.change.lock().await;
        let confirmed = self.store.confirm_restoration(&Stamp { at: self.clock.now(), by }).await?;
        let restoration = self.store.restoration().await?;
        self.restoration.store(restoration.map(Arc::new));
        // Whoever waits for a certificate may have it now.
        self.changed.send_replace(());
        let Some(restored) = restoration.filter(|_| confirmed) else { return Ok(None) };
        tracing::warn!(target: "catalyst.pki", snapshot_at = %restored.snapshot_at, restored_at = %restored.restored_at,
            "Recovery confirmed — certificates are issued again");
        Ok(Some(restored))
    }

    pub(super) fn warn_of_recovery(&self) {
        if let Some(restored) = self.recovery() {
            tracing::warn!(target: "catalyst.pki", snapshot_at = %restored.snapshot_at, restored_at = %restored.restored_at,
                "In recovery — nothing is issued until 'catalyst pki recovery confirm --old-instance-is-gone'");
        }
    }
}
