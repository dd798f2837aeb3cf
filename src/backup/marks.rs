//! Marks beside backups for which a hook has still to succeed: empty files `.<name>.hook`, so that a service that was
//! stopped or killed forgets none.

use super::{BackupError, Result, target::time_in};
use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

/// Puts a mark (0600) beside a backup, and brings it to the disk.
pub(super) fn mark(backup: &Path) -> io::Result<()> {
    let mark = beside(backup);
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&mark) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    File::open(mark.parent().unwrap_or(Path::new(".")))?.sync_all()
}

/// Takes a backup's mark away, if it has one.
///
/// # Errors
/// The directory can't be written.
pub fn unmark(backup: &Path) -> Result<()> {
    match fs::remove_file(beside(backup)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(BackupError::io("remove the mark of", backup)(error))
        }
        _ => Ok(()),
    }
}

/// The names of a deployment's backups that have marks, whether they are there or not.
pub(super) fn marked(directory: &Path, deployment: &str) -> Result<BTreeSet<String>> {
    let failed = BackupError::io("list", directory);
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(directory).map_err(&failed)? {
        let name = entry.map_err(&failed)?.file_name();
        names.extend(name_in(&name).filter(|name| time_in(name).is_some_and(|(of, _)| of == deployment)));
    }
    Ok(names)
}

/// Removes marks of backups that are not there: one that was never finished, or was removed by hand. To be called while
/// nobody else makes one there. Nothing depends on it: what can't be looked at or removed stays.
pub fn remove_left_marks(directory: &Path, deployment: &str) {
    for name in marked(directory, deployment).unwrap_or_default() {
        let backup = directory.join(name);
        let is_gone = backup.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        if is_gone {
            let _ = unmark(&backup);
        }
    }
}

fn beside(backup: &Path) -> PathBuf {
    let mut name = OsStr::new(".").to_owned();
    name.push(backup.file_name().unwrap_or_default());
    name.push(".hook");
    backup.with_file_name(name)
}

fn name_in(mark: &OsStr) -> Option<String> {
    Some(mark.to_str()?.strip_prefix('.')?.strip_suffix(".hook")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;
    use tempfile::tempdir;

    const OWN: &str = "catalyst-0123456789abcdef-20260213T100001Z.tar.zst.age";

    #[test]
    fn a_mark_stays_until_it_is_taken_away() {
        let directory = tempdir().unwrap();
        let backup = directory.path().join(OWN);
        fs::write(&backup, "backup").unwrap();
        for _ in 0..2 {
            mark(&backup).unwrap();
        }
        let mode = fs::metadata(beside(&backup)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        remove_left_marks(directory.path(), "0123456789abcdef");
        let found = |deployment: &str| marked(directory.path(), deployment).unwrap();
        assert_eq!(found("0123456789abcdef"), BTreeSet::from([OWN.to_owned()]));
        assert_eq!(found("fedcba9876543210"), BTreeSet::new());
        for _ in 0..2 {
            unmark(&backup).unwrap();
        }
        assert_eq!(found("0123456789abcdef"), BTreeSet::new());
        assert!(backup.exists());
    }

    #[test]
    fn marks_of_what_is_gone_go_and_others_stay() {
        let directory = tempdir().unwrap();
        let other = directory.path().join(".catalyst-fedcba9876543210-20260213T100001Z.tar.zst.age.hook");
        let notes = directory.path().join(".notes.hook");
        mark(&directory.path().join(OWN)).unwrap();
        for kept in [&other, &notes] {
            fs::write(kept, "").unwrap();
        }
        remove_left_marks(directory.path(), "0123456789abcdef");
        assert!(other.exists() && notes.exists());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }
}
