//! The backups in a directory, as far as they show without an identity.

use super::{AgeHeader, BackupError, Result, target::time_in};
use crate::identity::Timestamp;
use std::{
    fs::{self, File},
    io::BufReader,
    path::Path,
    time::UNIX_EPOCH,
};

/// A file that may be a backup.
#[derive(Debug)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Octets.
    pub size: u64,
    /// The deployment, as the name has it.
    pub deployment: Option<String>,
    /// When it was made: as the name has it, else when the file was last changed.
    pub at: Option<Timestamp>,
    /// Its header, or why it can be none.
    pub header: Result<AgeHeader>,
}

/// Files whose names end with `.age`, the newest last.
///
/// # Errors
/// The directory can't be read.
pub fn list(directory: &Path) -> Result<Vec<Listed>> {
    let failed = BackupError::io("list", directory);
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(&failed)? {
        let path = entry.map_err(&failed)?.path();
        let is_one = path.extension().is_some_and(|end| end == "age");
        if is_one && path.is_file() {
            found.extend(look(&path));
        }
    }
    // Of two of one second the longer name is the later one's: it has a number.
    found.sort_by(|a, b| (a.at, a.name.len(), &a.name).cmp(&(b.at, b.name.len(), &b.name)));
    Ok(found)
}

/// `None` where it has gone meanwhile.
fn look(path: &Path) -> Option<Listed> {
    let metadata = fs::metadata(path).ok()?;
    let name = path.file_name()?.to_string_lossy().into_owned();
    let changed = metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let changed = changed.and_then(|since| i64::try_from(since.as_millis()).ok()).map(Timestamp::from_millis);
    let (deployment, at) = time_in(&name).unzip();
    let header = read_header(path);
    Some(Listed { name, size: metadata.len(), deployment, at: at.or(changed), header })
}

/// What a file tells whoever has no identity.
///
/// # Errors
/// It can't be read, is no age file, or has a length that no whole one has.
pub fn read_header(path: &Path) -> Result<AgeHeader> {
    let failed = BackupError::io("read", path);
    let file = File::open(path).map_err(&failed)?;
    let metadata = file.metadata().map_err(&failed)?;
    if !metadata.is_file() {
        return Err(BackupError::Usage(format!("{} is no file", path.display())));
    }
    AgeHeader::read(BufReader::new(file), metadata.len())
}
