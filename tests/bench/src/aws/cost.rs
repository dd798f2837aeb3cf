//! What a certificate takes of the machine: the service, and what plays KMS and the callers on the same cores.

use crate::{
    Outcome,
    load::Seen,
    process::{cpu_of_threads, own_cpu},
};
use catalyst_rigs::aws::FaultProxy;
use std::{fmt, thread, time::Duration};

/// CPU time for one certificate.
pub(super) struct Cost {
    service: Duration,
    kms: Duration,
    callers: Duration,
    cores: usize,
}

impl Cost {
    /// Of so many certificates that `load` asks for.
    pub(super) fn of(count: usize, load: impl FnOnce() -> Outcome<Seen>) -> Outcome<(Seen, Self)> {
        let (kms, own) = (cpu_of_threads(FaultProxy::THREADS)?, own_cpu());
        let seen = load()?;
        let (kms, own) =
            (cpu_of_threads(FaultProxy::THREADS)?.saturating_sub(kms), own_cpu().saturating_sub(own));
        let count = u32::try_from(count)?.max(1);
        let callers = own.saturating_sub(kms) / count;
        let cores = thread::available_parallelism()?.get();
        let cost = Self { service: seen.cpu, kms: kms / count, callers, cores };
        Ok((seen, cost))
    }

    /// How many certificates a second the cores are enough for.
    pub(super) fn limit(&self) -> f64 {
        let each = self.service + self.kms + self.callers;
        self.cores as f64 / each.as_secs_f64().max(1e-9)
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kms, callers, cores) = (self.kms.as_micros(), self.callers.as_micros(), self.cores);
        let limit = self.limit();
        write!(f, "KMS {kms} µs, callers {callers} µs: {cores} cores are enough for {limit:.0}/s")
    }
}
