//! A lock for each CA, so that one CA's slow key delays no other's CRL.

use crate::identity::KeyId;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::OwnedMutexGuard;

/// Locks by key identifier; there are never more than CAs.
#[derive(Debug, Default)]
pub(super) struct LockPerCa(Mutex<BTreeMap<KeyId, Arc<tokio::sync::Mutex<()>>>>);

impl LockPerCa {
    /// Waits for this CA's lock.
    pub(super) async fn lock(&self, ca: KeyId) -> OwnedMutexGuard<()> {
        let lock = self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(ca).or_default().clone();
        lock.lock_owned().await
    }
}
