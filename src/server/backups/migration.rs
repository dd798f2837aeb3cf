//! What is kept of a store before its schema is changed.

use super::{
    making::{Job, Made, make},
    plan::Plan,
};
use crate::{
    backup::{BackupError, Seal, has_room, open_signer},
    identity::{Clock as _, SystemClock},
    key_stores::Kinds,
    server::start::Failure,
    settings::Settings,
    store::{PendingMigration, StoreError, copy_store, pending_migration},
};
use catalyst_signing::SigningBackend;
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    runtime::Handle,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

/// How long the key store may take to sign.
const SIGNING: Duration = Duration::from_secs(30);
/// How long it may take to close what is open.
const LETTING_GO: Duration = Duration::from_secs(5);

/// Makes a backup of a store that opening it would bring to another schema. Where none is planned, or none can be had, a
/// copy stays beside the store. Answers the backup's path. The caller holds the data directory's lock. Blocks.
///
/// # Errors
/// The store can't be read, or nothing of it could be kept: then it is not to be opened.
pub(in super::super) fn keep_what_was(
    settings: &Settings,
    kinds: &Kinds,
    runtime: &Handle,
) -> Result<Option<PathBuf>, Failure> {
    let certs_db = &settings.certs_db;
    let Some(PendingMigration { from, to }) = pending_migration(certs_db)? else { return Ok(None) };
    match Plan::of(settings)?.map(|plan| back_up(&plan, settings, kinds, runtime)) {
        Some(Ok(made)) => {
            tracing::info!(target: "catalyst.pki", path = %made.path.display(), size = made.held.size, from, to,
                "Backup made before the schema changes");
            return Ok(Some(made.path));
        }
        // A key store that is away must not keep the service from starting.
        Some(Err(error)) => tracing::error!(target: "catalyst.pki", error = %error, from, to,
            "Backup before the schema changes not made — a copy is kept beside the store instead"),
        None => {}
    }
    let copy = copy_beside(certs_db, &settings.data_dir, to).map_err(|error| {
        format!("the store has schema {from}, and is left so: no copy of it could be kept before it is brought to schema {to}: {error}")
    })?;
    tracing::info!(target: "catalyst.pki", path = %copy.display(), from, to,
        "Copy of the store kept before the schema changes");
    Ok(None)
}

fn back_up(plan: &Plan, settings: &Settings, kinds: &Kinds, runtime: &Handle) -> Result<Made, BackupError> {
    let stop = CancellationToken::new();
    let job = Job { plan, settings, at: SystemClock.now(), size: 0, stop: &stop };
    let opened: Mutex<Vec<Arc<dyn SigningBackend>>> = Mutex::default();
    let open = |name: &str| {
        let store = kinds.open_one(settings, name).map_err(|error| error.to_string())?;
        opened.lock().unwrap_or_else(PoisonError::into_inner).push(store.clone());
        Ok(store)
    };
    let made = make(&job, runtime, async |facts, manifest| {
        let key = open_signer(facts, &open).await?;
        Seal::sign(&key, facts, manifest, job.at, Instant::now() + SIGNING).await
    });
    // The service opens its own.
    for store in opened.into_inner().unwrap_or_else(PoisonError::into_inner) {
        let _ = runtime.block_on(timeout(LETTING_GO, store.shut_down()));
    }
    made?.ok_or_else(|| {
        BackupError::Usage(format!("another process makes a backup into {} now", plan.directory.display()))
    })
}

/// `certs.db.before-schema-<n>`, 0600: in the clear as the store beside it.
fn copy_beside(certs_db: &Path, data_dir: &Path, schema: i64) -> Result<PathBuf, BackupError> {
    let with = |end: &str| {
        let mut name = certs_db.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    let (kept, draft) =
        (with(&format!(".before-schema-{schema}")), with(&format!(".before-schema-{schema}.new")));
    let failed = |source| BackupError::Io { what: format!("cannot write {}", kept.display()), source };
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let size = [certs_db.to_owned(), with("-wal")].map(|path| path.metadata().map_or(0, |it| it.len()));
    has_room(
        data_dir,
        size.iter().sum(),
        "set CATALYST_PKI_BACKUP_DIR, which takes an encrypted backup instead",
    )?;
    let copied = copy_store(certs_db, &draft, &mut |_| true);
    let settled = copied.map_err(BackupError::from).and_then(|_| {
        let there = File::open(&draft).and_then(|file| file.sync_all());
        there
            .and_then(|()| fs::rename(&draft, &kept))
            .and_then(|()| File::open(data_dir)?.sync_all())
            .map_err(failed)
    });
    if settled.is_err() {
        // What can't be removed now, the next start removes.
        let _ = fs::remove_file(&draft);
    }
    settled.map_err(|error| match error {
        BackupError::Store(StoreError::Full) => failed(io::ErrorKind::StorageFull.into()),
        other => other,
    })?;
    Ok(kept)
}
