//! The manifests of backups, which a services CA vouches for.

use super::{Authority, Result, error::AuthorityError};
use crate::identity::{CaRole, KeyId};
use catalyst_signing::{Purpose, Verified};
use tokio::time::Instant;

impl Authority {
    /// Signs the manifest of a backup of this store with the key of a services CA.
    ///
    /// # Errors
    /// No such CA, or not a services CA; whatever its key store answers.
    pub async fn sign_manifest(&self, ca: KeyId, message: Vec<u8>, deadline: Instant) -> Result<Verified> {
        let unknown = || AuthorityError::NotFound(format!("there is no live services CA {ca}"));
        let slot = self.state.load().slot(ca).cloned().ok_or_else(unknown)?;
        let issuer = slot.issuer(deadline).await?;
        if issuer.role() != CaRole::Services {
            return Err(unknown());
        }
        Ok(issuer.key().sign(Purpose::Manifest, message, deadline).await?)
    }
}
