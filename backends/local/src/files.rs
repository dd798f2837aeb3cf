//! The key directory: private modes, whole files, nothing overwritten, and nothing deleted but probe keys.

use crate::error::LocalError;
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

/// Far more than any key needs.
const LARGEST_FILE: u64 = 1 << 20;

const TEMPORARY: &str = ".tmp";

/// Makes the directory (0700) if it is missing, refuses one that others can look into, and clears away what a crash
/// left half-written.
pub(crate) fn prepare(directory: &Path) -> Result<(), LocalError> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => LocalError::NotADirectory(directory.to_owned()),
        _ => LocalError::io("make", directory)(error),
    })?;
    let mode = fs::metadata(directory).map_err(LocalError::io("look at", directory))?.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(LocalError::DirectoryMode(directory.to_owned(), mode));
    }
    clear_temporaries(directory)
}

/// Reads a key file after checking that it is private.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, LocalError> {
    let file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => LocalError::Missing(path.to_owned()),
        _ => LocalError::io("open", path)(error),
    })?;
    let metadata = file.metadata().map_err(LocalError::io("look at", path))?;
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(LocalError::FileMode(path.to_owned(), mode));
    }
    if !metadata.is_file() || metadata.len() > LARGEST_FILE {
        return Err(LocalError::Truncated(path.to_owned()));
    }
    let mut content = Vec::new();
    file.take(LARGEST_FILE).read_to_end(&mut content).map_err(LocalError::io("read", path))?;
    Ok(content)
}

/// The names of the key files, without `.pem`, in their order.
pub(crate) fn key_names(directory: &Path) -> Result<Vec<String>, LocalError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).map_err(LocalError::io("list", directory))? {
        let name = entry.map_err(LocalError::io("list", directory))?.file_name();
        names.extend(name.to_string_lossy().strip_suffix(".pem").map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

/// Writes a new file (0600) that is there whole and durably, or not at all. `Ok(false)`: that name is taken, and what
/// has it is untouched.
pub(crate) fn write_new(path: &Path, content: &[u8]) -> Result<bool, LocalError> {
    let temporary = Temporary::create(path)?;
    temporary.fill(content)?;
    // A hard link, unlike a rename, never replaces what is there.
    match fs::hard_link(&temporary.path, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        linked => linked.map_err(LocalError::io("write", path))?,
    }
    drop(temporary);
    sync_directory(path)?;
    Ok(true)
}

/// Renames a key file so that it is no longer found, and gives the new name. Never replaces a file.
pub(crate) fn set_aside(path: &Path, now: SystemTime) -> Result<PathBuf, LocalError> {
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".destroyed-{seconds}"));
    let aside = PathBuf::from(name);
    fs::hard_link(path, &aside).map_err(LocalError::io("rename", path))?;
    fs::remove_file(path).map_err(LocalError::io("rename", path))?;
    sync_directory(path)?;
    Ok(aside)
}

/// Deletes a key file.
pub(crate) fn remove(path: &Path) -> Result<(), LocalError> {
    fs::remove_file(path).map_err(LocalError::io("remove", path))?;
    sync_directory(path)
}

/// A file that is being written. Locked, so that another process does not clear it away; removed when dropped.
struct Temporary {
    path: PathBuf,
    file: File,
}

impl Temporary {
    fn create(target: &Path) -> Result<Self, LocalError> {
        let mut random = [0; 8];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| LocalError::Crypto("the random source"))?;
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let path = target.with_file_name(format!(".{name}.{:016x}{TEMPORARY}", u64::from_be_bytes(random)));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = file.map_err(LocalError::io("write", &path))?;
        let temporary = Self { path, file };
        temporary.file.lock().map_err(LocalError::io("lock", &temporary.path))?;
        Ok(temporary)
    }

    fn fill(&self, content: &[u8]) -> Result<(), LocalError> {
        let written = (&self.file).write_all(content).and_then(|()| self.file.sync_all());
        written.map_err(LocalError::io("write", &self.path))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // What can't be removed now is cleared away at the next start; nothing reads it.
        let _ = fs::remove_file(&self.path);
    }
}

/// Removes temporaries that no process holds. They are ciphertext that no name leads to.
fn clear_temporaries(directory: &Path) -> Result<(), LocalError> {
    for entry in fs::read_dir(directory).map_err(LocalError::io("list", directory))? {
        let path = entry.map_err(LocalError::io("list", directory))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let abandoned = || File::open(&path).is_ok_and(|file| file.try_lock().is_ok());
        if name.starts_with('.') && name.ends_with(TEMPORARY) && abandoned() {
            fs::remove_file(&path).map_err(LocalError::io("remove", &path))?;
        }
    }
    Ok(())
}

/// Makes a new name durable.
fn sync_directory(of: &Path) -> Result<(), LocalError> {
    let directory = of.parent().unwrap_or(Path::new("."));
    File::open(directory).and_then(|d| d.sync_all()).map_err(LocalError::io("write", directory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_being_written_is_not_cleared_away() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("keys");
        prepare(&directory).unwrap();
        let writing = Temporary::create(&directory.join("root-1.pem")).unwrap();
        prepare(&directory).unwrap();
        assert!(writing.path.exists());
        let path = writing.path.clone();
        drop(writing);
        assert!(!path.exists());
    }
}
