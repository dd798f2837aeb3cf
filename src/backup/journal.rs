//! The journal of denials in the directory of backups: lines that are appended and brought to the disk, and now and then
//! rewritten without those that tell nothing any more.

mod standing;

use crate::{
    identity::Timestamp,
    store::{JOURNAL, JournalLine},
};
use rustix::{fs::OFlags, process::geteuid};
use standing::{Known, live};
use std::{
    fs::{self, File, OpenOptions, Permissions, TryLockError},
    io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

/// Below so many octets nothing is rewritten.
const SHORT: u64 = 1024 * 1024;

/// Why nothing is written to the journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file is not one that this service may write to.
    #[error("{}: {clause}", path.display())]
    Unfit {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and what to do.
        clause: String,
    },
    /// What the operating system says.
    #[error("{}: {source}", path.display())]
    Io {
        /// Of which file.
        path: PathBuf,
        /// What.
        source: io::Error,
    },
}

/// The journal of one deployment, open and locked: nobody else appends to it meanwhile.
#[derive(Debug)]
pub struct JournalFile {
    path: PathBuf,
    file: File,
    known: Known,
    size: u64,
    /// It is rewritten once it is longer than this.
    long: u64,
}

impl JournalFile {
    /// Opens the journal in a directory, or begins it (0600). What a crash left of a last line is cut off, unless the
    /// line is whole.
    ///
    /// # Errors
    /// [`JournalError::Unfit`]: a link, no file, another user's, another deployment's. [`JournalError::Io`]: the directory is
    /// missing or can't be written, or another process has the journal open.
    pub fn open(directory: &Path, deployment: &str) -> Result<Self, JournalError> {
        let path = directory.join(JOURNAL);
        let failed = |source| JournalError::Io { path: path.clone(), source };
        let file = open(&path, OpenOptions::new().create(true)).map_err(|error| refusal(&path, error))?;
        check(&path, &file)?;
        lock(&file).map_err(failed)?;
        let mut journal = Self { path: path.clone(), file, known: Known::default(), size: 0, long: SHORT };
        journal.read(deployment)?;
        // The name, too, is to be there after a power cut.
        sync_directory(directory).map_err(failed)?;
        Ok(journal)
    }

    /// Reads what is there, and mends its end.
    fn read(&mut self, deployment: &str) -> Result<(), JournalError> {
        let failed = |source| JournalError::Io { path: self.path.clone(), source };
        self.file.seek(SeekFrom::Start(0)).map_err(failed)?;
        let mut reader = BufReader::new(&self.file);
        let (mut size, mut line) = (0, Vec::new());
        loop {
            line.clear();
            let read = reader.read_until(b'\n', &mut line).map_err(failed)? as u64;
            if read == 0 {
                break;
            }
            let parsed = serde_json::from_slice::<JournalLine>(&line).ok();
            if let Some(other) = parsed.as_ref().filter(|line| line.deployment != deployment) {
                let clause = format!(
                    "this is the journal of the deployment {}, the store is that of {deployment}: give each deployment a directory of its own (CATALYST_PKI_BACKUP_DIR)",
                    other.deployment
                );
                return Err(JournalError::Unfit { path: self.path.clone(), clause });
            }
            let is_whole = line.last() == Some(&b'\n');
            if !is_whole && parsed.is_none() {
                // Cut off: it was never said to be there, and comes again.
                self.file.set_len(size).and_then(|()| self.file.sync_data()).map_err(failed)?;
                break;
            }
            if !is_whole {
                (&self.file).write_all(b"\n").and_then(|()| self.file.sync_data()).map_err(failed)?;
                size += 1;
            }
            size += read;
            if let Some(line) = &parsed {
                self.known.take(line);
            }
        }
        self.size = size;
        Ok(())
    }

    /// Whether what a line of what stands tells is missing here.
    pub fn lacks(&self, line: &JournalLine) -> bool {
        self.known.lacks(line)
    }

    /// Appends lines; on return they are on the disk.
    ///
    /// # Errors
    /// Some of them may be there. Then open the journal anew and append all of them once more: a line may stand there
    /// twice.
    pub fn append(&mut self, lines: &[JournalLine]) -> Result<(), JournalError> {
        self.is_still_there()?;
        if lines.is_empty() {
            return Ok(());
        }
        let failed = |source| JournalError::Io { path: self.path.clone(), source };
        let mut text = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut text, line).map_err(|error| failed(error.into()))?;
            text.push(b'\n');
        }
        self.file.write_all(&text).and_then(|()| self.file.sync_data()).map_err(failed)?;
        self.size += text.len() as u64;
        lines.iter().for_each(|line| self.known.take(line));
        Ok(())
    }

    /// Somebody may have removed, replaced or cut the file: what is appended to one without a name is lost, and what was
    /// cut off stood there once.
    fn is_still_there(&self) -> Result<(), JournalError> {
        let failed = |source| JournalError::Io { path: self.path.clone(), source };
        let named = fs::symlink_metadata(&self.path).map_err(failed)?;
        let open = self.file.metadata().map_err(failed)?;
        if (named.dev(), named.ino(), named.len()) == (open.dev(), open.ino(), self.size) {
            return Ok(());
        }
        Err(failed(io::Error::other("it was replaced or altered while the service ran; it is read anew")))
    }

    /// Rewrites the journal without lines that tell nothing any more, if it has become long. What nobody can read
    /// stays. A crash leaves the one or the other.
    ///
    /// # Errors
    /// The journal is as it was; open it anew.
    pub fn shorten(&mut self, now: Timestamp) -> Result<(), JournalError> {
        if self.size <= self.long {
            return Ok(());
        }
        let failed = |source| JournalError::Io { path: self.path.clone(), source };
        let mut text = String::new();
        self.file.seek(SeekFrom::Start(0)).map_err(failed)?;
        // A line that is no UTF-8 is kept as nearly as it can be: it tells nothing either way.
        let mut bytes = Vec::new();
        self.file.read_to_end(&mut bytes).map_err(failed)?;
        for line in live(&String::from_utf8_lossy(&bytes), now) {
            text.push_str(line);
            text.push('\n');
        }
        let file = self.replace(text.as_bytes()).map_err(failed)?;
        self.file = file;
        self.size = text.len() as u64;
        self.long = SHORT.max(2 * self.size);
        Ok(())
    }

    fn replace(&self, text: &[u8]) -> io::Result<File> {
        let beside = self.path.with_extension("jsonl.new");
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = open(&beside, OpenOptions::new().create_new(true))?;
        // Before it has its name, so that nobody comes between.
        lock(&file)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&beside, &self.path)?;
        sync_directory(self.path.parent().unwrap_or(Path::new(".")))?;
        Ok(file)
    }
}

/// Follows no link in the last place, and does not wait for the other end of a pipe.
fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC).bits();
    options.read(true).append(true).mode(0o600).custom_flags(flags.cast_signed()).open(path)
}

fn refusal(path: &Path, source: io::Error) -> JournalError {
    let path = path.to_path_buf();
    if fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink()) {
        let clause = "it is a symbolic link, and whoever made it says where denials are written: remove it";
        return JournalError::Unfit { path, clause: clause.to_owned() };
    }
    JournalError::Io { path, source }
}

fn check(path: &Path, file: &File) -> Result<(), JournalError> {
    let failed = |source| JournalError::Io { path: path.to_path_buf(), source };
    let unfit = |clause: String| JournalError::Unfit { path: path.to_path_buf(), clause };
    let found = file.metadata().map_err(failed)?;
    if !found.is_file() {
        return Err(unfit("it is no file: remove it".to_owned()));
    }
    let own = geteuid().as_raw();
    if found.uid() != own {
        return Err(unfit(format!(
            "it belongs to the user {}, the service runs as {own}: give it to that user, or remove it",
            found.uid()
        )));
    }
    // Copied by hand, it may be open to others.
    if found.mode() & 0o777 != 0o600 {
        file.set_permissions(Permissions::from_mode(0o600)).map_err(failed)?;
    }
    Ok(())
}

fn lock(file: &File) -> io::Result<()> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(io::Error::other(
            "another process writes to it: is the instance of before a restore still there?",
        )),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests;
