//! What outlives one set of credentials.

use super::Regions;
use crate::keys::KeyArn;
use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};
use tokio::time::Instant;

/// How long KMS may take to show a new key everywhere.
const YOUTH: Duration = Duration::from_secs(300);

/// How Regions are, which keys are new, how often an operator asked to try again.
#[derive(Debug, Default)]
pub(super) struct Memory {
    regions: Regions,
    /// Until when a key is young, by its id, which its replicas have too.
    young: Mutex<HashMap<String, Instant>>,
    retries: AtomicU64,
}

impl Memory {
    pub(super) fn regions(&self) -> &Regions {
        &self.regions
    }

    pub(super) fn retries(&self) -> u64 {
        self.retries.load(Relaxed)
    }

    pub(super) fn retry(&self) {
        self.retries.fetch_add(1, Relaxed);
        self.regions.forget();
    }

    /// A time in the future is taken for now: clocks differ.
    pub(super) fn born(&self, arn: &KeyArn, at: SystemTime) {
        let age = at.elapsed().unwrap_or_default();
        let Some(left) = YOUTH.checked_sub(age) else { return };
        let now = Instant::now();
        let mut young = self.young();
        young.retain(|_, until| *until > now);
        young.insert(arn.id().to_owned(), now + left);
    }

    /// Whether a key (its ARN or id) is so new that KMS may not show it.
    pub(super) fn is_young(&self, key: &str) -> bool {
        let id = key.rsplit('/').next().unwrap_or(key);
        self.young().get(id).is_some_and(|until| Instant::now() < *until)
    }

    fn young(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.young.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
