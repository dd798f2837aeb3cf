//! For which backups the operator's program has still to succeed, and when it is run again.

use super::hook;
use crate::{
    backup::{BackupError, Held, Schedule, Shelf, unmark},
    telemetry::Metrics,
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{task::spawn_blocking, time::Instant};
use tokio_util::sync::CancellationToken;

/// No hook runs longer, nor longer than from one backup to the next.
const LIMIT: Duration = Duration::from_secs(3_600);

/// The hook, and how it fared.
#[derive(Debug)]
pub(super) struct Uploads {
    program: PathBuf,
    schedule: Schedule,
    /// How often it has failed, by the backup's name; 0 for one that was just made. One that is not in here was marked by
    /// a service that ended since.
    failed: BTreeMap<String, u32>,
    /// In a row, for whichever backups.
    failures: u32,
    /// The last one.
    error: Option<String>,
    retry_at: Option<Instant>,
}

/// What goes into a run.
pub(super) struct Turn<'a> {
    pub(super) directory: &'a Path,
    pub(super) shelf: &'a Shelf,
    /// Until the next backup is due.
    pub(super) due: Duration,
    pub(super) metrics: &'a Metrics,
    pub(super) stop: &'a CancellationToken,
}

impl Uploads {
    pub(super) fn new(program: PathBuf, schedule: Schedule) -> Self {
        Self { program, schedule, failed: BTreeMap::new(), failures: 0, error: None, retry_at: None }
    }

    /// A backup was made: its turn comes at once, whatever has failed before.
    pub(super) fn made(&mut self, name: String) {
        self.failed.insert(name, 0);
        self.retry_at = None;
    }

    /// Backups for which it has failed or was ended, the newest first.
    pub(super) fn waiting<'s>(&self, shelf: &'s Shelf) -> Vec<&'s Held> {
        shelf.pending().filter(|held| self.failed_for(held) > 0).collect()
    }

    /// What the status says of them.
    pub(super) fn trouble(&self, shelf: &Shelf) -> Option<String> {
        let waiting = self.waiting(shelf);
        let newest = &waiting.first()?.name;
        let others = match waiting.len() {
            1 => String::new(),
            many => format!(" and {} more", many - 1),
        };
        let why = self.error.as_deref().unwrap_or("the service ended while it ran");
        Some(format!("the backup hook has not succeeded yet for {newest}{others}: {why}; it is run again"))
    }

    /// How long it is until the next turn; `None` where nothing is to be done.
    pub(super) fn wait(&self, shelf: &Shelf) -> Option<Duration> {
        self.next(shelf)?;
        Some(self.retry_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(Instant::now())))
    }

    /// The newest, which a restore would want; one for which it has failed makes way for the others.
    fn next<'s>(&self, shelf: &'s Shelf) -> Option<&'s Held> {
        shelf.pending().min_by_key(|held| self.failed_for(held))
    }

    fn failed_for(&self, held: &Held) -> u32 {
        self.failed.get(&held.name).copied().unwrap_or(1)
    }

    /// Runs it for one backup, if its time has come; answers whether it did.
    pub(super) async fn run_one(&mut self, turn: Turn<'_>) -> bool {
        self.failed.retain(|name, _| turn.shelf.pending().any(|held| held.name == *name));
        let is_time = self.wait(turn.shelf).is_some_and(|wait| wait.is_zero());
        let Some(held) = self.next(turn.shelf).filter(|_| is_time && !turn.stop.is_cancelled()) else {
            return false;
        };
        let path = turn.directory.join(&held.name);
        let started = Instant::now();
        // It must not make the next backup overdue.
        let limit = LIMIT.min(turn.due.max(self.schedule.every / 4));
        let ran = turn.stop.run_until_cancelled(hook::run(&self.program, &path, limit)).await;
        let ended = match ran {
            None => {
                tracing::warn!(target: "catalyst.pki", path = %path.display(), program = %self.program.display(),
                    "Backup hook ended with the service — it is run again for this backup after the next start");
                return true;
            }
            Some(Ok(())) => done(path.clone()).await.map_err(|error| error.to_string()),
            Some(Err(error)) => Err(error),
        };
        match ended {
            Ok(()) => {
                (self.failures, self.error, self.retry_at) = (0, None, None);
                tracing::info!(target: "catalyst.pki", path = %path.display(),
                    seconds = started.elapsed().as_secs_f64(), "Backup hook succeeded");
            }
            Err(error) => self.has_failed(held, &path, error, turn.metrics),
        }
        true
    }

    fn has_failed(&mut self, held: &Held, path: &Path, error: String, metrics: &Metrics) {
        self.failures = self.failures.saturating_add(1);
        let wait = self.schedule.retry_after(self.failures);
        self.retry_at = Some(Instant::now() + wait);
        self.failed.insert(held.name.clone(), self.failed_for(held).saturating_add(1));
        metrics.backup_failed("hook");
        tracing::error!(target: "catalyst.pki", path = %path.display(), program = %self.program.display(), error,
            retry_in_seconds = wait.as_secs(), "Backup hook failed — the backup is there, and it is run again");
        self.error = Some(error);
    }
}

/// # Errors
/// It would be run again for ever.
async fn done(path: PathBuf) -> Result<(), BackupError> {
    super::flat(spawn_blocking(move || unmark(&path)).await)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Timestamp;
    use std::{fs, num::NonZeroUsize, os::unix::fs::PermissionsExt as _};
    use tempfile::tempdir;

    fn shelf(names: &[&str]) -> Shelf {
        let held = |name: &&str| Held { name: (*name).into(), size: 1, at: Timestamp::from_seconds(1) };
        Shelf {
            good: names.iter().map(held).collect(),
            marked: names.iter().map(|&name| name.to_owned()).collect(),
            ..Shelf::default()
        }
    }

    fn uploads(program: PathBuf) -> Uploads {
        let schedule = Schedule { every: Duration::from_secs(86_400), keep: NonZeroUsize::MIN };
        Uploads::new(program, schedule)
    }

    #[tokio::test]
    async fn each_has_its_turn_the_newest_first_and_failures_are_told_apart_from_first_runs() {
        let directory = tempdir().unwrap();
        let program = directory.path().join("hook");
        fs::write(&program, "#!/bin/sh\nbasename \"$1\" >> \"$(dirname \"$0\")/ran\"; exit 3\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
        let mut uploads = uploads(program);
        let (metrics, stop) = (Metrics::new().unwrap(), CancellationToken::new());
        let shelf = shelf(&["1", "2", "3"]);
        let waiting = |uploads: &Uploads| {
            uploads.waiting(&shelf).iter().map(|held| held.name.clone()).collect::<Vec<_>>()
        };
        uploads.made("3".into());
        assert_eq!(waiting(&uploads), ["2", "1"], "of a service that ended");
        let trouble = uploads.trouble(&shelf).unwrap();
        assert!(trouble.contains("yet for 2 and 1 more: the service ended while it ran"), "{trouble}");
        let turn = || Turn {
            directory: directory.path(),
            shelf: &shelf,
            due: Duration::ZERO,
            metrics: &metrics,
            stop: &stop,
        };
        assert!(uploads.run_one(turn()).await);
        assert!(!uploads.run_one(turn()).await, "a pause comes first");
        assert_eq!(waiting(&uploads), ["3", "2", "1"]);
        for _ in 0..5 {
            uploads.retry_at = None;
            assert!(uploads.run_one(turn()).await);
        }
        let ran = fs::read_to_string(directory.path().join("ran")).unwrap();
        assert_eq!(ran.lines().collect::<Vec<_>>(), ["3", "3", "2", "1", "3", "2"]);
        assert_eq!(uploads.schedule.retry_after(uploads.failures), Duration::from_secs(960));
    }

    #[test]
    fn without_marks_there_is_nothing_to_do() {
        let mut uploads = uploads("/bin/false".into());
        let mut shelf = shelf(&["1"]);
        shelf.marked.clear();
        uploads.made("1".into());
        assert_eq!((uploads.wait(&shelf), uploads.trouble(&shelf)), (None, None));
    }
}
