//! The backend under test, and the keys the suite made in it.

use super::{
    Harness,
    report::{Tried, Unmet, failed, skipped},
};
use crate::{
    Capability, Guard, GuardedKey, KeyIntent, KeyLifecycle, KeyPin, KeyPolicy, KeyRole, NoObserver, Nonce,
    Purpose, Refusal, SignError, SignatureAlgorithm, SigningBackend,
};
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::SystemTime,
};
use tokio::{sync::Mutex, time::Instant};

/// A backend under test. Keys are made once per algorithm and shared by the rules, for in a real key store they cost
/// money.
pub struct Subject<'h> {
    pub(super) harness: &'h dyn Harness,
    pub(super) backend: Arc<dyn SigningBackend>,
    pub(super) guard: Arc<Guard>,
    keys: Mutex<HashMap<SignatureAlgorithm, (KeyIntent, KeyPin)>>,
    made: Mutex<Vec<KeyPin>>,
    generation: AtomicU32,
    pub(super) deployment: String,
}

impl<'h> Subject<'h> {
    /// Takes the harness's backend.
    pub async fn new(harness: &'h dyn Harness) -> Self {
        let mut start = [0; 4];
        // Where the random source fails, so will making keys, which the report then tells.
        let _ = aws_lc_rs::rand::fill(&mut start);
        Self {
            harness,
            backend: harness.backend().await,
            guard: Guard::new(Arc::new(NoObserver)),
            deployment: harness.deployment(),
            keys: Mutex::default(),
            made: Mutex::default(),
            // Names of an earlier run are not in the way.
            generation: AtomicU32::new(u32::from_be_bytes(start) / 2),
        }
    }

    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.harness.patience()
    }

    pub(super) fn lifecycle(&self) -> Tried<&dyn KeyLifecycle> {
        self.backend.lifecycle().ok_or_else(|| Unmet::Skipped("this process may not make keys".to_owned()))
    }

    /// A wish for a key that was never made.
    pub(super) fn fresh_intent(&self, algorithm: SignatureAlgorithm) -> Tried<KeyIntent> {
        let nonce = Nonce::random().or_else(|_| failed("the random source failed"))?;
        Ok(KeyIntent {
            nonce,
            deployment: self.deployment.clone(),
            role: KeyRole::Probe,
            generation: self.generation.fetch_add(1, Relaxed),
            algorithm,
            created_at: SystemTime::now(),
        })
    }

    /// An algorithm that keys can be made of: the first in the backend's own order.
    pub(super) fn some_algorithm(&self) -> Tried<SignatureAlgorithm> {
        let first = self.backend.capabilities().iter().find(|c| c.creates);
        first.map(|c| c.algorithm).ok_or_else(|| Unmet::Skipped("the backend makes no keys".to_owned()))
    }

    fn go_on(&self) -> Tried {
        if self.harness.is_stopped() { skipped("interrupted") } else { Ok(()) }
    }

    /// Makes a key and remembers to give it up. Whether an endpoint has an algorithm may show only here: that it does not
    /// is no fault.
    pub(super) async fn make(&self, intent: &KeyIntent) -> Tried<KeyPin> {
        self.go_on()?;
        let pin = match self.lifecycle()?.create(intent).await {
            Ok(pin) => pin,
            Err(SignError::Refused { kind: Refusal::Unsupported, reason }) => return skipped(reason),
            Err(error) => return broken("create", &error),
        };
        let mut made = self.made.lock().await;
        if !made.contains(&pin) {
            made.push(pin.clone());
        }
        Ok(pin)
    }

    /// The shared key of an algorithm and its intent, made at first.
    pub(super) async fn intended(&self, algorithm: SignatureAlgorithm) -> Tried<(KeyIntent, KeyPin)> {
        self.go_on()?;
        let mut keys = self.keys.lock().await;
        if let Some(known) = keys.get(&algorithm) {
            return Ok(known.clone());
        }
        let intent = self.fresh_intent(algorithm)?;
        let pin = self.make(&intent).await?;
        keys.insert(algorithm, (intent.clone(), pin.clone()));
        Ok((intent, pin))
    }

    /// A key of a capability: made, or an existing one that the harness names.
    pub(super) async fn key_of(&self, capability: &Capability) -> Tried<KeyPin> {
        let algorithm = capability.algorithm;
        if capability.creates && self.backend.lifecycle().is_some() {
            return Ok(self.intended(algorithm).await?.1);
        }
        match self.harness.existing(algorithm) {
            Some(reference) => {
                self.backend.resolve(&reference, algorithm).await.or_else(|e| broken("resolve", &e))
            }
            None => skipped(format!("no {algorithm} key at hand")),
        }
    }

    /// A key of any algorithm at hand.
    pub(super) async fn some_key(&self) -> Tried<KeyPin> {
        for capability in self.backend.capabilities() {
            match self.key_of(capability).await {
                Err(Unmet::Skipped(_)) => {}
                other => return other,
            }
        }
        skipped("no key at hand")
    }

    /// Opens a key behind the guard, as the CA does.
    pub(super) async fn open(
        &self,
        backend: &Arc<dyn SigningBackend>,
        pin: &KeyPin,
        concurrency: usize,
    ) -> Result<GuardedKey, SignError> {
        let policy = KeyPolicy {
            name: "conformance".to_owned(),
            deployment: self.deployment.clone(),
            purposes: &[Purpose::Certificate],
            concurrency,
            probe: true,
        };
        self.guard.open(backend.clone(), pin.clone(), policy, self.deadline()).await
    }

    pub(super) async fn opened(&self, pin: &KeyPin, concurrency: usize) -> Tried<GuardedKey> {
        self.go_on()?;
        self.open(&self.backend, pin, concurrency).await.or_else(|e| broken("open", &e))
    }

    /// What the suite made.
    pub(super) async fn take_made(&self) -> Vec<KeyPin> {
        std::mem::take(&mut *self.made.lock().await)
    }
}

/// A request that must work did not.
pub(super) fn broken<T>(what: &str, error: &SignError) -> Tried<T> {
    failed(format!("{what} failed: {error}"))
}
