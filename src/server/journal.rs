//! Keeps the journal of denials up with the audit log, beside the service's other work.

use super::start::Failure;
use crate::{
    backup::{JournalError, JournalFile},
    identity::Clock,
    store::{JournalLine, Store, StoreError},
    telemetry::Metrics,
};
use arc_swap::ArcSwapOption;
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Notify, watch},
    task::spawn_blocking,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

/// How long a denial waits for its line before it answers that it is still to come.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often the audit log is looked at without being asked to; what failed is tried again as often.
const EVERY: Duration = Duration::from_secs(10);
/// How often the same failure is told.
const TELL_EVERY: Duration = Duration::from_secs(3600);
/// How long the last lines may take when the service ends.
const LAST_PATIENCE: Duration = Duration::from_secs(5);
/// Without lines, the place in the audit log is noted once in so many records.
const NOTED_EVERY: i64 = 10_000;

/// A line that was waited for is not in the journal yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending;

/// What handlers ask.
#[derive(Debug, Default)]
pub(super) struct Journal {
    asked: AtomicU64,
    wanted: Notify,
    done: watch::Sender<Round>,
    /// Why nothing can be written.
    trouble: ArcSwapOption<String>,
}

/// The last look, and whether everything is in the journal since.
#[derive(Clone, Copy, Debug, Default)]
struct Round {
    number: u64,
    is_whole: bool,
}

impl Journal {
    /// Waits, not for long, until everything that has committed is in the journal.
    pub(super) async fn settled(&self) -> Result<(), Pending> {
        let mine = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let mut done = self.done.subscribe();
        self.wanted.notify_one();
        let round = timeout(PATIENCE, done.wait_for(|round| round.number >= mine)).await;
        match round {
            Ok(Ok(round)) if round.is_whole => Ok(()),
            _ => Err(Pending),
        }
    }

    pub(super) fn trouble(&self) -> Option<Arc<String>> {
        self.trouble.load_full()
    }
}

/// Writes the journal.
pub(super) struct Keeper {
    journal: Arc<Journal>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    directory: PathBuf,
    deployment: String,
    /// `None` until it could be opened, and after a failure.
    file: Option<JournalFile>,
    /// Up to which audit record everything is in the journal …
    place: i64,
    /// … and up to which the store says so.
    noted: i64,
    told: Option<(Instant, String)>,
}

impl Keeper {
    /// Opens the journal, or begins it. What only wants room, a directory or another mode is tried again later; a service
    /// does not fail to start for it.
    ///
    /// # Errors
    /// The store's; a file that is not this service's to write to.
    pub(super) async fn open(
        directory: PathBuf,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
    ) -> Result<Self, Failure> {
        let deployment = store.deployment().await?.id;
        let place = store.journalled().await?;
        let mut keeper = Self {
            journal: Arc::default(),
            store,
            clock,
            metrics,
            directory,
            deployment,
            file: None,
            place,
            noted: place,
            told: None,
        };
        match keeper.opened().await {
            Ok(file) => keeper.file = Some(file),
            Err(Trouble::Journal(error @ JournalError::Unfit { .. })) => return Err(error.into()),
            // Told in the first round.
            Err(_) => {}
        }
        Ok(keeper)
    }

    pub(super) fn journal(&self) -> Arc<Journal> {
        self.journal.clone()
    }

    /// Goes on until the token is cancelled, and writes what came last.
    pub(super) async fn keep(mut self, stop: CancellationToken) {
        // What stands is held against the file once, however it was left.
        let mut is_compared = false;
        loop {
            is_compared = self.round(is_compared).await;
            let again = async {
                tokio::select! {
                    () = self.journal.wanted.notified() => {}
                    () = tokio::time::sleep(EVERY) => {}
                }
            };
            if stop.run_until_cancelled(again).await.is_none() {
                break;
            }
        }
        if timeout(LAST_PATIENCE, self.round(is_compared)).await.is_err() {
            tracing::warn!(target: "catalyst.pki", "Stopped while the journal of denials was being written — it is made up for at the next start");
        }
    }

    /// One look; answers whether all that stands is known to be in the file.
    async fn round(&mut self, is_compared: bool) -> bool {
        let number = self.journal.asked.load(Ordering::SeqCst);
        let was_open = self.file.is_some();
        let mut outcome = self.catch_up(is_compared && was_open).await;
        if outcome.is_err() && was_open {
            // The file may have been taken away: it is begun anew at once.
            outcome = self.catch_up(false).await;
        }
        let is_whole = outcome.is_ok();
        match outcome {
            Ok(()) => self.is_well(),
            Err((pending, trouble)) => self.is_in_trouble(pending, &trouble),
        }
        self.journal.done.send_replace(Round { number, is_whole });
        is_whole
    }

    /// Writes what is not in the journal yet. Fails with how many lines that are, as far as that is known.
    async fn catch_up(&mut self, is_compared: bool) -> Result<(), (u64, Trouble)> {
        let unread = |error: StoreError| (0, error.into());
        let standing = if is_compared {
            Vec::new()
        } else {
            self.store.journal_of_all(self.clock.now()).await.map_err(unread)?.lines
        };
        let new = self.store.journal_after(self.place).await.map_err(unread)?;
        let pending = (standing.len() + new.lines.len()) as u64;
        let has_lines = pending > 0;
        self.write(standing, new.lines).await.map_err(|trouble| (pending, trouble))?;
        self.place = new.up_to;
        if (has_lines && self.place > self.noted) || self.place - self.noted >= NOTED_EVERY {
            match self.store.set_journalled(self.place).await {
                Ok(()) => self.noted = self.place,
                // The lines are there. At the next start they are written once more.
                Err(error) => {
                    tracing::warn!(target: "catalyst.pki", error = %error, "Place of the journal of denials not noted")
                }
            }
        }
        Ok(())
    }

    /// Appends what of `standing` is missing, and everything that is new.
    async fn write(&mut self, standing: Vec<JournalLine>, new: Vec<JournalLine>) -> Result<(), Trouble> {
        let mut file = match self.file.take() {
            Some(file) => file,
            None => self.opened().await?,
        };
        let now = self.clock.now();
        // On an error the file is closed with all that is known of it: the next look begins from the beginning.
        let written = spawn_blocking(move || {
            let mut lines: Vec<_> = standing.into_iter().filter(|line| file.lacks(line)).collect();
            lines.extend(new);
            file.append(&lines)?;
            file.shorten(now)?;
            Ok::<_, JournalError>(file)
        });
        self.file = Some(written.await.map_err(Trouble::task)??);
        Ok(())
    }

    async fn opened(&self) -> Result<JournalFile, Trouble> {
        let (directory, deployment) = (self.directory.clone(), self.deployment.clone());
        let opening = spawn_blocking(move || JournalFile::open(&directory, &deployment));
        Ok(opening.await.map_err(Trouble::task)??)
    }

    fn is_well(&mut self) {
        self.metrics.set_journal_pending(0);
        self.journal.trouble.store(None);
        if self.told.take().is_some() {
            tracing::info!(target: "catalyst.pki", directory = %self.directory.display(), "Journal of denials is written again");
        }
    }

    fn is_in_trouble(&mut self, pending: u64, trouble: &Trouble) {
        let reason = trouble.to_string();
        self.metrics.set_journal_pending(pending);
        self.journal.trouble.store(Some(Arc::new(reason.clone())));
        let is_told =
            self.told.as_ref().is_some_and(|(at, told)| *told == reason && at.elapsed() < TELL_EVERY);
        if !is_told {
            tracing::error!(target: "catalyst.pki", error = reason, lines = pending,
                "Journal of denials not written — a restore would not know of the newest denials: see that CATALYST_PKI_BACKUP_DIR is there, has room and can be written to; it is tried again");
            self.told = Some((Instant::now(), reason));
        }
    }
}

/// Why the journal is not up with the audit log.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0}")]
    Task(String),
}

impl Trouble {
    fn task(error: tokio::task::JoinError) -> Self {
        Self::Task(error.to_string())
    }
}
