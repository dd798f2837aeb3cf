//! How many calls of one key may be under way at once.

use super::Purpose;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Two gates of the same width. All but CRLs pass the lane first, so at most as many of them wait for a call as there
/// are calls; a CRL goes straight to the second gate and comes next, however long the queue before the lane.
#[derive(Debug)]
pub(super) struct Slots {
    lane: Semaphore,
    calls: Semaphore,
}

impl Slots {
    /// At least one.
    pub(super) fn new(concurrency: usize) -> Self {
        let width = concurrency.clamp(1, Semaphore::MAX_PERMITS);
        Self { lane: Semaphore::new(width), calls: Semaphore::new(width) }
    }

    /// Waits for the lane; `None`: this purpose needs none.
    pub(super) async fn lane(&self, purpose: Purpose) -> Option<SemaphorePermit<'_>> {
        match purpose {
            Purpose::Crl => None,
            // Fails only for a closed semaphore, and this one is never closed.
            _ => self.lane.acquire().await.ok(),
        }
    }

    /// Waits for a call.
    pub(super) async fn call(&self) -> Option<SemaphorePermit<'_>> {
        self.calls.acquire().await.ok()
    }
}
