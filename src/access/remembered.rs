//! Credentials that were checked, by the SHA-256 of the whole of them. What was checked before the newest revocation
//! is forgotten: the store counts revocations, and the count is read before a check begins.

use super::principal::Caller;
use crate::identity::{Fingerprint, Timestamp};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// So many are remembered.
const MOST: usize = 10_000;

/// What a check found.
#[derive(Clone, Debug)]
pub(super) struct Checked {
    pub(super) caller: Caller,
    /// The certificate that must be presented with it.
    pub(super) bound_to: Option<Fingerprint>,
    /// When it ends; `None` for a preset secret.
    pub(super) until: Option<Timestamp>,
}

#[derive(Debug, Default)]
pub(super) struct Remembered(Mutex<HashMap<[u8; 32], (Checked, u64)>>);

impl Remembered {
    /// What was found, if nothing was revoked since and it has not ended.
    pub(super) fn get(&self, hash: &[u8; 32], revocations: u64, now: Timestamp) -> Option<Checked> {
        let remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (checked, count) = remembered.get(hash)?;
        let good = *count == revocations && checked.until.is_none_or(|until| now < until);
        good.then(|| checked.clone())
    }

    /// `revocations` is the count from before the check began.
    pub(super) fn put(&self, hash: [u8; 32], checked: Checked, revocations: u64) {
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= MOST {
            remembered.clear();
        }
        remembered.insert(hash, (checked, revocations));
    }
}
