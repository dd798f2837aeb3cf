//! What the CA tells metrics.

use super::Gauges;
use std::time::Duration;

/// Takes figures. Called on the issuing path: count and return.
pub trait Observer: Send + Sync + std::fmt::Debug {
    /// A certificate was issued; `certificate_type` is `end-entity` or `intermediate`.
    fn certificate_issued(&self, certificate_type: &'static str, algorithm: &'static str, issuer: &str);
    /// A CSR was answered with a certificate in that time.
    fn csr_signed(&self, took: Duration);
    /// So many expired certificates were deleted.
    fn purged(&self, count: u64);
    /// The state of things.
    fn gauges(&self, gauges: &Gauges);
}

/// Looks away.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoObserver;

impl Observer for NoObserver {
    fn certificate_issued(&self, _: &'static str, _: &'static str, _: &str) {}
    fn csr_signed(&self, _: Duration) {}
    fn purged(&self, _: u64) {}
    fn gauges(&self, _: &Gauges) {}
}
