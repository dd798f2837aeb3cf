//! Whether a key can be relied on: what callers and probes have seen of it, and the latch.

use super::attempt::Scene;
use crate::{KeyState, Result, SignError};
use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::SystemTime,
};
use tokio::sync::Notify;

/// What the guard knows of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyHealth {
    /// Nothing speaks against it: the last signature, if any, was made and verified.
    Ready,
    /// The last request failed in a way that may pass; the key is still tried.
    Suspect {
        /// Since when.
        since: SystemTime,
        /// For people.
        reason: String,
    },
    /// Not tried any more until configuration changes or an operator retries.
    Latched {
        /// What every caller gets.
        error: SignError,
    },
}

#[derive(Debug)]
pub(super) struct Health {
    scene: Scene,
    now: Mutex<KeyHealth>,
    /// Whether `now` is anything but `Ready`, so that the signing path takes no lock when all is well.
    troubled: AtomicBool,
    signed: AtomicBool,
    retry_asked: AtomicBool,
    state: Mutex<KeyState>,
    /// Wakes the watch when the key turns suspect or an operator retries.
    pub(super) changed: Notify,
}

impl Health {
    pub(super) fn new(scene: Scene) -> Self {
        Self {
            scene,
            now: Mutex::new(KeyHealth::Ready),
            troubled: AtomicBool::new(false),
            signed: AtomicBool::new(false),
            retry_asked: AtomicBool::new(false),
            state: Mutex::new(KeyState::Unknown),
            changed: Notify::new(),
        }
    }

    /// The latched error, if the key is latched.
    pub(super) fn check(&self) -> Result<()> {
        if !self.troubled.load(Relaxed) {
            return Ok(());
        }
        match &*self.lock() {
            KeyHealth::Latched { error } => Err(error.clone()),
            _ => Ok(()),
        }
    }

    pub(super) fn now(&self) -> KeyHealth {
        self.lock().clone()
    }

    pub(super) fn is_latched(&self) -> bool {
        self.check().is_err()
    }

    pub(super) fn is_ready(&self) -> bool {
        !self.troubled.load(Relaxed)
    }

    /// A signature was made and verified. Does not open a latch: the request may have begun before it fell.
    pub(super) fn succeeded(&self) {
        self.signed.store(true, Relaxed);
        if self.troubled.load(Relaxed) {
            self.change(|now| matches!(now, KeyHealth::Suspect { .. }).then_some(KeyHealth::Ready));
        }
    }

    /// A request failed for good: latches or makes suspect, as the error says.
    pub(super) fn failed(&self, error: &SignError) {
        let suspect = || KeyHealth::Suspect { since: SystemTime::now(), reason: error.to_string() };
        self.change(|now| match now {
            KeyHealth::Latched { .. } => None,
            _ if error.latches() => Some(KeyHealth::Latched { error: error.clone() }),
            KeyHealth::Ready if error.is_transient() => Some(suspect()),
            _ => None,
        });
    }

    /// Opens the latch; the key is suspect until it signs.
    pub(super) fn retry(&self) {
        let reason = || "an operator asked to try it again".to_owned();
        self.change(|now| match now {
            KeyHealth::Latched { .. } => {
                Some(KeyHealth::Suspect { since: SystemTime::now(), reason: reason() })
            }
            _ => None,
        });
        self.retry_asked.store(true, Relaxed);
        self.changed.notify_one();
    }

    /// Whether a signature was made since the last call.
    pub(super) fn take_signed(&self) -> bool {
        self.signed.swap(false, Relaxed)
    }

    /// Whether an operator asked to retry since the last call.
    pub(super) fn take_retry_asked(&self) -> bool {
        self.retry_asked.swap(false, Relaxed)
    }

    pub(super) fn key_state(&self) -> KeyState {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_key_state(&self, state: KeyState) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    fn change(&self, next: impl FnOnce(&KeyHealth) -> Option<KeyHealth>) {
        let mut now = self.lock();
        let Some(next) = next(&now) else { return };
        *now = next.clone();
        self.troubled.store(next != KeyHealth::Ready, Relaxed);
        drop(now);
        self.scene.health(&next);
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, KeyHealth> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
