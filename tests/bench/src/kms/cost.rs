//! What a certificate takes of the machine: the service, and what plays KMS and the callers on the same cores.

use super::Kms;
use crate::{Outcome, load::Seen, process::cpu_of_all};
use std::{fmt, thread, time::Duration};

/// CPU time for one certificate, and how many cores there were.
pub(super) struct Cost {
    service: Duration,
    kms: Duration,
    callers: Duration,
    cores: usize,
    /// Cores that programs had which are no part of this.
    others: f64,
}

impl Cost {
    /// Of so many certificates that `load` asks for.
    pub(super) fn of(
        kms: &impl Kms,
        count: usize,
        load: impl FnOnce() -> Outcome<Seen>,
    ) -> Outcome<(Seen, Self)> {
        let now = || -> Outcome<_> {
            let [kms, callers] = kms.cpu()?;
            Ok([kms, callers, cpu_of_all()?])
        };
        let before = now()?;
        let seen = load()?;
        let after = now()?;
        let [kms, callers, all] = [0, 1, 2].map(|at: usize| after[at].saturating_sub(before[at]));
        let count = u32::try_from(count)?.max(1);
        let others =
            all.saturating_sub(kms + callers + seen.cpu * count).as_secs_f64() / seen.took.as_secs_f64();
        let cores = thread::available_parallelism()?.get();
        let cost = Self { service: seen.cpu, kms: kms / count, callers: callers / count, cores, others };
        Ok((seen, cost))
    }

    /// How many certificates a second the cores are enough for that others left.
    pub(super) fn limit(&self) -> f64 {
        let each = self.service + self.kms + self.callers;
        (self.cores as f64 - self.others).max(0.0) / each.as_secs_f64().max(1e-9)
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cores, others, .. } = self;
        let (kms, callers, limit) = (self.kms.as_micros(), self.callers.as_micros(), self.limit());
        write!(
            f,
            "KMS {kms} µs, callers {callers} µs; {cores} cores less {others:.1} are enough for {limit:.0}/s"
        )
    }
}
