//! Puts a prepared store in its place, so that a directory is never taken for what it is not: before the first file is
//! moved a marker says so, and until it is gone nothing but a restore works on the directory. A restore that finds one
//! puts everything back as it was.

use super::{BackupError, Result};
use crate::{identity::Timestamp, store::UNFINISHED_RESTORE};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, ErrorKind, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// What makes up a store. Sealed audit files are no part of it: they stay, and what is restored continues from them.
pub(super) const STORE_FILES: [&str; 7] = [
    "certs.db",
    "certs.db-wal",
    "certs.db-shm",
    "certs.db-journal",
    "keys",
    "system-token",
    "system-token.new",
];
/// How the names begin of what else lies in a data directory: its lock, sealed audit files, what restores and backups put
/// there.
const BESIDE: [&str; 6] =
    ["catalyst.lock", "audit", "dev-passphrase", ASIDE, UNFINISHED_RESTORE, ".catalyst-backup"];
/// What a restore puts there. The store comes last.
const PLACED: [&str; 2] = ["keys", "certs.db"];
/// How the name begins of the directory that an earlier store is put aside in.
const ASIDE: &str = "replaced-";

/// Whether a data directory has something of this name.
pub(super) fn is_of_a_store(name: &str) -> bool {
    STORE_FILES.contains(&name) || BESIDE.iter().any(|beside| name.starts_with(beside))
}

/// What the marker says: how it was.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Marker {
    /// The directory of what is put aside; `None` where nothing was there.
    aside: Option<String>,
    /// What was there.
    was: Vec<String>,
}

/// A step of the way.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Mark,
    MakeAside(PathBuf),
    PutAside(String, PathBuf),
    Place(&'static str),
    Unmark,
}

/// The way from a prepared directory to its place.
#[derive(Debug)]
pub(super) struct Placement {
    directory: PathBuf,
    prepared: PathBuf,
    marker: Marker,
    steps: Vec<Step>,
}

impl Placement {
    /// Plans how what lies in `prepared` comes into `directory`, on the same file system. With `keep_token` the system
    /// token stays.
    pub(super) fn plan(directory: &Path, prepared: &Path, keep_token: bool, at: Timestamp) -> Result<Self> {
        let is_kept = |name: &str| keep_token && name.starts_with("system-token");
        let mut was = Vec::new();
        for name in STORE_FILES.into_iter().filter(|name| !is_kept(name)) {
            if is_there(&directory.join(name))? {
                was.push(name.to_owned());
            }
        }
        let aside = match was.is_empty() {
            true => None,
            false => Some(free_name(directory, at)),
        };
        let mut steps = vec![Step::Mark];
        if let Some(name) = &aside {
            let to = directory.join(name);
            steps.push(Step::MakeAside(to.clone()));
            steps.extend(was.iter().map(|name| Step::PutAside(name.clone(), to.join(name))));
        }
        for name in PLACED {
            if is_there(&prepared.join(name))? {
                steps.push(Step::Place(name));
            }
        }
        steps.push(Step::Unmark);
        let (directory, prepared) = (directory.to_owned(), prepared.to_owned());
        Ok(Self { directory, prepared, marker: Marker { aside, was }, steps })
    }

    /// The directory in which what was there lies afterwards.
    pub(super) fn aside(&self) -> Option<PathBuf> {
        self.marker.aside.as_ref().map(|name| self.directory.join(name))
    }

    /// Goes all the way; where that fails, back to the beginning.
    pub(super) fn go(&self) -> Result<()> {
        let Err(error) = self.steps.iter().try_for_each(|step| self.take(step)) else { return Ok(()) };
        match undo(&self.directory) {
            Ok(_) => Err(error),
            // The marker stays, and says what to do.
            Err(_) => Err(BackupError::Usage(format!(
                "{error}; and what was there could not be put back yet: cure that, and run the same command again"
            ))),
        }
    }

    fn take(&self, step: &Step) -> Result<()> {
        let directory = &self.directory;
        match step {
            Step::Mark => write_marker(directory, &self.marker),
            Step::MakeAside(path) => {
                DirBuilder::new().mode(0o700).create(path).map_err(BackupError::io("make", path))?;
                sync(directory)
            }
            Step::PutAside(name, to) => {
                fs::rename(directory.join(name), to)
                    .map_err(BackupError::io("move away", &directory.join(name)))?;
                self.aside().map_or(Ok(()), |aside| sync(&aside))?;
                sync(directory)
            }
            Step::Place(name) => {
                let to = directory.join(name);
                fs::rename(self.prepared.join(name), &to).map_err(BackupError::io("put in place", &to))?;
                sync(directory)
            }
            Step::Unmark => remove_marker(directory),
        }
    }
}

/// Puts a directory back as it was before a restore that came to no end; answers whether there was one. It may be ended
/// anywhere itself.
pub(super) fn undo(directory: &Path) -> Result<bool> {
    let Some(marker) = read_marker(directory)? else { return Ok(false) };
    let aside = marker.aside.as_ref().map(|name| directory.join(name));
    let is_aside = |name: &str| aside.as_ref().map_or(Ok(false), |aside| is_there(&aside.join(name)));
    for name in STORE_FILES {
        let here = directory.join(name);
        let was_there = marker.was.iter().any(|there| there == name);
        // What was there and is not put aside was not reached yet.
        if (was_there && is_aside(name)?) || (!was_there && PLACED.contains(&name)) {
            remove(&here)?;
        }
        if let Some(aside) = aside.as_ref().filter(|_| was_there)
            && is_aside(name)?
        {
            fs::rename(aside.join(name), &here).map_err(BackupError::io("put back", &here))?;
        }
    }
    if let Some(aside) = aside {
        match fs::remove_dir(&aside) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(BackupError::io("remove", &aside)(error));
            }
            _ => {}
        }
    }
    sync(directory)?;
    remove_marker(directory)?;
    Ok(true)
}

fn write_marker(directory: &Path, marker: &Marker) -> Result<()> {
    let path = directory.join(UNFINISHED_RESTORE);
    let draft = directory.join(format!("{UNFINISHED_RESTORE}.new"));
    let written = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(serde_json::to_string(marker)?.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, &path)?;
        File::open(directory)?.sync_all()
    };
    written().map_err(BackupError::io("write", &path))
}

fn read_marker(directory: &Path) -> Result<Option<Marker>> {
    // One that has not its name yet says nothing.
    remove(&directory.join(format!("{UNFINISHED_RESTORE}.new")))?;
    let path = directory.join(UNFINISHED_RESTORE);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        read => read.map_err(BackupError::io("read", &path))?,
    };
    let marker: Option<Marker> = serde_json::from_str(&text).ok();
    let is_ours = |name: &String| name.starts_with(ASIDE) && !name.contains('/');
    match marker.filter(|marker| marker.aside.as_ref().is_none_or(is_ours)) {
        Some(marker) => Ok(Some(marker)),
        None => Err(BackupError::Usage(format!(
            "{} cannot be read: look whether a directory {ASIDE}… beside it holds an earlier store, move everything elsewhere, and restore into an empty directory",
            path.display()
        ))),
    }
}

fn remove_marker(directory: &Path) -> Result<()> {
    remove(&directory.join(UNFINISHED_RESTORE))?;
    sync(directory)
}

/// `replaced-20260213T100000Z`, or with a number more where there is one.
fn free_name(directory: &Path, at: Timestamp) -> String {
    let compact: String = at.to_string().chars().filter(|c| !"-:".contains(*c)).collect();
    let name = format!("{ASIDE}{}Z", compact.split('.').next().unwrap_or_default().trim_end_matches('Z'));
    let mut free = name.clone();
    for number in 2.. {
        if !directory.join(&free).exists() {
            break;
        }
        free = format!("{name}-{number}");
    }
    free
}

/// An empty directory holds nothing, and gives its name to another one.
pub(super) fn is_there(path: &Path) -> Result<bool> {
    let there = || -> io::Result<bool> {
        match fs::symlink_metadata(path)?.is_dir() {
            true => Ok(fs::read_dir(path)?.next().is_some()),
            false => Ok(true),
        }
    };
    match there() {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        looked => looked.map_err(BackupError::io("look at", path)),
    }
}

fn remove(path: &Path) -> Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(there) if there.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(BackupError::io("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Brings the names in a directory to the disk.
pub(super) fn sync(directory: &Path) -> Result<()> {
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(BackupError::io("bring to the disk", directory))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{DataDirLock, StoreError};
    use std::collections::BTreeMap;
    use tempfile::{TempDir, tempdir};

    const NEW: [(&str, &str); 2] = [("certs.db", "new"), ("keys/services-1.pem", "new key")];
    const OLD: [(&str, &str); 6] = [
        ("certs.db", "old"),
        ("certs.db-wal", "old log"),
        ("keys/services-1.pem", "old key"),
        ("keys/services-2.pem", "second old key"),
        ("system-token", "old token"),
        ("audit/sealed", "sealed"),
    ];

    fn fill(directory: &Path, files: &[(&str, &str)]) {
        for (name, text) in files {
            let path = directory.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    /// Every file below a directory, with its contents.
    fn files(directory: &Path) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if entry.file_type().unwrap().is_dir() {
                let below = files(&entry.path()).into_iter();
                found.extend(below.map(|(inner, text)| (format!("{name}/{inner}"), text)));
            } else if name != "catalyst.lock" {
                found.insert(name, fs::read_to_string(entry.path()).unwrap());
            }
        }
        found
    }

    struct Case {
        directory: TempDir,
        prepared: TempDir,
    }

    impl Case {
        fn new(old: &[(&str, &str)]) -> Self {
            let case = Self { directory: tempdir().unwrap(), prepared: tempdir().unwrap() };
            fill(case.directory.path(), old);
            fill(case.prepared.path(), &NEW);
            case
        }

        fn plan(&self) -> Placement {
            let at = Timestamp::from_seconds(1_800_000_000);
            Placement::plan(self.directory.path(), self.prepared.path(), false, at).unwrap()
        }
    }

    /// Killed after each step, the directory is what it was, what it will be, or nothing that anybody works on.
    #[test]
    fn a_kill_after_any_step_leaves_one_store_or_a_marker() {
        for old in [&OLD[..], &[], &OLD[2..3], &OLD[5..]] {
            let steps = Case::new(old).plan().steps.len();
            for taken in 0..=steps {
                let case = Case::new(old);
                let directory = case.directory.path();
                let before = files(directory);
                let plan = case.plan();
                plan.steps[..taken].iter().for_each(|step| plan.take(step).unwrap());
                let opened = DataDirLock::acquire(directory);
                match taken {
                    0 => assert_eq!(files(directory), before),
                    all if all == steps => {
                        let now = files(directory);
                        assert!(opened.is_ok());
                        NEW.iter().for_each(|(name, text)| assert_eq!(now[*name], *text));
                        // Nothing of before is lost.
                        before
                            .values()
                            .for_each(|text| assert!(now.values().any(|kept| kept == text), "{text}"));
                        assert_eq!(now.len(), before.len() + NEW.len());
                    }
                    _ => assert!(matches!(opened, Err(StoreError::HalfRestored { .. })), "{taken}"),
                }
                drop(opened);
                let is_half = 0 < taken && taken < steps;
                assert_eq!(undo(directory).unwrap(), is_half);
                if is_half {
                    assert_eq!(files(directory), before, "{taken} of {steps}");
                }
            }
        }
    }

    /// A step that fails is followed by the way back at once.
    #[test]
    fn a_step_that_fails_leaves_what_was_there() {
        for old in [&OLD[..], &[]] {
            let case = Case::new(old);
            let before = files(case.directory.path());
            let plan = case.plan();
            fs::remove_file(case.prepared.path().join("certs.db")).unwrap();
            let error = plan.go().unwrap_err().to_string();
            assert!(error.starts_with("cannot put in place"), "{error}");
            assert_eq!(files(case.directory.path()), before);
        }
    }

    /// The way back may be killed too: at whatever it has come to, it goes on.
    #[test]
    fn the_way_back_goes_on_where_it_was_ended() {
        let case = Case::new(&OLD);
        let directory = case.directory.path();
        let before = files(directory);
        let plan = case.plan();
        plan.steps[..plan.steps.len() - 1].iter().for_each(|step| plan.take(step).unwrap());
        let aside = plan.aside().unwrap();
        for name in ["certs.db", "certs.db-wal"] {
            let _ = fs::remove_file(directory.join(name));
            fs::rename(aside.join(name), directory.join(name)).unwrap();
        }
        assert!(undo(directory).unwrap());
        assert_eq!(files(directory), before);
        assert!(!undo(directory).unwrap());
    }

    #[test]
    fn a_second_directory_of_the_same_second_has_a_name_of_its_own() {
        let case = Case::new(&OLD);
        let first = case.plan().aside().unwrap();
        assert!(first.ends_with("replaced-20270115T080000Z"), "{}", first.display());
        fs::create_dir(&first).unwrap();
        assert!(case.plan().aside().unwrap().ends_with("replaced-20270115T080000Z-2"));
    }

    #[test]
    fn a_marker_that_cannot_be_read_is_left_to_the_operator() {
        let directory = tempdir().unwrap();
        for text in ["", "{}", r#"{"aside":"replaced-/../../etc","was":[]}"#, r#"{"aside":"etc","was":[]}"#] {
            fs::write(directory.path().join(UNFINISHED_RESTORE), text).unwrap();
            assert!(undo(directory.path()).unwrap_err().to_string().contains("cannot be read"), "{text}");
            assert!(DataDirLock::acquire(directory.path()).is_err());
        }
    }
}
