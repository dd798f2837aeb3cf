//! Octets of memory, about, that sessions hold for their clients.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Octets of the answers that sessions hold, of all sessions that share it.
#[derive(Clone, Debug, Default)]
pub struct Total(Arc<AtomicUsize>);

/// The same of one session: what it keeps, what is due and what is being sent.
#[derive(Clone, Default)]
pub(super) struct Meter {
    own: Total,
    all: Total,
}

/// Octets that are counted until this is dropped.
pub(super) struct Weight {
    octets: usize,
    meter: Meter,
}

impl Total {
    /// Octets of memory, about.
    pub fn octets(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Meter {
    pub(super) fn new(all: &Total) -> Self {
        Self { own: Total::default(), all: all.clone() }
    }

    pub(super) fn octets(&self) -> usize {
        self.own.octets()
    }

    pub(super) fn hold(&self, octets: usize) -> Weight {
        for total in [&self.own, &self.all] {
            total.0.fetch_add(octets, Ordering::Relaxed);
        }
        Weight { octets, meter: self.clone() }
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        for total in [&self.meter.own, &self.meter.all] {
            total.0.fetch_sub(self.octets, Ordering::Relaxed);
        }
    }
}
