//! The deny list: a denial commits first and holds at once; the CRL follows as soon as it can be signed.

use super::{Authority, Result};
use crate::{
    identity::{Actor, KeyId, Serial, Workload},
    store::{Denial, ExpiringCertificate, RevocationReason, Stamp},
};
use std::{sync::Arc, time::Duration};

/// How long a denial waits for its CRLs before it answers that they are still to come.
const CRL_PATIENCE: Duration = Duration::from_secs(3);

/// What a denial did.
#[derive(Clone, Debug)]
pub struct Denied {
    /// The identity's unexpired certificates, now on hold or revoked.
    pub expiring: Vec<ExpiringCertificate>,
    /// A CRL could not be signed yet; it will be.
    pub crl_pending: bool,
}

impl Authority {
    /// Denies an identity, with `compromised` for good. Succeeds even while the key store is away.
    ///
    /// # Errors
    /// The certificate store's alone.
    pub async fn deny(
        self: &Arc<Self>,
        workload: &Workload,
        reason: &str,
        compromised: bool,
        by: Actor,
    ) -> Result<Denied> {
        let (authority, workload, reason) = (self.clone(), workload.clone(), reason.to_owned());
        self.to_its_end(async move { authority.deny_here(&workload, &reason, compromised, by).await }).await
    }

    async fn deny_here(
        self: &Arc<Self>,
        workload: &Workload,
        reason: &str,
        compromised: bool,
        by: Actor,
    ) -> Result<Denied> {
        let stamp = Stamp { at: self.clock.now(), by };
        let outcome = self.store.deny_identity(workload.spiffe_id(), reason, compromised, &stamp).await?;
        tracing::warn!(target: "catalyst.pki", spiffe_id = %workload.spiffe_id(), reason, compromised, "Identity denied");
        let crl_pending = !self.sign_now(&outcome.issuers).await;
        Ok(Denied { expiring: outcome.expiring, crl_pending })
    }

    /// Lifts a denial and its holds; answers whether there was one, and whether a CRL is still to come.
    ///
    /// # Errors
    /// The certificate store's alone.
    pub async fn allow(self: &Arc<Self>, workload: &Workload, by: Actor) -> Result<(bool, bool)> {
        let (authority, workload) = (self.clone(), workload.clone());
        self.to_its_end(async move { authority.allow_here(&workload, by).await }).await
    }

    async fn allow_here(self: &Arc<Self>, workload: &Workload, by: Actor) -> Result<(bool, bool)> {
        let stamp = Stamp { at: self.clock.now(), by };
        let outcome = self.store.allow_identity(workload.spiffe_id(), &stamp).await?;
        if outcome.was_denied {
            tracing::info!(target: "catalyst.pki", spiffe_id = %workload.spiffe_id(), "Identity allowed");
        }
        Ok((outcome.was_denied, !self.sign_now(&outcome.issuers).await))
    }

    /// The deny list, newest first.
    ///
    /// # Errors
    /// The certificate store's alone.
    pub async fn denied(&self) -> Result<Vec<Denial>> {
        Ok(self.store.denied_identities().await?)
    }

    /// Revokes one certificate for good; answers whether it was there, and whether its CRL is still to come.
    ///
    /// # Errors
    /// The certificate store's alone.
    pub async fn revoke(
        self: &Arc<Self>,
        serial: Serial,
        reason: RevocationReason,
        by: Actor,
    ) -> Result<Option<bool>> {
        let authority = self.clone();
        self.to_its_end(async move { authority.revoke_here(serial, reason, by).await }).await
    }

    async fn revoke_here(
        self: &Arc<Self>,
        serial: Serial,
        reason: RevocationReason,
        by: Actor,
    ) -> Result<Option<bool>> {
        let stamp = Stamp { at: self.clock.now(), by };
        let Some(issuer) = self.store.revoke_certificate(serial, reason, &stamp).await? else {
            return Ok(None);
        };
        tracing::warn!(target: "catalyst.pki", serial = %serial, "Certificate revoked");
        Ok(Some(!self.sign_now(&[issuer]).await))
    }

    /// Signs these CAs' CRLs now if their keys can be had soon; answers whether all are published. What is left is
    /// marked pending in the store, and the upkeep signs it.
    async fn sign_now(self: &Arc<Self>, issuers: &[KeyId]) -> bool {
        let signing = issuers.iter().map(|&ca| {
            let authority = self.clone();
            self.tasks.spawn(async move { authority.sign_crl(ca).await.is_ok() })
        });
        let signing: Vec<_> = signing.collect();
        let all = async {
            let mut all = true;
            for task in signing {
                all &= task.await.unwrap_or(false);
            }
            all
        };
        let published = tokio::time::timeout(CRL_PATIENCE, all).await.unwrap_or(false);
        if !published {
            // Status says at once what waits; the upkeep reads it again before it signs.
            if let Err(error) = self.reload_crls().await {
                tracing::error!(target: "catalyst.pki", error = %error, "CRL state not read");
            }
            self.crls_wanted.notify_one();
        }
        published
    }
}
