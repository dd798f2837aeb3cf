//! Keys in the key stores that carry our tags and belong to no CA. They are shown, and never touched.

use super::{Authority, Result};
use crate::store::{Hierarchy, KeyRowState};
use catalyst_signing::{FoundKey, SignError};
use std::time::Duration;
use tokio::time::timeout;

/// How long one key store may take to list its keys.
const LISTING_DEADLINE: Duration = Duration::from_secs(60);

/// Why a key is nobody's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unclaimed {
    /// Nothing is known of it: a store of before was restored, or the key store has tags that are not ours.
    Unknown,
    /// It was meant for a CA or for tokens, and what needs it is not finished.
    Unfinished,
    /// It has the nonce of a key that is used at another address: the same key, from before it was moved, or one that
    /// was made twice.
    Copy {
        /// The address that is used.
        of: String,
    },
}

/// A key that belongs to no CA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnclaimedKey {
    /// Name of the key store.
    pub backend: String,
    /// What the key store says of it.
    pub key: FoundKey,
    /// Why it is nobody's.
    pub reason: Unclaimed,
}

/// What was found in all key stores.
#[derive(Clone, Debug, Default)]
pub struct Reconciliation {
    /// Keys that belong to no CA.
    pub unclaimed: Vec<UnclaimedKey>,
    /// Names of key stores that could not be looked into, each with the reason.
    pub unread: Vec<(String, String)>,
}

impl Authority {
    /// Looks into all key stores for keys of this deployment that belong to no CA.
    ///
    /// # Errors
    /// The certificate store's alone: a key store that does not answer is named in what is answered.
    pub async fn reconcile_keys(&self) -> Result<Reconciliation> {
        let mut found = Reconciliation::default();
        for (name, store) in self.keys.key_stores.all() {
            let Some(lifecycle) = store.lifecycle() else {
                found.unread.push((name.to_owned(), "this service may not list keys there".to_owned()));
                continue;
            };
            let listed = timeout(LISTING_DEADLINE, lifecycle.list(&self.keys.deployment)).await;
            let listed = listed.unwrap_or_else(|_| Err(SignError::unavailable("it did not answer in time")));
            match listed {
                Err(error) => found.unread.push((name.to_owned(), error.to_string())),
                Ok(keys) => {
                    // After the listing: what was made meanwhile is then known, not taken for nobody's.
                    let hierarchy = self.store.hierarchy().await?;
                    found.unclaimed.extend(keys.into_iter().filter_map(|key| {
                        let reason = reason(&hierarchy, &key)?;
                        Some(UnclaimedKey { backend: name.to_owned(), key, reason })
                    }));
                }
            }
        }
        Ok(found)
    }
}

/// `None` where the key is somebody's.
fn reason(hierarchy: &Hierarchy, key: &FoundKey) -> Option<Unclaimed> {
    let uri = |row: &crate::store::KeyRow| row.made.as_ref().map(|made| made.uri.clone());
    let at_its_address = hierarchy.keys.iter().find(|row| uri(row).as_deref() == Some(key.uri.as_str()));
    if let Some(row) = at_its_address {
        return (row.state == KeyRowState::Made).then_some(Unclaimed::Unfinished);
    }
    let meant = hierarchy.keys.iter().find(|row| row.intention.nonce == *key.nonce.as_bytes());
    Some(match meant.map(uri) {
        None => Unclaimed::Unknown,
        Some(None) => Unclaimed::Unfinished,
        Some(Some(of)) => Unclaimed::Copy { of },
    })
}
