//! What is known of the backups, for the status and the metrics.

use crate::{
    api,
    backup::Held,
    identity::Timestamp,
    store::VerifiedBackup,
    telemetry::{BackupFigures, Metrics},
};
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

/// What is known of the backups. Nothing at first.
#[derive(Debug, Default)]
pub(in super::super) struct Standing(Mutex<Known>);

#[derive(Clone, Debug, Default)]
struct Known {
    is_scheduled: bool,
    newest: Option<Held>,
    verified: Option<VerifiedBackup>,
    trouble: Option<String>,
}

impl Standing {
    /// What lies in the directory of a service that makes backups, and what the operator has to do about it.
    pub(super) fn found(&self, newest: Option<Held>, trouble: Option<String>, metrics: &Metrics) {
        let mut known = self.known();
        (known.is_scheduled, known.newest, known.trouble) = (true, newest, trouble);
        metrics.set_backups(figures(&known));
    }

    /// Which backup was verified last.
    pub(in super::super) fn verified(&self, verified: Option<VerifiedBackup>, metrics: &Metrics) {
        let mut known = self.known();
        known.verified = verified;
        metrics.set_backups(figures(&known));
    }

    /// What the status says is to be done.
    pub(in super::super) fn warning(&self) -> Option<String> {
        self.known().trouble.clone()
    }

    /// `None`: the service makes none, and nobody has told of one.
    pub(in super::super) fn status(&self) -> Option<api::BackupStatus> {
        let known = self.known().clone();
        let is_known = known.is_scheduled || known.verified.is_some();
        is_known.then(|| api::BackupStatus {
            last_at: known.newest.as_ref().map(|held| held.at.to_string()),
            last_size: known.newest.map(|held| held.size),
            verified_created_at: known.verified.as_ref().map(|verified| verified.created_at.to_string()),
            verified_at: known.verified.map(|verified| verified.verified_at.to_string()),
        })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Whole between any two calls, so what a panicking thread left is still good.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn figures(known: &Known) -> BackupFigures {
    let moment = |at: Timestamp| SystemTime::UNIX_EPOCH + Duration::from_millis(at.millis().unsigned_abs());
    BackupFigures {
        made: known.newest.as_ref().map(|held| (moment(held.at), held.size)),
        verified: known.verified.as_ref().map(|verified| moment(verified.created_at)),
    }
}
