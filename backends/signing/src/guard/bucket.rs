//! The token bucket of one quota, shared by all keys that draw from it.

use super::Purpose;
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// The share of the quota that only CRLs may draw; what they leave flows over to the rest.
const CRL_SHARE: f64 = 0.1;
/// The largest part of the calls that may be retries.
const RETRY_SHARE: f64 = 0.1;
/// The part of a second's quota that may be drawn at one instant.
const BURST: f64 = 0.1;

/// Tokens by the second. Burst and refill of any one second together stay within the quota.
#[derive(Debug)]
pub(super) struct Bucket {
    name: String,
    tokens: Mutex<Tokens>,
}

#[derive(Debug)]
struct Tokens {
    at: Instant,
    general: Pool,
    crl: Pool,
    retry: Pool,
}

/// Goes below zero when calls have been promised that are not due yet.
#[derive(Debug)]
struct Pool {
    level: f64,
    capacity: f64,
    per_second: f64,
}

impl Pool {
    fn full(capacity: f64, per_second: f64) -> Self {
        Self { level: capacity, capacity, per_second }
    }

    /// Adds tokens and gives back what does not fit.
    fn add(&mut self, tokens: f64) -> f64 {
        let level = self.level + tokens;
        self.level = level.min(self.capacity);
        level - self.level
    }

    /// How long until one more token can be drawn.
    fn wait(&self, per_second: f64) -> Duration {
        let missing = (1.0 - self.level).max(0.0);
        Duration::try_from_secs_f64(missing / per_second).unwrap_or(Duration::MAX)
    }
}

/// What a token is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// A call; every attempt needs one.
    Call(Purpose),
    /// Being a retry; needed besides.
    Retry,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    General,
    Crl,
    Retry,
}

impl Bucket {
    pub(super) fn new(name: String, per_second: f64) -> Self {
        let burst = |share: f64| (per_second * BURST * share).max(1.0);
        let (general, crl) = (burst(1.0 - CRL_SHARE), burst(CRL_SHARE));
        let refill = (per_second - general - crl).max(per_second / 2.0);
        let tokens = Tokens {
            at: Instant::now(),
            general: Pool::full(general, refill * (1.0 - CRL_SHARE)),
            crl: Pool::full(crl, refill * CRL_SHARE),
            retry: Pool::full(burst(RETRY_SHARE), refill * RETRY_SHARE),
        };
        Self { name, tokens: Mutex::new(tokens) }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Promises a token, to be used after a pause. `Err`: the pause that would outlast `deadline`; nothing was drawn.
    pub(super) fn promise(&self, want: Want, deadline: Instant) -> Result<Promise<'_>, Duration> {
        let now = Instant::now();
        let mut tokens = self.lock();
        tokens.refill(now);
        let (from, wait) = tokens.choose(want);
        if !wait.is_zero() && now.checked_add(wait).is_none_or(|due| due >= deadline) {
            return Err(wait);
        }
        tokens.pool(from).level -= 1.0;
        Ok(Promise { bucket: self, from, wait, kept: false })
    }

    fn lock(&self) -> MutexGuard<'_, Tokens> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tokens {
    fn refill(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = self.at.max(now);
        let over = self.crl.add(seconds * self.crl.per_second);
        self.general.add(seconds * self.general.per_second + over);
        self.retry.add(seconds * self.retry.per_second);
    }

    /// Where to draw from, and how long to wait for it. CRLs take their share first and the rest like all others.
    fn choose(&self, want: Want) -> (From, Duration) {
        let spare = if self.crl.level >= self.crl.capacity { self.crl.per_second } else { 0.0 };
        let general = self.general.wait(self.general.per_second + spare);
        let crl = self.crl.wait(self.crl.per_second);
        match want {
            Want::Retry => (From::Retry, self.retry.wait(self.retry.per_second)),
            Want::Call(Purpose::Crl) if crl <= general => (From::Crl, crl),
            Want::Call(_) => (From::General, general),
        }
    }

    fn pool(&mut self, from: From) -> &mut Pool {
        match from {
            From::General => &mut self.general,
            From::Crl => &mut self.crl,
            From::Retry => &mut self.retry,
        }
    }
}

/// A promised token; goes back if the caller goes away before using it.
#[derive(Debug)]
pub(super) struct Promise<'a> {
    bucket: &'a Bucket,
    from: From,
    wait: Duration,
    kept: bool,
}

impl Promise<'_> {
    /// How long until it may be used; zero mostly.
    pub(super) fn wait(&self) -> Duration {
        self.wait
    }

    /// The call begins.
    pub(super) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Promise<'_> {
    fn drop(&mut self) {
        if !self.kept {
            self.bucket.lock().pool(self.from).add(1.0);
        }
    }
}
