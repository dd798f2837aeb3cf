//! The guard between the CA and every key store: the only way to a signature.
//!
//! [`Guard::open`] proves that the key store's key is the pinned one and gives a [`GuardedKey`]. That one keeps the
//! caller's deadline, retries what may pass, limits calls per key and per quota, verifies each signature under the pin,
//! refuses what the key is not for, and watches the key's health. Adapters stay small because of it.

mod attempt;
mod bucket;
mod health;
mod key;
mod observer;
mod open;
mod purpose;
mod retry;
mod slots;
#[cfg(test)]
mod tests;
mod view;
mod watch;

pub use health::KeyHealth;
pub use key::GuardedKey;
pub use observer::{NoObserver, Observer, Operation, Outcome, SigningEvent};
pub use purpose::{KeyPolicy, Purpose, Verified};
pub use view::{KeyNow, KeyView};

use crate::{KeyPin, Quota, Result, SigningBackend};
use bucket::Bucket;
use retry::Jitter;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::time::Instant;

/// One per process: what all keys share, which is the quotas and the observer.
#[derive(Debug)]
pub struct Guard {
    observer: Arc<dyn Observer>,
    jitter: Jitter,
    buckets: Mutex<HashMap<String, Arc<Bucket>>>,
}

impl Guard {
    /// Reports to `observer`.
    pub fn new(observer: Arc<dyn Observer>) -> Arc<Self> {
        Self::with_jitter(observer, retry::full_jitter)
    }

    fn with_jitter(observer: Arc<dyn Observer>, jitter: Jitter) -> Arc<Self> {
        Arc::new(Self { observer, jitter, buckets: Mutex::default() })
    }

    /// Opens the pinned key and proves that it is that key: the key store's public key must equal the pin's; where it
    /// may not be read, a probe signature that verifies under the pin takes its place. A key that makes no probes (the
    /// root) and hides its public key is proved by its first signature instead, for each one is verified.
    ///
    /// From then on a task of its own watches the key (if its policy has `probe`), until the key is dropped; so this
    /// must be called within a Tokio runtime.
    ///
    /// # Errors
    /// Transient failures are retried until `deadline`. [`crate::SignError::Integrity`] if the two keys differ, and the
    /// message says which; [`crate::Refusal::Configuration`] or [`crate::Refusal::Unsupported`] if the backend is not
    /// the pin's or can't do its algorithm.
    pub async fn open(
        self: &Arc<Self>,
        backend: Arc<dyn SigningBackend>,
        pin: KeyPin,
        policy: KeyPolicy,
        deadline: Instant,
    ) -> Result<GuardedKey> {
        open::open(self, backend, pin, policy, deadline).await
    }

    /// The bucket of a quota, `None` for no limit. Who names a quota first sets its rate.
    fn bucket(&self, quota: Quota) -> Option<Arc<Bucket>> {
        let per_second = quota.per_second.filter(|rate| rate.is_finite() && *rate > 0.0)?;
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || Arc::new(Bucket::new(quota.name.clone(), per_second));
        Some(buckets.entry(quota.name.clone()).or_insert_with(make).clone())
    }
}
