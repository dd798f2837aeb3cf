//! How the backups are.

use super::{gauges::seconds_until, lock};
use opentelemetry::metrics::Meter;
use std::{
    sync::{Arc, Mutex},
    time::SystemTime,
};

/// The newest backups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackupFigures {
    /// When the newest in the directory was made, and its octets.
    pub made: Option<(SystemTime, u64)>,
    /// When the newest was made that was wholly verified.
    pub verified: Option<SystemTime>,
    /// For how many the hook has still to succeed, after it has failed or was ended; `None` where there is no hook.
    pub hook_pending: Option<u64>,
}

/// Registers what is read of them when somebody looks.
pub(super) fn register(meter: &Meter, figures: &Arc<Mutex<BackupFigures>>) {
    let age = |name: &'static str, what: &'static str, of: fn(&BackupFigures) -> Option<SystemTime>| {
        let figures = Arc::clone(figures);
        meter
            .i64_observable_gauge(name)
            .with_description(what)
            .with_unit("s")
            .with_callback(move |observer| {
                if let Some(at) = of(&lock(&figures)) {
                    observer.observe(-seconds_until(at, SystemTime::now()), &[]);
                }
            })
            .build();
    };
    age("catalyst.pki.backup_age_seconds", "Since the newest backup was made", |all| {
        all.made.map(|(at, _)| at)
    });
    age(
        "catalyst.pki.backup_verified_age_seconds",
        "Since the newest backup was made that was wholly verified",
        |all| all.verified,
    );
    let size = Arc::clone(figures);
    meter
        .u64_observable_gauge("catalyst.pki.backup_size_bytes")
        .with_description("Size of the newest backup")
        .with_unit("By")
        .with_callback(move |observer| {
            if let Some((_, size)) = lock(&size).made {
                observer.observe(size, &[]);
            }
        })
        .build();
    let figures = Arc::clone(figures);
    meter
        .u64_observable_gauge("catalyst.pki.backup_hook_pending")
        .with_description("Backups for which the hook has failed and is run again")
        .with_callback(move |observer| {
            if let Some(pending) = lock(&figures).hook_pending {
                observer.observe(pending, &[]);
            }
        })
        .build();
}
