//! An open key behind the guard.

use super::{
    KeyHealth, KeyPolicy, KeyView, Operation, Purpose, Verified,
    attempt::Scene,
    bucket::{Bucket, Want},
    health::Health,
    retry::{Backoff, Jitter},
    slots::Slots,
};
use crate::{Capability, KeyPin, KeyState, Refusal, Result, SignError, SigningKey, TransientKind};
use aws_lc_rs::signature::ParsedPublicKey;
use std::{fmt, sync::Arc};
use tokio::{
    sync::SemaphorePermit,
    task::JoinHandle,
    time::{Instant, sleep, timeout_at},
};

/// The only way to a signature. Dropping it ends the watch over the key.
pub struct GuardedKey {
    pub(super) inner: Arc<Inner>,
    pub(super) watch: Option<JoinHandle<()>>,
}

/// What signing and the watch share.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) pin: KeyPin,
    pub(super) policy: KeyPolicy,
    pub(super) scene: Scene,
    pub(super) capability: Capability,
    pub(super) key: Arc<dyn SigningKey>,
    pub(super) verifier: ParsedPublicKey,
    pub(super) jitter: Jitter,
    pub(super) bucket: Option<Arc<Bucket>>,
    pub(super) slots: Slots,
    pub(super) health: Health,
}

impl GuardedKey {
    /// What was pinned.
    pub fn pin(&self) -> &KeyPin {
        &self.inner.pin
    }

    /// The key store's scheme.
    pub fn backend(&self) -> &'static str {
        self.inner.scene.backend
    }

    /// The CA's name, as the policy has it.
    pub fn name(&self) -> &str {
        &self.inner.policy.name
    }

    /// Signs `message`, and gives the signature only if it verifies under the pinned key.
    ///
    /// Waits for a free call, for the quota and between retries, but never beyond `deadline`: a wait that is known to
    /// outlast it is not begun, and the error says how long it would have been. Dropping the future frees what it held.
    /// For [`Purpose::Probe`] there is only one message, which [`GuardedKey::probe`] knows.
    ///
    /// # Errors
    /// [`SignError::Transient`] may pass (503); all others need somebody to act (500). A latched key gives every
    /// caller the error it latched with.
    pub async fn sign(&self, purpose: Purpose, message: Vec<u8>, deadline: Instant) -> Result<Verified> {
        let signature = self.inner.sign(purpose, &message, Backoff::new(self.inner.jitter), deadline).await?;
        Ok(Verified { message, signature, algorithm: self.inner.pin.algorithm })
    }

    /// Makes one probe signature now: what `backend check` does.
    ///
    /// # Errors
    /// As [`GuardedKey::sign`]; [`Refusal::Purpose`] where the policy allows no probes.
    pub async fn probe(&self, deadline: Instant) -> Result<()> {
        self.inner.probe(Backoff::new(self.inner.jitter), deadline).await
    }

    /// Makes one signature over the probe's message whatever the policy says of probes: the proof that a key which is
    /// to be pinned signs, wanted by an operator and made once.
    ///
    /// # Errors
    /// As [`GuardedKey::sign`].
    pub async fn prove(&self, deadline: Instant) -> Result<()> {
        let message = self.inner.probe_message();
        self.inner.attempt(Purpose::Probe, &message, deadline).await.map(drop)
    }

    /// Whether the key can be relied on.
    pub fn health(&self) -> KeyHealth {
        self.inner.health.now()
    }

    /// What the key store last said about the key; [`KeyState::Unknown`] until it was asked, which the watch does.
    pub fn key_state(&self) -> KeyState {
        self.inner.health.key_state()
    }

    /// What an operator has to know of this key as long as it is used.
    pub fn caution(&self) -> Option<String> {
        self.inner.key.caution()
    }

    /// What is to be known of the key as long as it is open, without holding it open.
    pub fn view(&self) -> KeyView {
        KeyView::of(&self.inner)
    }

    /// Opens the latch, as an operator's `backend retry` does; a probe follows at once where the policy has them.
    pub fn retry(&self) {
        self.inner.health.retry();
    }
}

impl Drop for GuardedKey {
    fn drop(&mut self) {
        if let Some(watch) = &self.watch {
            watch.abort();
        }
    }
}

impl fmt::Debug for GuardedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedKey")
            .field("name", &self.inner.policy.name)
            .field("uri", &self.inner.pin.uri)
            .field("algorithm", &self.inner.pin.algorithm)
            .field("health", &self.inner.health.now())
            .finish_non_exhaustive()
    }
}

impl Inner {
    /// Signs and verifies, with retries; health learns how it ended.
    pub(super) async fn sign(
        &self,
        purpose: Purpose,
        message: &[u8],
        mut backoff: Backoff,
        deadline: Instant,
    ) -> Result<Vec<u8>> {
        self.refuse_unfit(purpose, message)?;
        loop {
            self.health.check()?;
            let permits = match self.admit(purpose, backoff.is_retry(), deadline).await {
                Ok(permits) => permits,
                Err(blocked) => {
                    // After a failure it is that failure the caller must hear of, not the lack of a retry.
                    let failure = backoff.last_failure(blocked.retry_after());
                    return Err(failure.map_or(blocked, |error| self.failed(error)));
                }
            };
            // Another request may have latched the key while this one waited.
            self.health.check()?;
            let error = match self.attempt(purpose, message, deadline).await {
                Ok(signature) => {
                    self.health.succeeded();
                    return Ok(signature);
                }
                Err(error) => error,
            };
            // The pause is no call: others may use the slot meanwhile.
            drop(permits);
            match backoff.after(error, deadline) {
                Ok(pause) => sleep(pause).await,
                Err(error) => return Err(self.failed(error)),
            }
        }
    }

    /// Health learns of an error that speaks against the key.
    fn failed(&self, error: SignError) -> SignError {
        self.health.failed(&error);
        error
    }

    /// A signature over the deployment's name, which is no TBS and no token: good for nothing but health.
    pub(super) async fn probe(&self, backoff: Backoff, deadline: Instant) -> Result<()> {
        self.sign(Purpose::Probe, &self.probe_message(), backoff, deadline).await.map(drop)
    }

    fn probe_message(&self) -> Vec<u8> {
        [b"catalyst-pki/probe/v1\0", self.policy.deployment.as_bytes()].concat()
    }

    /// What is wrong with the request itself; says nothing about the key, so it does not touch health.
    fn refuse_unfit(&self, purpose: Purpose, message: &[u8]) -> Result<()> {
        if !self.policy.allows(purpose) {
            let reason = format!("the key {} of {} signs no {purpose}", self.pin.uri, self.policy.name);
            return Err(SignError::refused(Refusal::Purpose, reason));
        }
        // Else "it is only a probe" would sign anything with any key.
        if purpose == Purpose::Probe && message != self.probe_message() {
            return Err(SignError::refused(
                Refusal::Purpose,
                "a probe signs the probe message and nothing else",
            ));
        }
        match self.capability.max_message {
            Some(limit) if message.len() > limit => {
                let (algorithm, backend, length) = (self.pin.algorithm, self.scene.backend, message.len());
                let reason = format!(
                    "{algorithm} in {backend} signs at most {limit} octets, this message has {length}: choose another \
                     algorithm for {}",
                    self.policy.name
                );
                Err(SignError::refused(Refusal::Unsupported, reason))
            }
            _ => Ok(()),
        }
    }

    /// Waits until this request may call the key store: for leave to be a retry, for its lane, the quota and a slot.
    /// In this order, so that nobody holds what others wait for while waiting longer than they.
    async fn admit(&self, purpose: Purpose, retry: bool, deadline: Instant) -> Result<Permits<'_>> {
        let busy = |_| {
            let KeyPolicy { name, concurrency, .. } = &self.policy;
            SignError::timed_out(format!(
                "all {concurrency} calls of {name} to the key store were busy until the deadline"
            ))
        };
        if Instant::now() >= deadline {
            return Err(SignError::timed_out(format!(
                "the deadline had passed before {} could sign",
                self.policy.name
            )));
        }
        if retry {
            self.pass_quota(Want::Retry, deadline).await?;
        }
        let lane = timeout_at(deadline, self.slots.lane(purpose)).await.map_err(busy)?;
        self.pass_quota(Want::Call(purpose), deadline).await?;
        let call = timeout_at(deadline, self.slots.call()).await.map_err(busy)?;
        Ok(Permits { _call: call, _lane: lane })
    }

    async fn pass_quota(&self, want: Want, deadline: Instant) -> Result<()> {
        let Some(bucket) = &self.bucket else { return Ok(()) };
        match bucket.promise(want, deadline) {
            Ok(promise) => {
                if !promise.wait().is_zero() {
                    self.scene.throttled();
                    sleep(promise.wait()).await;
                }
                promise.keep();
                Ok(())
            }
            Err(wait) => {
                self.scene.throttled();
                let reason = format!("the quota of {} is used up for now", bucket.name());
                Err(SignError::Transient { kind: TransientKind::Throttled, reason, retry_after: Some(wait) })
            }
        }
    }

    /// One call, and the verification of what it gives. A bad signature is dropped unseen: a faulty RSA-CRT signature
    /// gives the key away to whoever reads it in a log.
    async fn attempt(&self, purpose: Purpose, message: &[u8], deadline: Instant) -> Result<Vec<u8>> {
        let operation = if purpose == Purpose::Probe { Operation::Probe } else { Operation::Sign };
        let call = async { self.key.sign(message).await };
        let verify = |signature: &Vec<u8>| {
            self.verifier.verify_sig(message, signature).map_err(|_| {
                self.key.doubt();
                let (uri, name) = (&self.pin.uri, &self.policy.name);
                SignError::integrity(format!(
                    "a signature of {uri} does not verify under the public key pinned for {name}"
                ))
            })
        };
        self.scene.attempt(operation, deadline, call, verify).await
    }
}

/// Held while a call is under way.
struct Permits<'a> {
    _call: Option<SemaphorePermit<'a>>,
    _lane: Option<SemaphorePermit<'a>>,
}
