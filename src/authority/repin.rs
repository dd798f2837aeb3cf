//! A CA's key at another address: moved into another slot, file or key store, and the same key all the same.

use super::{Authority, Result, error::AuthorityError, issuer::Issuer, keys::refuse_pin};
use crate::{
    identity::{Actor, CaRole, KeyId, SpkiHash},
    store::{CaRow, KeyRow, MadeKey, Stamp},
};
use catalyst_signing::KeyPin;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, timeout_at};

/// How long the key store may take to show the key and to sign with it.
const REPIN_DEADLINE: Duration = Duration::from_secs(60);

/// Where a CA's key is now.
#[derive(Clone, Debug)]
pub struct KeyAddress {
    /// As its key store names it, or as an operator writes it.
    pub reference: String,
    /// Name of the key store; the one that had the key until now unless said.
    pub backend: Option<String>,
}

impl Authority {
    /// Moves a CA's pin to another address of the same key, which must sign there; the CA signs with it from then on.
    ///
    /// # Errors
    /// [`AuthorityError::Conflict`] when another key is there, or nothing signs with this CA any more;
    /// [`AuthorityError::Invalid`] when no key of its algorithm is there; whatever the key store answers.
    pub async fn repin(self: &Arc<Self>, ca: KeyId, address: KeyAddress, by: Actor) -> Result<CaRow> {
        let authority = self.clone();
        self.to_its_end(async move { authority.repin_here(ca, address, by).await }).await
    }

    async fn repin_here(&self, ca: KeyId, address: KeyAddress, by: Actor) -> Result<CaRow> {
        refuse_pin([Some(&address.reference), address.backend.as_ref()])?;
        let _one_at_a_time = self.change.lock().await;
        let mut row = self.row(ca)?;
        let stamp = Stamp { at: self.clock.now(), by };
        let name = row.certificate.common_name.clone();
        if !row.is_live(stamp.at) {
            return Err(AuthorityError::Conflict(format!(
                "{name} is retired, revoked or at its end: nothing is signed with its key any more"
            )));
        }
        let deadline = Instant::now() + REPIN_DEADLINE;
        row.key = self.moved(&row, &address, deadline).await?;
        let issuer = Issuer::open(&self.keys, &row).await?;
        issuer.key().prove(deadline).await?;
        let KeyRow { intention, made, .. } = &row.key;
        let made = made.as_ref().ok_or_else(|| AuthorityError::Internal("the CA has no key".into()))?;
        self.store.repin_ca(ca, &intention.backend, &address.reference, made, &stamp).await?;
        // A root's key is opened for each operation, and closed again.
        let opened = if row.certificate.role == CaRole::Root { Vec::new() } else { vec![Arc::new(issuer)] };
        self.reload_with(&opened).await?;
        tracing::warn!(target: "catalyst.pki", ca_name = name, ski = %ca, uri = made.uri, "CA key moved");
        self.row(ca)
    }

    /// The CA's key row as it will be, if the same key is at the other address.
    async fn moved(&self, row: &CaRow, address: &KeyAddress, deadline: Instant) -> Result<KeyRow> {
        let mut key = row.key.clone();
        key.intention.backend = address.backend.clone().unwrap_or(key.intention.backend);
        key.intention.reference = Some(address.reference.clone());
        let algorithm = super::keys::algorithm_of(&key)?;
        let backend = self.keys.key_stores.get(&key.intention.backend);
        let backend = backend.map_err(|error| AuthorityError::Invalid(error.to_string()))?;
        let found = timeout_at(deadline, backend.resolve(&address.reference, algorithm)).await;
        let found =
            found.map_err(|_| catalyst_signing::SignError::unavailable("the key store has not answered"))?;
        let pin = found.map_err(|error| match error.is_transient() {
            true => AuthorityError::KeyStore(error),
            false => {
                AuthorityError::Invalid(format!("the key '{}' cannot be taken: {error}", address.reference))
            }
        })?;
        same_key(row, &pin)?;
        key.made = Some(MadeKey { uri: pin.uri.to_string(), spki: pin.spki });
        Ok(key)
    }
}

fn same_key(row: &CaRow, found: &KeyPin) -> Result<()> {
    let pinned = row.key.made.as_ref().map(|made| made.spki.as_slice()).unwrap_or_default();
    if pinned == found.spki {
        return Ok(());
    }
    Err(AuthorityError::Conflict(format!(
        "{} is another key than that of {}: its SPKI has the SHA-256 {}, the CA's has {}; a CA keeps its key for life, so create and activate a new CA where its key is lost",
        found.uri,
        row.certificate.common_name,
        SpkiHash::of_spki(&found.spki),
        SpkiHash::of_spki(pinned)
    )))
}
