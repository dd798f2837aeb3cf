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
    troubles: Vec<String>,
    hook_pending: Option<u64>,
}

/// What lies in the directory of a service that makes backups.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) newest: Option<Held>,
    /// For how many of them the hook has failed; `None` where there is no hook.
    pub(super) hook_pending: Option<u64>,
    /// What the operator has to do about it, in sentences.
    pub(super) troubles: Vec<String>,
}

impl Standing {
    /// What lies in the directory now.
    pub(super) fn found(&self, found: Found, metrics: &Metrics) {
        let mut known = self.known();
        (known.is_scheduled, known.newest) = (true, found.newest);
        (known.hook_pending, known.troubles) = (found.hook_pending, found.troubles);
        metrics.set_backups(figures(&known));
    }

    /// Which backup was verified last.
    pub(in super::super) fn verified(&self, verified: Option<VerifiedBackup>, metrics: &Metrics) {
        let mut known = self.known();
        known.verified = verified;
        metrics.set_backups(figures(&known));
    }

    /// What the status says is to be done.
    pub(in super::super) fn warnings(&self) -> Vec<String> {
        self.known().troubles.clone()
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
        hook_pending: known.hook_pending,
    }
}
