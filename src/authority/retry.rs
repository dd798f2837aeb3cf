//! Keys that were refused or are away, tried again because an operator says so.

use super::{Authority, Result, error::AuthorityError, issuer::KeyCondition};
use crate::{
    identity::Actor,
    store::{AuditEntry, Stamp},
};
use serde_json::json;
use std::sync::Arc;
use tokio::task::JoinSet;

/// How a key fares after it was tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetriedKey {
    /// The CA's name.
    pub name: String,
    /// Name of its key store.
    pub backend: String,
    /// Where the key is.
    pub uri: String,
    /// How it fares.
    pub condition: KeyCondition,
    /// Why it can't sign; `None` where it can.
    pub trouble: Option<String>,
}

impl Authority {
    /// Lets key stores forget what they refused for good, and tries the keys that are down or latched again: all of
    /// them, or those of one key store. Answers every key that is kept open.
    ///
    /// # Errors
    /// [`AuthorityError::NotFound`] for a key store that is not configured; the certificate store's.
    pub async fn retry_keys(&self, backend: Option<&str>, by: Actor) -> Result<Vec<RetriedKey>> {
        let key_stores = &self.keys.key_stores;
        if let Some(name) = backend {
            key_stores.get(name).map_err(|error| AuthorityError::NotFound(error.to_string()))?;
        }
        let entry = AuditEntry {
            action: "keys.retried".into(),
            subject: backend.unwrap_or("all").into(),
            detail: json!({}).to_string(),
        };
        self.store.append_audit(&[entry], &Stamp { at: self.clock.now(), by }).await?;
        let meant = |name: &str| backend.is_none_or(|wanted| wanted == name);
        for (_, store) in key_stores.all().filter(|(name, _)| meant(name)) {
            store.retry();
        }
        let state = self.state.load_full();
        let rows = state.hierarchy().cas.iter().filter(|row| meant(&row.key.intention.backend));
        let open: Vec<_> = rows.filter_map(|row| Some((row, state.slot(row.certificate.ski)?))).collect();
        let mut tries = JoinSet::new();
        for (_, slot) in &open {
            let slot = Arc::clone(slot);
            tries.spawn(async move { slot.retry().await });
        }
        while tries.join_next().await.is_some() {}
        let tried: Vec<_> = open
            .into_iter()
            .map(|(row, slot)| RetriedKey {
                name: row.certificate.common_name.clone(),
                backend: row.key.intention.backend.clone(),
                uri: row.key.made.as_ref().map(|made| made.uri.clone()).unwrap_or_default(),
                condition: slot.condition(),
                trouble: slot.trouble(),
            })
            .collect();
        for key in &tried {
            tracing::info!(target: "catalyst.pki", ca_name = key.name, backend = key.backend, trouble = key.trouble, "CA key tried again");
        }
        // What waits for a signature need not wait for the next look.
        self.crls_wanted.notify_one();
        Ok(tried)
    }
}
