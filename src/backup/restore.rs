//! Puts a verified backup into a data directory, brought up to date with what is known besides.

use super::{
    BackupError, Ground, Journal, Result, Verification, Watch,
    crl::crls_in_file,
    ground::Before,
    journal_in_file,
    placement::{Placement, sync},
    watch::go_on,
};
use crate::{
    identity::Timestamp,
    store::{JOURNAL, RestorePlan, Restored, StoreCopy, StoreError, StoreFacts, restore_store},
};
use std::{
    fs::{self, File},
    io::ErrorKind,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

/// What is known besides the backup.
#[derive(Clone, Debug, Default)]
pub struct Besides {
    /// Journals of denials; where none is named, the one beside the backup counts, and the one in `backup_dir`.
    pub denied: Vec<PathBuf>,
    /// The directory of backups of the settings.
    pub backup_dir: Option<PathBuf>,
    /// CRLs that were published after it.
    pub crls: Vec<PathBuf>,
    /// Tokens and preset secrets of before stay good.
    pub keep_tokens: bool,
}

/// A store that was put in its place.
#[derive(Clone, Debug)]
pub struct InPlace {
    /// Which journals were read, and how many lines of each counted.
    pub journals: Vec<(PathBuf, usize)>,
    /// How many things that were taken away stood in the store of before; `None` where none could be read.
    pub stood: Option<usize>,
    /// What was done to it.
    pub restored: Restored,
    /// Where the store of before lies.
    pub aside: Option<PathBuf>,
}

/// Restores a backup that was verified on this ground, by [`super::verify`] with its path as the working directory. Whoever
/// calls has looked at what does not hold of it, and at its keys.
///
/// # Errors
/// Another deployment's store, a clock that stands before the backup, a journal or CRL that can't be taken, no room.
/// Nothing has changed in the directory then.
pub fn restore(
    ground: &Ground,
    file: &Path,
    verified: &Verification,
    besides: &Besides,
    at: Timestamp,
    watch: &dyn Watch,
) -> Result<InPlace> {
    let manifest = &verified.opened.manifest;
    let before = ground.before(manifest, at)?;
    if at < manifest.created_at {
        return Err(BackupError::Clock {
            now: at,
            what: "the backup was made at",
            then: manifest.created_at,
        });
    }
    let crls = besides.crls.iter().map(|path| crls_in_file(path, &verified.facts, at));
    let crls = crls.collect::<Result<Vec<_>>>()?.concat();
    let (mut journals, mut lines, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    let standing = match before {
        Before::Nothing => None,
        Before::Stood(standing) => Some(standing),
        Before::Unread(why) => {
            notes.push(why);
            None
        }
    };
    let stood = standing.as_ref().map(|standing| standing.lines.len());
    let mut read = journals_of(file, besides, &manifest.store.deployment)?;
    // Several: that which was begun first is before the next.
    read.sort_by_key(|(_, journal)| journal.lines.first().map(|line| line.at));
    for (path, journal) in read {
        journals.push((path, journal.lines.len()));
        notes.extend(journal.notes);
        lines.extend(journal.lines);
    }
    if journals.is_empty() && stood.is_none() {
        notes.push(format!(
            "there is no {JOURNAL} beside the backup or in the directory of backups, so that nothing is known of who was denied after {}: name one with --denied if there is one",
            manifest.created_at
        ));
    }
    let plan = RestorePlan {
        snapshot_at: manifest.created_at,
        manifest_sha256: verified.opened.manifest_sha256,
        crls,
        journal: lines,
        standing,
        keep_tokens: besides.keep_tokens,
    };
    watch.has_done("restoring", 0, 0);
    let prepared = verified.directory();
    let certs_db = prepared.join("certs.db");
    let restored = restore_store(&certs_db, &plan, at).map_err(|error| no_room(error, ground.path()))?;
    let facts = settle(prepared, &certs_db)?;
    notes.extend(distrusted(verified, &facts));
    go_on(watch)?;
    let placement = Placement::plan(ground.path(), prepared, besides.keep_tokens, at)?;
    notes.extend(ground.make_private()?);
    placement.go()?;
    notes.extend(restored.notes);
    Ok(InPlace { journals, stood, restored: Restored { notes, ..restored }, aside: placement.aside() })
}

fn journals_of(file: &Path, besides: &Besides, deployment: &str) -> Result<Vec<(PathBuf, Journal)>> {
    let mut paths = besides.denied.clone();
    if paths.is_empty() {
        let beside = file.parent().unwrap_or(Path::new("."));
        for directory in [Some(beside), besides.backup_dir.as_deref()].into_iter().flatten() {
            let path = directory.join(JOURNAL);
            // One that can't be looked at is no reason to do without: its reader tells it.
            let is_missing =
                matches!(path.symlink_metadata(), Err(error) if error.kind() == ErrorKind::NotFound);
            if !is_missing && !paths.iter().any(|known| is_same(known, &path)) {
                paths.push(path);
            }
        }
    }
    let read = |path: PathBuf| journal_in_file(&path, deployment).map(|journal| (path, journal));
    paths.into_iter().map(read).collect()
}

fn is_same(one: &Path, other: &Path) -> bool {
    one.canonicalize().ok().is_some_and(|one| other.canonicalize().is_ok_and(|other| one == other))
}

/// The disk of the data directory is full.
fn no_room(error: StoreError, directory: &Path) -> BackupError {
    match error {
        StoreError::Full => BackupError::Io {
            what: format!(
                "no room in {}: make room, or name another directory with --into",
                directory.display()
            ),
            source: ErrorKind::StorageFull.into(),
        },
        other => other.into(),
    }
}

/// What is revoked by now, and has vouched for the backup. One of before is good all the same, so it is no refusal.
fn distrusted(verified: &Verification, facts: &StoreFacts) -> Option<String> {
    let signer = verified.opened.signer.as_ref()?;
    facts.cas.iter().find(|ca| ca.is_revoked && ca.fingerprint() == signer.certificate)?;
    Some(format!(
        "the CA that vouches for the backup, {}, was revoked after it: whoever had its key could have made this file; go on only if you know where it has been since {}",
        signer.common_name, verified.opened.manifest.created_at
    ))
}

/// Looks at it once more, and brings every octet to the disk. Answers what stands in it.
fn settle(prepared: &Path, certs_db: &Path) -> Result<StoreFacts> {
    let copy = StoreCopy::open(certs_db)?;
    let faults = copy.faults()?;
    if let Some(first) = faults.first() {
        return Err(BackupError::Store(StoreError::Damaged {
            path: certs_db.display().to_string(),
            reason: format!("after it was brought up to date: {first}"),
        }));
    }
    let facts = copy.facts()?;
    drop(copy);
    let keys = prepared.join("keys");
    let mut files = vec![certs_db.to_owned()];
    for entry in fs::read_dir(&keys).map_err(BackupError::io("read", &keys))? {
        files.push(entry.map_err(BackupError::io("read", &keys))?.path());
    }
    if files.len() == 1 {
        fs::remove_dir(&keys).map_err(BackupError::io("remove", &keys))?;
    }
    for path in &files {
        let failed = BackupError::io("bring to the disk", path);
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(&failed)?;
        File::open(path).and_then(|file| file.sync_all()).map_err(&failed)?;
    }
    if files.len() > 1 {
        sync(&keys)?;
    }
    sync(prepared)?;
    Ok(facts)
}
