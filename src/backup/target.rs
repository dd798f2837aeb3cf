//! The file that a backup becomes: there whole or not at all, read again before it has its name.

use super::{
    AgeHeader, BackupError, Lock, Manifest, Octets, Result, Snapshot, Watch, Written,
    archive::write,
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

/// The name of a backup: `catalyst-<deployment>-<UTC time>.tar.zst.age`.
#[must_use]
pub fn file_name(manifest: &Manifest) -> String {
    let at = manifest.created_at.to_string();
    // 2026-02-13T10:00:01.456Z: the date and the time without what a file's name should not have.
    let compact: String = at.chars().filter(|c| !"-:".contains(*c)).collect();
    let whole = compact.split('.').next().unwrap_or_default();
    format!("catalyst-{}-{whole}Z.tar.zst.age", manifest.store.deployment)
}

/// Reads the time out of such a name.
pub(super) fn time_in(name: &str) -> Option<(String, Timestamp)> {
    let (deployment, at) = name.strip_prefix("catalyst-")?.strip_suffix("Z.tar.zst.age")?.rsplit_once('-')?;
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
}

impl Target {
    /// Looks at a place: a directory that is there, or a file in one. `replace`: a file that is there may be replaced.
    ///
    /// # Errors
    /// No directory, something that is no file, or a file that is to be kept.
    pub fn look(path: &Path, replace: bool) -> Result<Self> {
        let shown = path.display();
        if path.is_dir() {
            return Ok(Self { directory: path.to_owned(), name: None, replace });
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
        let target = Self { directory: directory.to_owned(), name: Some(name.into()), replace };
        target.check(path)?;
        Ok(target)
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

    /// Begins the file (0600) under another name beside its place; it goes away again unless it is finished.
    ///
    /// # Errors
    /// The directory takes no files, or there is one already.
    pub fn begin(&self, manifest: &Manifest) -> Result<Draft> {
        remove_left(&self.directory);
        let name = self.name.clone().unwrap_or_else(|| file_name(manifest).into());
        let to = self.directory.join(name);
        self.check(&to)?;
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
            Some(file) => Ok(Draft { file, path, to, replace: self.replace, is_finished: false }),
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

/// A backup that has not its name yet. Locked, so that no other process takes it for left.
#[derive(Debug)]
pub struct Draft {
    file: File,
    path: PathBuf,
    to: PathBuf,
    replace: bool,
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
        let failed = BackupError::io("write", &self.to);
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
        if self.replace {
            fs::rename(&self.path, &self.to).map_err(&failed)?;
        } else {
            rename_to_nothing(&self.path, &self.to).map_err(&failed)?;
        }
        self.is_finished = true;
        let directory = self.to.parent().unwrap_or(Path::new("."));
        File::open(directory).and_then(|directory| directory.sync_all()).map_err(&failed)?;
        Ok((self.to.clone(), size))
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
