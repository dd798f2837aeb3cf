//! An open key behind the guard.

use super::{KeyHealth, KeyPolicy, Purpose, Verified};
use crate::{KeyPin, KeyState, Refusal, Result, SignError, SigningBackend, SigningKey, TransientKind};
use aws_lc_rs::signature::ParsedPublicKey;
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};

/// The only way to a signature.
#[derive(Debug)]
pub struct GuardedKey {
    pin: KeyPin,
    policy: KeyPolicy,
    backend: &'static str,
    key: Arc<dyn SigningKey>,
    verifier: ParsedPublicKey,
}

impl GuardedKey {
    pub(super) async fn open(
        backend: Arc<dyn SigningBackend>,
        pin: KeyPin,
        policy: KeyPolicy,
        deadline: Instant,
    ) -> Result<Self> {
        let unreadable =
            || SignError::integrity(format!("the pin of {} holds no {} key", pin.uri, pin.algorithm));
        let verifier = pin.algorithm.verifier(&pin.spki).ok_or_else(unreadable)?;
        let key = timeout_at(deadline, backend.open(&pin)).await.map_err(|_| late())??;
        let now = timeout_at(deadline, key.public_key()).await.map_err(|_| late())??;
        if now.is_some_and(|now| now != pin.spki) {
            return Err(SignError::integrity(format!("{} is another key than the pinned one", pin.uri)));
        }
        Ok(Self { pin, policy, backend: backend.scheme(), key, verifier })
    }

    /// What was pinned.
    pub fn pin(&self) -> &KeyPin {
        &self.pin
    }

    /// The key store's scheme.
    pub fn backend(&self) -> &'static str {
        self.backend
    }

    /// Signs and verifies.
    pub async fn sign(&self, purpose: Purpose, message: Vec<u8>, deadline: Instant) -> Result<Verified> {
        if !self.policy.allows(purpose) {
            return Err(SignError::refused(
                Refusal::Purpose,
                format!("{} signs no {purpose}", self.policy.name),
            ));
        }
        let signature = timeout_at(deadline, self.key.sign(&message)).await.map_err(|_| late())??;
        if self.verifier.verify_sig(&message, &signature).is_err() {
            return Err(SignError::integrity(format!("a signature of {} does not verify", self.pin.uri)));
        }
        Ok(Verified { message, signature, algorithm: self.pin.algorithm })
    }

    /// Whether the key can be relied on.
    pub fn health(&self) -> KeyHealth {
        KeyHealth::Ready
    }

    /// What the key store last said about the key.
    pub fn key_state(&self) -> KeyState {
        KeyState::Unknown
    }

    /// Clears the latch.
    pub fn retry(&self) {}
}

fn late() -> SignError {
    SignError::Transient {
        kind: TransientKind::TimedOut,
        reason: "the deadline passed".into(),
        retry_after: None,
    }
}
