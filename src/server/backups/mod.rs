//! Backups that the service makes by itself.

mod hook;
mod making;
mod migration;
mod plan;
mod standing;
mod uploads;

pub(super) use migration::keep_what_was;
pub(super) use plan::Plan;
pub(super) use standing::Standing;

use super::app::App;
use crate::{
    authority::AuthorityError,
    backup::{BackupError, Held, Seal, Shelf, Sizes, unmark},
    identity::Timestamp,
    settings::Settings,
    store::StoreError,
};
use making::{Job, Made, make};
use standing::Found;
use std::{collections::BTreeSet, fs, path::PathBuf, time::Duration};
use tokio::{
    runtime::Handle,
    task::spawn_blocking,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use uploads::{Turn, Uploads};

/// No look at the directory is further from the next: clocks are set, and machines sleep.
const TICK: Duration = Duration::from_secs(60);
/// How often it is said that one is overdue.
const REMINDER: Duration = Duration::from_secs(3_600);
/// How long the key store may take to sign.
const SIGNING: Duration = Duration::from_secs(30);

/// Makes backups until the token is cancelled; one that is being made then is given up and cleared away. `made` is one
/// that was made already, before the store was opened.
pub(super) async fn keep(
    app: App,
    plan: Plan,
    settings: Settings,
    made: Option<PathBuf>,
    stop: CancellationToken,
) {
    let mut uploads = plan.hook.clone().map(|program| Uploads::new(program, plan.schedule));
    let made = made.as_deref().and_then(|path| path.file_name()?.to_str());
    if let Some((uploads, name)) = uploads.as_mut().zip(made) {
        uploads.made(name.to_owned());
    }
    let mut keeper = Keeper {
        app,
        plan,
        settings,
        uploads,
        failures: 0,
        error: None,
        retry_at: None,
        reminded_at: None,
        damaged: BTreeSet::new(),
        sizes: Sizes::default(),
    };
    // The first one is due as soon as there is a CA.
    let mut changes = keeper.app.authority().changes();
    while !stop.is_cancelled() {
        let pause = keeper.round(&stop).await;
        tokio::select! {
            () = stop.cancelled() => {}
            _ = changes.changed() => {}
            () = sleep(pause) => {}
        }
    }
}

struct Keeper {
    app: App,
    plan: Plan,
    settings: Settings,
    /// `None`: no program is run after backups.
    uploads: Option<Uploads>,
    /// In a row.
    failures: u32,
    /// The last one.
    error: Option<String>,
    retry_at: Option<Instant>,
    reminded_at: Option<Instant>,
    /// Damaged files that were told of.
    damaged: BTreeSet<String>,
    sizes: Sizes,
}

/// Whose backups are kept.
struct Own {
    deployment: String,
    /// The store was put back, and the instance of before may be making backups of it: nothing is made, run or deleted.
    in_recovery: bool,
}

impl Keeper {
    /// Looks, makes one if it is due, runs the hook where it has to be, and answers how long to wait.
    async fn round(&mut self, stop: &CancellationToken) -> Duration {
        let schedule = self.plan.schedule;
        let tick = TICK.min(schedule.every);
        let Own { deployment, in_recovery } = match self.own().await {
            Ok(Some(own)) => own,
            Ok(None) => return tick,
            Err(error) => {
                self.has_failed(&error.to_string());
                return tick;
            }
        };
        let now = self.now();
        let mut shelf = self.look(&deployment).await;
        if in_recovery {
            self.tell(&shelf, in_recovery);
            return tick;
        }
        let newest = shelf.newest(now).cloned();
        let is_due = schedule.wait(newest.as_ref().map(|held| held.at), now).is_zero();
        if is_due && self.retry_at.is_none_or(|at| at <= Instant::now()) {
            let made = self.make(now, newest.map_or(0, |held| held.size), stop).await;
            if stop.is_cancelled() {
                return tick;
            }
            if let Some(made) = made {
                self.sizes.note(&made.held);
                if let Some(uploads) = &mut self.uploads {
                    uploads.made(made.held.name.clone());
                }
                self.clear(&deployment, &made.held).await;
            }
            shelf = self.look(&deployment).await;
        }
        self.tell(&shelf, in_recovery);
        if self.run_hook(&shelf, stop).await && !stop.is_cancelled() {
            shelf = self.look(&deployment).await;
            self.tell(&shelf, in_recovery);
        }
        let retry = self.retry_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(Instant::now()));
        let hook = self.uploads.as_ref().and_then(|uploads| uploads.wait(&shelf));
        self.due(&shelf).max(retry).min(hook.unwrap_or(tick)).clamp(Duration::from_millis(500), tick)
    }

    /// Until the next one.
    fn due(&self, shelf: &Shelf) -> Duration {
        let now = self.now();
        self.plan.schedule.wait(shelf.newest(now).map(|held| held.at), now)
    }

    /// `None`: there is no CA yet.
    async fn own(&self) -> Result<Option<Own>, StoreError> {
        let authority = self.app.authority();
        if !authority.is_initialized() {
            return Ok(None);
        }
        let restored = authority.store().restoration().await?;
        let in_recovery = restored.is_some_and(|restored| restored.confirmed_at.is_none());
        Ok(Some(Own { deployment: authority.store().deployment().await?.id, in_recovery }))
    }

    fn now(&self) -> Timestamp {
        self.app.authority().clock().now()
    }

    /// What lies in the directory; nothing where it can't be read.
    async fn look(&mut self, deployment: &str) -> Shelf {
        let (directory, deployment) = (self.plan.directory.clone(), deployment.to_owned());
        match flat(spawn_blocking(move || Shelf::look(&directory, &deployment)).await) {
            Ok(mut shelf) => {
                self.sizes.check(&mut shelf);
                shelf
            }
            Err(error) => {
                if self.retry_at.is_none_or(|at| at <= Instant::now()) {
                    self.has_failed(&error.to_string());
                }
                Shelf::default()
            }
        }
    }

    /// `None`: none was made.
    async fn make(&mut self, at: Timestamp, size: u64, stop: &CancellationToken) -> Option<Made> {
        let started = Instant::now();
        let (authority, plan, settings) =
            (self.app.authority().clone(), self.plan.clone(), self.settings.clone());
        let (stop_too, runtime) = (stop.clone(), Handle::current());
        let work = spawn_blocking(move || {
            let job = Job { plan: &plan, settings: &settings, at, size, stop: &stop_too };
            make(&job, &runtime, async |facts, manifest| {
                let deadline = Instant::now() + SIGNING;
                Seal::sign_with(facts, manifest, at, async |ca, message| {
                    authority.sign_manifest(ca.ski, message, deadline).await
                })
                .await
            })
        });
        match flat(work.await) {
            Ok(Some(made)) => {
                (self.failures, self.error, self.retry_at) = (0, None, None);
                tracing::info!(target: "catalyst.pki", path = %made.path.display(), size = made.held.size,
                    rows = made.rows, seconds = started.elapsed().as_secs_f64(), "Backup made");
                for note in &made.notes {
                    tracing::warn!(target: "catalyst.pki", note, "Backup lacks something");
                }
                Some(made)
            }
            Ok(None) => {
                tracing::info!(target: "catalyst.pki", directory = %self.plan.directory.display(),
                    "Backup waits — another process makes one into this directory");
                self.retry_at = Some(Instant::now() + TICK.min(self.plan.schedule.every));
                None
            }
            Err(_) if stop.is_cancelled() => None,
            Err(error) => {
                self.has_failed(&error.to_string());
                None
            }
        }
    }

    fn has_failed(&mut self, error: &str) {
        self.failures = self.failures.saturating_add(1);
        let wait = self.plan.schedule.retry_after(self.failures);
        self.retry_at = Some(Instant::now() + wait);
        self.error = Some(error.to_owned());
        self.app.metrics().backup_failed("backup");
        tracing::error!(target: "catalyst.pki", error, retry_in_seconds = wait.as_secs(), "Backup not made");
    }

    /// Deletes what need not stay.
    async fn clear(&mut self, deployment: &str, written: &Held) {
        let shelf = self.look(deployment).await;
        let surplus = self.plan.schedule.surplus(&shelf, written).into_iter();
        // Without a hook nothing waits for one.
        let waits = |name: &str| self.plan.hook.is_some() && shelf.marked.contains(name);
        let names: Vec<_> = surplus.map(|name| (name.to_owned(), waits(name))).collect();
        let directory = self.plan.directory.clone();
        let delete = move || {
            for (name, waits) in names {
                let path = directory.join(&name);
                match fs::remove_file(&path) {
                    Ok(()) if waits => tracing::error!(target: "catalyst.pki", name,
                        "Old backup deleted for which the hook never succeeded — mend the hook, or raise CATALYST_PKI_BACKUP_KEEP"),
                    Ok(()) => tracing::info!(target: "catalyst.pki", name, "Old backup deleted"),
                    Err(error) => {
                        tracing::warn!(target: "catalyst.pki", name, error = %error,
                            "Old backup not deleted — tried again after the next one");
                        continue;
                    }
                }
                // What stays of it is removed before the next one is made.
                let _ = unmark(&path);
            }
        };
        if let Err(error) = spawn_blocking(delete).await {
            tracing::warn!(target: "catalyst.pki", error = %error, "Old backups not deleted");
        }
    }

    /// Answers whether it ran.
    async fn run_hook(&mut self, shelf: &Shelf, stop: &CancellationToken) -> bool {
        let due = self.due(shelf);
        let Some(uploads) = &mut self.uploads else { return false };
        let (directory, metrics) = (&self.plan.directory, self.app.metrics());
        uploads.run_one(Turn { directory, shelf, due, metrics, stop }).await
    }

    /// Says what is damaged, what is overdue and what waits for the hook.
    fn tell(&mut self, shelf: &Shelf, in_recovery: bool) {
        for (name, error) in &shelf.damaged {
            if self.damaged.insert(name.clone()) {
                tracing::warn!(target: "catalyst.pki", name, error, "Backup is damaged — it is kept, and does not count");
            }
        }
        self.damaged.retain(|name| shelf.damaged.iter().any(|(damaged, _)| damaged == name));
        let now = self.now();
        let newest = shelf.newest(now).cloned();
        let newest_at = newest.as_ref().map(|held| held.at);
        let is_overdue = !in_recovery && self.plan.schedule.is_overdue(newest_at, now, self.failures > 0);
        let trouble = is_overdue.then(|| overdue(newest_at, self.error.as_deref()));
        let uploads = self.uploads.as_ref();
        let found = Found {
            newest,
            hook_pending: uploads.map(|uploads| uploads.waiting(shelf).len() as u64),
            troubles: trouble.into_iter().chain(uploads.and_then(|uploads| uploads.trouble(shelf))).collect(),
        };
        self.app.backups().found(found, self.app.metrics());
        if !is_overdue {
            self.reminded_at = None;
        } else if self.reminded_at.is_none_or(|at| at.elapsed() >= REMINDER) {
            self.reminded_at = Some(Instant::now());
            tracing::error!(target: "catalyst.pki", newest = newest_at.map(|at| at.to_string()),
                error = self.error, "Backup overdue");
        }
    }
}

fn overdue(newest: Option<Timestamp>, error: Option<&str>) -> String {
    let newest = newest.map_or("there is none".to_owned(), |at| format!("the newest is of {at}"));
    let why = error.map_or(String::new(), |error| format!(": {error}"));
    format!("a backup is overdue, {newest}{why}")
}

fn flat<T>(done: Result<Result<T, BackupError>, tokio::task::JoinError>) -> Result<T, BackupError> {
    done.unwrap_or_else(|error| Err(StoreError::Storage(error.to_string()).into()))
}

/// Reads which backup was verified last.
///
/// # Errors
/// The certificate store's.
pub(super) async fn read_verified(app: &App) -> Result<(), AuthorityError> {
    let verified = app.authority().store().verified_backup().await?;
    app.backups().verified(verified, app.metrics());
    Ok(())
}
