//! One backup, from the copy of the store to the file that has its name.

use super::plan::Plan;
use crate::{
    backup::{
        BackupError, Held, Lock, Result, Seal, Snapshot, Source, Target, Trust, Watch, has_room,
        remove_left_marks,
    },
    identity::Timestamp,
    key_stores::key_file,
    settings::Settings,
    store::StoreFacts,
};
use rustix::fs::OFlags;
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// Held while a backup is made into the directory, whichever process makes it.
const LOCK_FILE: &str = ".catalyst-backups.lock";
/// What helps where there is no room.
const ELSEWHERE: &str =
    "lower CATALYST_PKI_BACKUP_KEEP, or name another directory with CATALYST_PKI_BACKUP_DIR";
/// What helps where there is no room for the copy.
const ELSEWHERE_OF_COPY: &str = "give the data directory a larger disk: the store is copied there first";

/// So many octets of the data directory's disk are left to the service, which can record nothing on a full one.
const RESERVE: u64 = 16 << 20;

/// A backup that is wanted.
pub(super) struct Job<'a> {
    pub(super) plan: &'a Plan,
    pub(super) settings: &'a Settings,
    pub(super) at: Timestamp,
    /// Octets that it will have, as far as earlier ones tell.
    pub(super) size: u64,
    pub(super) stop: &'a CancellationToken,
}

/// A backup that was made.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) path: PathBuf,
    pub(super) held: Held,
    /// Rows of the store in it.
    pub(super) rows: u64,
    /// What the operator should know, in sentences.
    pub(super) notes: Vec<String>,
}

/// A service that stops wants no more.
struct Stopping<'a>(&'a CancellationToken);

impl Watch for Stopping<'_> {
    fn has_done(&self, _: &'static str, _: u64, _: u64) {}

    fn is_stopped(&self) -> bool {
        self.0.is_cancelled()
    }
}

/// Makes one; `seal` vouches for the manifest, and without it there is none. `None`: another process makes one into this
/// directory now. Blocks, so call it off the runtime's threads.
///
/// # Errors
/// Whatever keeps the store from being copied, the manifest from being signed, or the file from being written.
pub(super) fn make(
    job: &Job<'_>,
    runtime: &Handle,
    seal: impl AsyncFnOnce(&StoreFacts, &[u8]) -> Result<Seal>,
) -> Result<Option<Made>> {
    let Plan { directory, recipients, .. } = job.plan;
    let Some(_lock) = lock(directory)? else { return Ok(None) };
    // Again, for a plugin may have gone since.
    let encryption = Lock::unattended(recipients)?;
    has_room(directory, job.size, ELSEWHERE)?;
    let store = fs::metadata(&job.settings.certs_db).map_or(0, |store| store.len());
    has_room(&job.settings.data_dir, store + RESERVE, ELSEWHERE_OF_COPY)?;
    let watch = Stopping(job.stop);
    let source = Source {
        certs_db: &job.settings.certs_db,
        work_dir: &job.settings.data_dir,
        key_file: &|backend, uri| key_file(job.settings, backend, uri),
    };
    let snapshot = Snapshot::take(&source, job.at, &watch).map_err(|error| match error {
        BackupError::NoRoom { directory, wanted, free, .. } => {
            BackupError::NoRoom { directory, wanted, free, instead: ELSEWHERE_OF_COPY }
        }
        other => other,
    })?;
    let manifest = snapshot.manifest.bytes()?;
    let sealed = runtime.block_on(job.stop.run_until_cancelled(seal(&snapshot.facts, &manifest)));
    let seal = sealed.ok_or(BackupError::Interrupted)??;
    // One that no reader would take is none.
    seal.check(&manifest, &snapshot.manifest, Trust::FirstUse)?;
    remove_left_marks(directory, &snapshot.manifest.store.deployment);
    let target = Target::look(directory, false)?.marked(job.plan.hook.is_some());
    let (path, size) = target.write(&encryption, &snapshot, &manifest, &seal.bytes()?, &watch)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Some(Made {
        held: Held { name, size, at: job.at.whole_seconds() },
        path,
        rows: snapshot.facts.rows.values().sum(),
        notes: snapshot.notes.clone(),
    }))
}

/// `None`: somebody else holds it.
fn lock(directory: &Path) -> Result<Option<File>> {
    let path = directory.join(LOCK_FILE);
    let failed = |source| BackupError::Io { what: format!("cannot write {}", path.display()), source };
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(&path)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}
