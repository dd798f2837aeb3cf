//! The guard between the CA and every key store: the only way to a signature.
//!
//! [`Guard::open`] compares the key store's key with the pin and gives a [`GuardedKey`]; that one keeps the caller's
//! deadline, retries what may pass, verifies each signature, and refuses what the key is not for.

mod health;
mod key;
mod observer;
mod purpose;

pub use health::KeyHealth;
pub use key::GuardedKey;
pub use observer::{NoObserver, Observer, Operation, Outcome, SigningEvent};
pub use purpose::{KeyPolicy, Purpose, Verified};

use crate::{KeyPin, Result, SigningBackend};
use std::sync::Arc;
use tokio::time::Instant;

/// One per process: what all keys share, which is the quotas and the observer.
#[derive(Debug)]
pub struct Guard {
    #[allow(dead_code)]
    observer: Arc<dyn Observer>,
}

impl Guard {
    /// Reports to `observer`.
    pub fn new(observer: Arc<dyn Observer>) -> Arc<Self> {
        Arc::new(Self { observer })
    }

    /// Opens the pinned key and proves that it is that key: the key store's public key must equal the pin's.
    pub async fn open(
        self: &Arc<Self>,
        backend: Arc<dyn SigningBackend>,
        pin: KeyPin,
        policy: KeyPolicy,
        deadline: Instant,
    ) -> Result<GuardedKey> {
        GuardedKey::open(backend, pin, policy, deadline).await
    }
}
