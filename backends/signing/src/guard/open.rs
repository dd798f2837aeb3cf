//! Opening a key: the proof that it is the pinned one.

use super::{
    Guard, GuardedKey, KeyPolicy, Operation,
    attempt::Scene,
    health::Health,
    key::Inner,
    retry::{Backoff, Jitter},
    slots::Slots,
    watch,
};
use crate::{Capability, KeyPin, Refusal, Result, SignError, SigningBackend};
use aws_lc_rs::digest;
use std::{pin::Pin, sync::Arc};
use tokio::time::{Instant, sleep};

pub(super) async fn open(
    guard: &Guard,
    backend: Arc<dyn SigningBackend>,
    pin: KeyPin,
    policy: KeyPolicy,
    deadline: Instant,
) -> Result<GuardedKey> {
    let capability = fitting(&*backend, &pin)?;
    let verifier = pin.algorithm.verifier(&pin.spki).ok_or_else(|| {
        SignError::integrity(format!(
            "the public key pinned for {} ({}) is no {} key",
            policy.name, pin.uri, pin.algorithm
        ))
    })?;
    let scene =
        Scene { observer: guard.observer.clone(), backend: backend.scheme(), name: policy.name.clone() };
    let asking = Asking { scene: &scene, jitter: guard.jitter, deadline };

    let key = asking.until_answered(Operation::Open, || backend.open(&pin)).await?;
    let seen = asking.until_answered(Operation::PublicKey, || key.public_key()).await?;
    if let Some(seen) = &seen
        && *seen != pin.spki
    {
        return Err(differs(&pin, &policy, seen));
    }

    let inner = Arc::new(Inner {
        bucket: guard.bucket(backend.quota(&pin.uri)),
        slots: Slots::new(policy.concurrency),
        health: Health::new(scene.clone()),
        jitter: guard.jitter,
        pin,
        policy,
        scene,
        capability,
        key,
        verifier,
    });
    if seen.is_none() && inner.policy.probe {
        inner.probe(Backoff::new(guard.jitter), deadline).await?;
    }
    let watch = inner.policy.probe.then(|| tokio::spawn(watch::watch(inner.clone())));
    Ok(GuardedKey { inner, watch })
}

/// What the backend can do with the pin's algorithm, if the pin is this backend's at all.
fn fitting(backend: &dyn SigningBackend, pin: &KeyPin) -> Result<Capability> {
    let scheme = backend.scheme();
    if pin.uri.scheme() != scheme {
        let reason =
            format!("the key {} is not in the {scheme} key store: configure the one it is in", pin.uri);
        return Err(SignError::refused(Refusal::Configuration, reason));
    }
    let capability = backend.capabilities().iter().find(|c| c.algorithm == pin.algorithm).copied();
    capability.ok_or_else(|| {
        let reason =
            format!("the {scheme} key store has no {} keys, as {} is pinned to be", pin.algorithm, pin.uri);
        SignError::refused(Refusal::Unsupported, reason)
    })
}

fn differs(pin: &KeyPin, policy: &KeyPolicy, seen: &[u8]) -> SignError {
    let seen = digest::digest(&digest::SHA256, seen);
    SignError::integrity(format!(
        "{} holds another key than the one pinned for {}: SPKI SHA-256 {} in the key store, {} in the pin; put the \
         right key back, or run `catalyst pki ca repin` if the key was moved",
        pin.uri,
        policy.name,
        hex(seen.as_ref()),
        hex(&pin.spki_sha256())
    ))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Questions that need no slot and no quota.
struct Asking<'a> {
    scene: &'a Scene,
    jitter: Jitter,
    deadline: Instant,
}

impl Asking<'_> {
    /// Asks again after what may pass, as long as there is time.
    async fn until_answered<'f, T>(
        &self,
        operation: Operation,
        ask: impl Fn() -> Pin<Box<dyn Future<Output = Result<T>> + Send + 'f>>,
    ) -> Result<T> {
        let mut backoff = Backoff::new(self.jitter);
        loop {
            match self.scene.attempt(operation, self.deadline, ask(), |_| Ok(())).await {
                Ok(answer) => return Ok(answer),
                Err(error) => sleep(backoff.after(error, self.deadline)?).await,
            }
        }
    }
}
