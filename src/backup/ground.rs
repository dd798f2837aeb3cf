//! The data directory that a store is restored into: ours alone, and as it was before if an earlier restore was killed.

use super::{
    BackupError, Manifest, Result,
    placement::{self, STORE_FILES},
    scratch::is_own,
};
use crate::{
    identity::Timestamp,
    store::{DataDirLock, Standing, StoreError, occupant, standing},
};
use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

/// Such a directory, and the exclusive right to work on it.
#[derive(Debug)]
pub struct Ground {
    path: PathBuf,
    /// An earlier restore had come to no end.
    was_unfinished: bool,
    _lock: DataDirLock,
}

/// The store that lies where another is put.
#[derive(Debug)]
pub(super) enum Before {
    /// None, or nobody's.
    Nothing,
    /// What was taken away in it.
    Stood(Standing),
    /// It can't be read; what that means, and why.
    Unread(String),
}

impl Ground {
    /// Takes a data directory, which is made if it is missing, and undoes what a restore has left that came to no end.
    /// `force`: a store that is there may be put aside.
    ///
    /// # Errors
    /// Somebody else's directory, one that a service works on, a network file system, a store that is to be kept.
    pub fn take(path: &Path, force: bool) -> Result<Self> {
        match fs::metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(BackupError::io("look at", path)(error)),
            Ok(there) if !there.is_dir() => {
                return Err(BackupError::Usage(format!(
                    "{} is no directory: name the data directory with --into",
                    path.display()
                )));
            }
            Ok(there) => check_owner(path, there.uid())?,
        }
        let lock = DataDirLock::acquire_for_restore(path)?;
        let was_unfinished = placement::undo(path)?;
        let ground = Self { path: path.to_owned(), was_unfinished, _lock: lock };
        if ground.holds_store()? && !force {
            return Err(BackupError::Usage(format!(
                "{} holds a store already, and it is kept: name another directory, or have it put aside with --force",
                path.display()
            )));
        }
        Ok(ground)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a restore had come to no end here, which is undone.
    #[must_use]
    pub fn was_unfinished(&self) -> bool {
        self.was_unfinished
    }

    /// What stands in the store that lies here, of the backup's own deployment. One that was never initialized is
    /// nobody's.
    ///
    /// # Errors
    /// [`BackupError::Usage`]: another deployment's store lies here.
    pub(super) fn before(&self, manifest: &Manifest, at: Timestamp) -> Result<Before> {
        let certs_db = self.path.join("certs.db");
        if !certs_db.exists() {
            return Ok(Before::Nothing);
        }
        let unread = |error: StoreError| {
            Before::Unread(format!(
                "what was denied and revoked in the store that lay here is not known, and counts only where a journal or CRL tells it: {error}"
            ))
        };
        Ok(match occupant(&certs_db) {
            Ok(there) if !there.is_in_use => Before::Nothing,
            Ok(there) if there.deployment != manifest.store.deployment => {
                return Err(BackupError::Usage(format!(
                    "{} holds the store of the deployment {}, and the backup is of {}: restore it into another directory",
                    self.path.display(),
                    there.deployment,
                    manifest.store.deployment
                )));
            }
            Ok(_) => standing(&certs_db, at).map_or_else(unread, Before::Stood),
            Err(error) => unread(error),
        })
    }

    /// Ours, and no one else may look into it. One that has other uses too, as `/etc` has, keeps its mode, which is told
    /// where others may look into it: the files of the store are closed each by itself.
    pub(super) fn make_private(&self) -> Result<Option<String>> {
        let failed = BackupError::io("set the mode of", &self.path);
        let mut others = fs::read_dir(&self.path).map_err(&failed)?.flatten().map(|entry| entry.file_name());
        if !others.any(|name| !placement::is_of_a_store(&name.to_string_lossy())) {
            fs::set_permissions(&self.path, fs::Permissions::from_mode(0o700)).map_err(&failed)?;
            return Ok(None);
        }
        let mode = fs::metadata(&self.path).map_err(&failed)?.mode();
        Ok((mode & 0o077 != 0).then(|| {
            format!(
                "{} holds other things too and others may look into it: its mode stays as it is, chmod 700 closes it",
                self.path.display()
            )
        }))
    }

    /// Whether there is anything that a restore would put aside, all of it ours.
    fn holds_store(&self) -> Result<bool> {
        let mut any = false;
        for name in STORE_FILES {
            let path = self.path.join(name);
            let there = match fs::symlink_metadata(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                there => there.map_err(BackupError::io("look at", &path))?,
            };
            check_owner(&path, there.uid())?;
            any |= placement::is_there(&path)?;
        }
        Ok(any)
    }
}

fn check_owner(path: &Path, owner: u32) -> Result<()> {
    if is_own(path) {
        return Ok(());
    }
    Err(BackupError::Usage(format!(
        "{} belongs to the user with the number {owner}, and this is {}: run it as the user that the service runs as, who has to own all of it",
        path.display(),
        rustix::process::geteuid().as_raw()
    )))
}
