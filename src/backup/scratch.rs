//! A directory for what is in the clear for a while: 0700, and gone with whoever made it.

use super::{BackupError, Result};
use crate::identity::hex;
use rustix::fs::{Mode, OFlags, open, statvfs};
use std::{
    ffi::OsStr,
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

/// How the names of such directories begin; 16 hex digits follow.
const PREFIX: &str = ".catalyst-backup-";
/// How often another name is tried.
const TRIES: usize = 5;

/// Such a directory. It is removed when this is dropped. What a process that was killed has left is removed by the next
/// one in the same place: whoever lives holds a lock on its own.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    // The lock lives as long as the open directory.
    _lock: File,
}

impl Scratch {
    /// Makes one in `parent`, and removes those that are left there.
    ///
    /// # Errors
    /// `parent` takes no directories.
    pub fn make(parent: &Path) -> Result<Self> {
        remove_left(parent);
        let failed = BackupError::io("make a directory in", parent);
        for _ in 0..TRIES {
            let path = parent.join(format!("{PREFIX}{}", nonce().map_err(&failed)?));
            DirBuilder::new().mode(0o700).create(&path).map_err(&failed)?;
            // Another process may have taken it for left in between; then it is gone, and the next name is tried.
            match lock(&path) {
                Ok(Some(lock)) => return Ok(Self { path, _lock: lock }),
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    // Empty, and nobody's.
                    let _ = fs::remove_dir(&path);
                    return Err(failed(error));
                }
            }
        }
        Err(failed(io::Error::other("other processes remove it as soon as it is made")))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether its disk has room for so many octets more.
    ///
    /// # Errors
    /// [`BackupError::NoRoom`]; `instead` is a clause that says what else helps.
    pub fn has_room(&self, wanted: u64, instead: &'static str) -> Result<()> {
        has_room(self.path.parent().unwrap_or(&self.path), wanted, instead)
    }
}

/// Whether a directory's disk has room for so many octets more.
///
/// # Errors
/// [`BackupError::NoRoom`]; `instead` is a clause that says what else helps.
pub fn has_room(directory: &Path, wanted: u64, instead: &'static str) -> Result<()> {
    let disk = statvfs(directory).map_err(|error| BackupError::io("look at", directory)(error.into()))?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free >= wanted {
        return Ok(());
    }
    Err(BackupError::NoRoom { directory: directory.display().to_string(), wanted, free, instead })
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What can't be removed now, the next one removes.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// 16 random hex digits.
pub(super) fn nonce() -> io::Result<String> {
    let mut nonce = [0; 8];
    aws_lc_rs::rand::fill(&mut nonce).map_err(|_| io::Error::other("no random numbers to be had"))?;
    Ok(hex(&nonce))
}

/// Whether a name is the prefix, 16 hex digits and the end.
pub(super) fn is_ours(name: &OsStr, prefix: &str, end: &str) -> bool {
    let middle = name.to_str().and_then(|name| name.strip_prefix(prefix)?.strip_suffix(end));
    middle.is_some_and(|digits| digits.len() == 16 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

/// `None`: somebody holds it, or another lies there by now.
fn lock(path: &Path) -> io::Result<Option<File>> {
    let directory =
        open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    still_there(File::from(directory), path)
}

/// Takes the lock, and looks whether the path still leads to what is locked.
pub(super) fn still_there(file: File, path: &Path) -> io::Result<Option<File>> {
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => return Ok(None),
        Err(fs::TryLockError::Error(error)) => return Err(error),
    }
    let (held, there) = (file.metadata()?, fs::symlink_metadata(path)?);
    Ok((held.ino() == there.ino() && held.dev() == there.dev()).then_some(file))
}

/// Nothing depends on it: what can't be looked at or removed stays.
fn remove_left(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten().filter(|entry| is_ours(&entry.file_name(), PREFIX, "")) {
        let path = entry.path();
        if is_own(&path)
            && let Ok(Some(_lock)) = lock(&path)
        {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

/// In a directory that several users may write to, others' leavings are theirs.
pub(super) fn is_own(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|there| there.uid() == rustix::process::geteuid().as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;
    use tempfile::tempdir;

    fn names(directory: &Path) -> usize {
        fs::read_dir(directory).unwrap().count()
    }

    #[test]
    fn it_is_its_owners_alone_and_goes_with_what_is_in_it() {
        let parent = tempdir().unwrap();
        let scratch = Scratch::make(parent.path()).unwrap();
        assert_eq!(fs::metadata(scratch.path()).unwrap().permissions().mode() & 0o777, 0o700);
        fs::create_dir(scratch.path().join("keys")).unwrap();
        fs::write(scratch.path().join("keys/a"), "a").unwrap();
        drop(scratch);
        assert_eq!(names(parent.path()), 0);
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_nothing_else() {
        let parent = tempdir().unwrap();
        let alive = Scratch::make(parent.path()).unwrap();
        let left = parent.path().join(format!("{PREFIX}0123456789abcdef"));
        fs::create_dir(&left).unwrap();
        fs::write(left.join("certs.db"), "clear").unwrap();
        for kept in
            [format!("{PREFIX}notes"), ".catalyst-backup".into(), format!("{PREFIX}0123456789abcdef.txt")]
        {
            fs::create_dir(parent.path().join(kept)).unwrap();
        }
        let outside = tempdir().unwrap();
        fs::write(outside.path().join("kept"), "kept").unwrap();
        std::os::unix::fs::symlink(outside.path(), parent.path().join(format!("{PREFIX}fedcba9876543210")))
            .unwrap();
        let next = Scratch::make(parent.path()).unwrap();
        assert!(!left.exists() && alive.path().exists() && next.path().exists());
        assert!(outside.path().join("kept").exists());
        assert_eq!(names(parent.path()), 6);
    }

    #[test]
    fn a_disk_without_room_is_named_with_what_helps() {
        let parent = tempdir().unwrap();
        let scratch = Scratch::make(parent.path()).unwrap();
        scratch.has_room(1, "wait").unwrap();
        let error =
            scratch.has_room(u64::MAX, "name another directory with --work-dir").unwrap_err().to_string();
        assert!(
            error.contains(&parent.path().display().to_string()) && error.ends_with("--work-dir"),
            "{error}"
        );
    }
}
