//! The guard under a fake clock, before a key store that misbehaves in every way.

mod health;
mod limits;
mod opening;
mod retries;
mod rogue;

use super::*;
use crate::{KeyUri, Refusal, SignError, SignatureAlgorithm, TransientKind};
use rogue::{Act, Rogue, Seen};
use std::time::Duration;

const CA: &[Purpose] = &[Purpose::Certificate, Purpose::Crl];

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn within(n: u64) -> Instant {
    Instant::now() + seconds(n)
}

fn policy(probe: bool, concurrency: usize) -> KeyPolicy {
    KeyPolicy {
        name: "services".to_owned(),
        deployment: "0123456789abcdef".to_owned(),
        purposes: CA,
        concurrency,
        probe,
    }
}

/// A guard whose pauses are their ceilings, so that a test can count on them.
fn guard(seen: &Arc<Seen>) -> Arc<Guard> {
    Guard::with_jitter(seen.clone(), |ceiling| ceiling)
}

/// An open key without probes.
async fn open(rogue: &Arc<Rogue>) -> (GuardedKey, Arc<Seen>) {
    let seen = Arc::new(Seen::default());
    let key = guard(&seen).open(rogue.clone(), rogue.pin(), policy(false, 4), within(5)).await.unwrap();
    (key, seen)
}

async fn sign(key: &GuardedKey) -> Result<Verified> {
    key.sign(Purpose::Certificate, b"tbs".to_vec(), within(30)).await
}

fn transient(error: &SignError) -> TransientKind {
    match error {
        SignError::Transient { kind, .. } => *kind,
        other => panic!("{other}"),
    }
}

#[test]
fn futures_can_be_spawned() {
    fn spawnable<T: Send>(_: T) {}
    let seen = Arc::new(Seen::default());
    let (guard, rogue) = (guard(&seen), Rogue::new());
    spawnable(async move {
        let key = guard.open(rogue.clone(), rogue.pin(), policy(true, 1), within(5)).await.unwrap();
        spawnable(key.sign(Purpose::Crl, Vec::new(), within(1)));
    });
}
