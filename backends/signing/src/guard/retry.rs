//! When to try again, and when to let the caller know instead.

use crate::{SignError, TransientKind};
use std::time::Duration;
use tokio::time::Instant;

/// Draws a pause between zero and the ceiling.
pub(super) type Jitter = fn(Duration) -> Duration;

/// The first ceiling; it doubles with each attempt.
const FIRST: Duration = Duration::from_millis(25);
/// No ceiling is higher.
const HIGHEST: Duration = Duration::from_secs(2);
/// An integrity mismatch is retried no oftener than this.
const MISMATCH_RETRIES: u32 = 2;

/// Full jitter: any pause up to the ceiling is as likely as any other, so that callers who failed together do not come
/// back together.
pub(super) fn full_jitter(ceiling: Duration) -> Duration {
    let mut random = [0; 4];
    match aws_lc_rs::rand::fill(&mut random) {
        Ok(()) => ceiling.mul_f64(f64::from(u32::from_be_bytes(random)) / f64::from(u32::MAX)),
        Err(_) => ceiling,
    }
}

/// The failures of one request so far.
#[derive(Debug)]
pub(super) struct Backoff {
    jitter: Jitter,
    retries_transient: bool,
    attempts: u32,
    mismatches: u32,
    last: Option<SignError>,
}

impl Backoff {
    /// For a request that is retried while there is time.
    pub(super) fn new(jitter: Jitter) -> Self {
        Self { jitter, retries_transient: true, attempts: 0, mismatches: 0, last: None }
    }

    /// For a health probe: the next one comes soon enough, only a mismatch is looked at again.
    pub(super) fn for_probe(jitter: Jitter) -> Self {
        Self { retries_transient: false, ..Self::new(jitter) }
    }

    /// Whether an attempt was made before.
    pub(super) fn is_retry(&self) -> bool {
        self.attempts > 0
    }

    /// After a failed attempt: how long to pause before the next one, or the error for the caller. A pause that would
    /// outlast the caller is not begun: the error goes back with its delay. An attempt that the deadline cut off says
    /// less than the one before it, which is what the caller hears of then.
    pub(super) fn after(&mut self, error: SignError, deadline: Instant) -> Result<Duration, SignError> {
        let cut_off = matches!(error, SignError::Transient { kind: TransientKind::TimedOut, .. });
        if cut_off
            && Instant::now() >= deadline
            && let Some(before) = self.last.take()
        {
            return Err(before);
        }
        let ceiling = FIRST.saturating_mul(1 << self.attempts.min(16)).min(HIGHEST);
        self.attempts += 1;
        let pause = match &error {
            SignError::Transient { retry_after, .. } if self.retries_transient => {
                retry_after.unwrap_or_default().saturating_add((self.jitter)(ceiling))
            }
            SignError::Integrity { .. } if self.mismatches < MISMATCH_RETRIES => {
                self.mismatches += 1;
                (self.jitter)(ceiling)
            }
            _ => return Err(error),
        };
        let fits = Instant::now().checked_add(pause).is_some_and(|next| next < deadline);
        if !fits {
            return Err(with_delay(error, Some(pause)));
        }
        self.last = Some(error);
        Ok(pause)
    }

    /// What went wrong last, with the delay until the next attempt would have been admitted; `None` before any failure.
    pub(super) fn last_failure(self, retry_after: Option<Duration>) -> Option<SignError> {
        self.last.map(|error| with_delay(error, retry_after))
    }
}

fn with_delay(error: SignError, retry_after: Option<Duration>) -> SignError {
    match error {
        SignError::Transient { kind, reason, .. } => SignError::Transient { kind, reason, retry_after },
        other => other,
    }
}
