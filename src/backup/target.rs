//! The file that a backup becomes: there whole or not at all, read again before it has its name.

use super::{
    AgeHeader, BackupError, Lock, Manifest, Octets, Result, Snapshot, Watch, Written,
    archive::write,
    marks::mark,
    scratch::{is_ours, is_own, nonce, still_there},
    watch::{Counted, go_on},
};
use crate::identity::Timestamp;
use rustix::{
    fs::{Advice, CWD, RenameFlags, fadvise, renameat_with},
    io::Errno,
};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, Seek as _, SeekFrom},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

/// How the names of unfinished files begin, and how they end; 16 hex digits stand between.
const PREFIX: &str = ".catalyst-backup-";
const END: &str = ".new";
/// So many octets are read at once.
const PIECE: usize = 128 << 10;
/// How the names of backups end.
const SUFFIX: &str = ".tar.zst.age";

/// The name of a backup: `catalyst-<deployment>-<UTC time>.tar.zst.age`.
#[must_use]
pub fn file_name(manifest: &Manifest) -> String {
    numbered(&stem(manifest), 1)
}

/// What the names of all backups of one deployment and second begin with.
fn stem(manifest: &Manifest) -> String {
    let at = manifest.created_at.to_string();
    // 2026-02-13T10:00:01.456Z: the date and the time without what a file's name should not have.
    let compact: String = at.chars().filter(|c| !"-:".contains(*c)).collect();
    let whole = compact.split('.').next().unwrap_or_default();
    format!("catalyst-{}-{whole}Z", manifest.store.deployment)
}

/// The first of its second has no number: the time alone, then `…Z-2`.
fn numbered(stem: &str, number: u32) -> String {
    match number {
        0 | 1 => format!("{stem}{SUFFIX}"),
        _ => format!("{stem}-{number}{SUFFIX}"),
    }
}

/// Reads the time out of such a name.
pub(super) fn time_in(name: &str) -> Option<(String, Timestamp)> {
    let (stem, number) = name.strip_prefix("catalyst-")?.strip_suffix(SUFFIX)?.rsplit_once('Z')?;
    let is_number = |text: &str| {
        text.strip_prefix('-')
            .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit()))
    };
    let (deployment, at) = stem.rsplit_once('-').filter(|_| number.is_empty() || is_number(number))?;
    let (date, time) = at.split_once('T').filter(|(date, time)| date.len() == 8 && time.len() == 6)?;
    let part = |text: &str, from: usize, to: usize| text.get(from..to).map(str::to_owned);
    let text = format!(
        "{}-{}-{}T{}:{}:{}Z",
        part(date, 0, 4)?,
        part(date, 4, 6)?,
        part(date, 6, 8)?,
        part(time, 0, 2)?,
        part(time, 2, 4)?,
        part(time, 4, 6)?
    );
    Some((deployment.to_owned(), text.parse().ok()?))
}

/// A place for a backup.
#[derive(Clone, Debug)]
pub struct Target {
    directory: PathBuf,
    /// `None`: named after what is in it.
    name: Option<PathBuf>,
    replace: bool,
    marked: bool,
}

impl Target {
    /// Looks at a place: a directory that is there, or a file in one. `replace`: a file that is there may be replaced.
    ///
    /// # Errors
    /// No directory, something that is no file, or a file that is to be kept.
    pub fn look(path: &Path, replace: bool) -> Result<Self> {
        let shown = path.display();
        if path.is_dir() {
            return Ok(Self { directory: path.to_owned(), name: None, replace, marked: false });
        }
        let name = path.file_name().filter(|_| !path.as_os_str().as_encoded_bytes().ends_with(b"/"));
        let name = name
            .ok_or_else(|| BackupError::Usage(format!("{shown} is no directory: make it, or name a file")))?;
        let directory = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        if !directory.is_dir() {
            return Err(BackupError::Usage(format!(
                "there is no directory {}: make it, or name another",
                directory.display()
            )));
        }
        let name = Some(name.into());
        let target = Self { directory: directory.to_owned(), name, replace, marked: false };
        target.check(path)?;
        Ok(target)
    }

    /// A hook is to be run for the backup: a mark says so from before it has its name.
    #[must_use]
    pub fn marked(self, marked: bool) -> Self {
        Self { marked, ..self }
    }

    fn check(&self, path: &Path) -> Result<()> {
        let shown = path.display();
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(BackupError::io("look at", path)(error)),
            Ok(there) if !there.is_file() => {
                Err(BackupError::Usage(format!("{shown} is there and is no file: name another path")))
            }
            Ok(_) if !self.replace => Err(BackupError::Usage(format!(
                "{shown} is there already, and is kept: name another path, or replace it with --force"
            ))),
            Ok(_) => Ok(()),
        }
    }

    /// Begins the file (0600) under another name beside its place; it goes away again unless it is finished. In a
    /// directory its name is one that is free.
    ///
    /// # Errors
    /// The directory takes no files, or there is one already.
    pub fn begin(&self, manifest: &Manifest) -> Result<Draft> {
        remove_left(&self.directory);
        let name = match &self.name {
            Some(name) => Name::Given(name.clone()),
            None if self.replace => Name::Given(file_name(manifest).into()),
            None => Name::free(&self.directory, stem(manifest), 1),
        };
        self.check(&self.directory.join(name.shown()))?;
        let failed = BackupError::io("write into", &self.directory);
        let path = self.directory.join(format!("{PREFIX}{}{END}", nonce().map_err(&failed)?));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(&failed)?;
        match still_there(file, &path).map_err(&failed)? {
            Some(file) => Ok(Draft { file, path, name, target: self.clone(), is_finished: false }),
            None => {
                Err(failed(io::Error::other("another process removes it as soon as it is made; try again")))
            }
        }
    }

    /// Writes a backup into its place. Answers its path and size.
    ///
    /// # Errors
    /// As [`Target::begin`] and [`Draft::finish`]; the snapshot can't be read; whoever watches wants no more.
    pub fn write(
        &self,
        lock: &Lock,
        snapshot: &Snapshot,
        manifest: &[u8],
        seal: &[u8],
        watch: &dyn Watch,
    ) -> Result<(PathBuf, u64)> {
        let draft = self.begin(&snapshot.manifest)?;
        let written = write(Octets::new(draft.file()), lock, snapshot, manifest, seal, watch)?.written();
        draft.finish(written, watch)
    }
}

/// What a backup is to be called.
#[derive(Clone, Debug)]
enum Name {
    Given(PathBuf),
    /// One of those that its second has.
    Own {
        stem: String,
        number: u32,
    },
}

impl Name {
    /// The first from this number on under which nothing lies.
    fn free(directory: &Path, stem: String, from: u32) -> Self {
        let is_free = |number: &u32| directory.join(numbered(&stem, *number)).symlink_metadata().is_err();
        let number = (from..).find(is_free).unwrap_or(from);
        Self::Own { stem, number }
    }

    fn shown(&self) -> PathBuf {
        match self {
            Self::Given(name) => name.clone(),
            Self::Own { stem, number } => numbered(stem, *number).into(),
        }
    }
}

/// A backup that has not its name yet. Locked, so that no other process takes it for left.
#[derive(Debug)]
pub struct Draft {
    file: File,
    path: PathBuf,
    name: Name,
    target: Target,
    is_finished: bool,
}

impl Draft {
    /// Where it is written.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Brings it to the disk, reads all of it again, and gives it its name. Answers its path and size.
    ///
    /// # Errors
    /// What lies on the disk is not what was written, or something has come to lie at its place; whoever watches wants no
    /// more.
    pub fn finish(mut self, written: Written, watch: &dyn Watch) -> Result<(PathBuf, u64)> {
        let failed = BackupError::io("write into", &self.target.directory);
        self.file.sync_all().map_err(&failed)?;
        // From the disk, as far as the file system can be asked for that, and not from memory.
        let _ = fadvise(&self.file, 0, None, Advice::DontNeed);
        self.file.seek(SeekFrom::Start(0)).map_err(&failed)?;
        let read = read_again(&self.file, written.octets, watch).map_err(&failed);
        go_on(watch)?;
        if read? != written {
            return Err(failed(io::Error::other(
                "the disk gives back something else than was written to it",
            )));
        }
        let size = written.octets;
        self.file.seek(SeekFrom::Start(0)).map_err(&failed)?;
        AgeHeader::read(BufReader::new(&self.file), size)?;
        let to = self.take_name()?;
        self.is_finished = true;
        File::open(&self.target.directory).and_then(|directory| directory.sync_all()).map_err(&failed)?;
        Ok((to, size))
    }

    /// Another process may have taken a free name since.
    fn take_name(&mut self) -> Result<PathBuf> {
        loop {
            let to = self.target.directory.join(self.name.shown());
            let failed = BackupError::io("write", &to);
            if self.target.marked {
                mark(&to).map_err(&failed)?;
            }
            let renamed = match self.target.replace {
                true => fs::rename(&self.path, &to),
                false => rename_to_nothing(&self.path, &to),
            };
            match (renamed, &self.name) {
                (Ok(()), _) => return Ok(to),
                (Err(error), Name::Own { stem, number }) if error.kind() == io::ErrorKind::AlreadyExists => {
                    self.name = Name::free(&self.target.directory, stem.clone(), number + 1);
                }
                (Err(error), _) => return Err(failed(error)),
            }
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.is_finished {
            // What can't be removed now, the next one removes.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn read_again(file: &File, size: u64, watch: &dyn Watch) -> io::Result<Written> {
    let mut there = Octets::new(io::sink());
    io::copy(&mut BufReader::with_capacity(PIECE, Counted::new(file, watch, "reading", size)), &mut there)?;
    Ok(there.written())
}

/// Renames in one step that fails where something has come to lie at the new name.
pub(crate) fn rename_to_nothing(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // File systems without that step, such as NFS, have links.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            fs::hard_link(from, to)?;
            fs::remove_file(from)
        }
        renamed => renamed.map_err(io::Error::from),
    }
}

/// What a process that was killed has left. Nothing depends on it: what can't be looked at or removed stays.
fn remove_left(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten().filter(|entry| is_ours(&entry.file_name(), PREFIX, END)) {
        let path = entry.path();
        let is_file = fs::symlink_metadata(&path).is_ok_and(|there| there.is_file());
        if is_file
            && is_own(&path)
            && let Ok(file) = File::open(&path)
            && let Ok(Some(_lock)) = still_there(file, &path)
        {
            let _ = fs::remove_file(&path);
        }
    }
}
