//! A key store that does as it is told, and an observer that remembers.

use super::*;
use crate::{Capability, KeyState, SigningBackend, SigningKey};
use async_trait::async_trait;
use aws_lc_rs::{encoding::AsDer, signature::Ed25519KeyPair, signature::KeyPair};
use std::{
    collections::VecDeque,
    sync::{
        Weak,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};
use tokio::time::sleep;

/// What one call does. When none is left, calls succeed.
#[derive(Clone, Debug)]
pub(super) enum Act {
    Sign,
    Slow(Duration),
    Hang,
    Fail(SignError),
    Garbage,
    AnotherKey,
    Panic,
}

#[derive(Debug)]
pub(super) struct Rogue {
    key: Ed25519KeyPair,
    other: Ed25519KeyPair,
    pub(super) acts: Mutex<VecDeque<Act>>,
    pub(super) openings: Mutex<VecDeque<SignError>>,
    /// What `public_key` says; the pin's if untouched.
    pub(super) shown: Mutex<Option<Vec<u8>>>,
    pub(super) state: Mutex<Result<KeyState>>,
    pub(super) per_second: Option<f64>,
    pub(super) signed: Mutex<Vec<(Instant, Vec<u8>)>>,
    pub(super) at_once: AtomicUsize,
    pub(super) most_at_once: AtomicUsize,
    capabilities: [Capability; 1],
    me: Weak<Rogue>,
}

impl Rogue {
    pub(super) fn new() -> Arc<Self> {
        Self::build(None, None)
    }

    pub(super) fn limited(per_second: f64) -> Arc<Self> {
        Self::build(Some(per_second), None)
    }

    pub(super) fn short(max_message: usize) -> Arc<Self> {
        Self::build(None, Some(max_message))
    }

    fn build(per_second: Option<f64>, max_message: Option<usize>) -> Arc<Self> {
        let key = Ed25519KeyPair::generate().unwrap();
        let shown = Mutex::new(Some(key.public_key().as_der().unwrap().as_ref().to_vec()));
        Arc::new_cyclic(|me| Self {
            key,
            other: Ed25519KeyPair::generate().unwrap(),
            acts: Mutex::default(),
            openings: Mutex::default(),
            shown,
            state: Mutex::new(Ok(KeyState::Usable)),
            per_second,
            signed: Mutex::default(),
            at_once: AtomicUsize::new(0),
            most_at_once: AtomicUsize::new(0),
            capabilities: [Capability {
                algorithm: SignatureAlgorithm::Ed25519,
                max_message,
                creates: false,
            }],
            me: me.clone(),
        })
    }

    pub(super) fn pin(&self) -> KeyPin {
        let spki = self.key.public_key().as_der().unwrap().as_ref().to_vec();
        KeyPin { uri: KeyUri::parse("rogue:key").unwrap(), algorithm: SignatureAlgorithm::Ed25519, spki }
    }

    pub(super) fn will(&self, acts: impl IntoIterator<Item = Act>) {
        self.acts.lock().unwrap().extend(acts);
    }

    pub(super) fn calls(&self) -> usize {
        self.signed.lock().unwrap().len()
    }

    /// When each call came, in milliseconds since the first.
    pub(super) fn times(&self) -> Vec<u128> {
        let signed = self.signed.lock().unwrap();
        signed.iter().map(|(at, _)| at.duration_since(signed[0].0).as_millis()).collect()
    }
}

#[async_trait]
impl SigningBackend for Rogue {
    fn scheme(&self) -> &'static str {
        "rogue"
    }
    fn capabilities(&self) -> &[Capability] {
        &self.capabilities
    }
    fn quota(&self, _: &KeyUri) -> Quota {
        Quota { name: "rogue account".to_owned(), per_second: self.per_second }
    }
    async fn resolve(&self, _: &str, _: SignatureAlgorithm) -> Result<KeyPin> {
        Ok(self.pin())
    }
    async fn open(&self, _: &KeyPin) -> Result<Arc<dyn SigningKey>> {
        match self.openings.lock().unwrap().pop_front() {
            Some(error) => Err(error),
            None => Ok(self.me.upgrade().unwrap()),
        }
    }
}

/// Counts a call while it is under way, also one that is dropped.
struct Counted<'a>(&'a AtomicUsize);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

#[async_trait]
impl SigningKey for Rogue {
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let now = self.at_once.fetch_add(1, SeqCst) + 1;
        self.most_at_once.fetch_max(now, SeqCst);
        let _counted = Counted(&self.at_once);
        self.signed.lock().unwrap().push((Instant::now(), message.to_vec()));
        let act = self.acts.lock().unwrap().pop_front().unwrap_or(Act::Sign);
        let by = |key: &Ed25519KeyPair| Ok(key.sign(message).as_ref().to_vec());
        match act {
            Act::Sign => by(&self.key),
            Act::Slow(time) => {
                sleep(time).await;
                by(&self.key)
            }
            Act::Hang => std::future::pending().await,
            Act::Fail(error) => Err(error),
            Act::Garbage => Ok(vec![0x5a; 64]),
            Act::AnotherKey => by(&self.other),
            Act::Panic => panic!("the rogue panics, as it was told to"),
        }
    }
    async fn public_key(&self) -> Result<Option<Vec<u8>>> {
        Ok(self.shown.lock().unwrap().clone())
    }
    async fn state(&self) -> Result<KeyState> {
        self.state.lock().unwrap().clone()
    }
}

/// Remembers what the guard told.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) finished: Mutex<Vec<(Operation, Outcome)>>,
    pub(super) durations: Mutex<Vec<Duration>>,
    pub(super) health: Mutex<Vec<KeyHealth>>,
    pub(super) in_flight: AtomicUsize,
    pub(super) throttled: AtomicUsize,
}

impl Seen {
    /// The outcomes of one operation, in order.
    pub(super) fn outcomes(&self, of: Operation) -> Vec<Outcome> {
        self.finished.lock().unwrap().iter().filter(|(o, _)| *o == of).map(|(_, outcome)| *outcome).collect()
    }
}

impl Observer for Seen {
    fn signing(&self, event: &SigningEvent<'_>) {
        match event {
            SigningEvent::Started { backend, .. } => {
                assert_eq!(*backend, "rogue");
                self.in_flight.fetch_add(1, SeqCst);
            }
            SigningEvent::Finished { operation, outcome, duration, .. } => {
                self.in_flight.fetch_sub(1, SeqCst);
                self.finished.lock().unwrap().push((*operation, *outcome));
                self.durations.lock().unwrap().push(*duration);
            }
            SigningEvent::Throttled { name, .. } => {
                assert_eq!(*name, "services");
                self.throttled.fetch_add(1, SeqCst);
            }
            SigningEvent::Health { health, .. } => self.health.lock().unwrap().push((*health).clone()),
        }
    }
}
