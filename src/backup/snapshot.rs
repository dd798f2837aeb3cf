//! What goes into a backup: a copy of the store of one moment, and the key files that belong to it.

use super::{
    BackupError, FORMAT, Manifest, Part, PartName, Result, Scratch, StoreEntry, Watch,
    watch::{Counted, go_on},
};
use crate::{
    identity::{Timestamp, hex},
    store::{KeyRowState, StoreCopy, StoreError, StoreFacts, copy_store},
};
use aws_lc_rs::digest;
use std::{
    fmt,
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

/// What helps where there is no room for the copy.
const ELSEWHERE: &str = "name another directory with --work-dir";
/// Far more than any key file has.
const MAX_KEY_FILE: u64 = 1 << 20;
/// How an encrypted PKCS#8 file begins (RFC 7468, 11).
const ENCRYPTED: &[u8] = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";

/// Where a backup comes from.
pub struct Source<'a> {
    /// The store. Nothing is locked, and a service may work on it.
    pub certs_db: &'a Path,
    /// Where the copy lies until it is encrypted, in a directory of its own.
    pub work_dir: &'a Path,
    /// The file in which a key lies, by the name of its key store and its URI; `None` for keys that lie in no file.
    pub key_file: &'a dyn Fn(&str, &str) -> Option<PathBuf>,
}

impl fmt::Debug for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("certs_db", &self.certs_db).finish_non_exhaustive()
    }
}

/// A key file, encrypted as it lies in the key directory.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyFile {
    /// Its name in the archive.
    pub name: PartName,
    /// Its contents.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyFile").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A checked copy, ready to be encrypted. Its files go when this is dropped.
#[derive(Debug)]
pub struct Snapshot {
    scratch: Scratch,
    /// What stands in the copy.
    pub facts: StoreFacts,
    /// What the backup will hold.
    pub manifest: Manifest,
    /// The key files.
    pub key_files: Vec<KeyFile>,
    /// What whoever makes the backup should know, in sentences.
    pub notes: Vec<String>,
}

impl Snapshot {
    /// Copies the store and checks the copy: integrity, references, schema.
    ///
    /// # Errors
    /// No store, one that is not initialized or damaged; no room; a key file that is not encrypted.
    pub fn take(source: &Source<'_>, at: Timestamp, watch: &dyn Watch) -> Result<Self> {
        let size = size_of(source.certs_db)?;
        let scratch = Scratch::make(source.work_dir)?;
        scratch.has_room(size, ELSEWHERE)?;
        let copy = scratch.path().join("certs.db");
        let copied = copy_store(source.certs_db, &copy, &mut |so_far| {
            watch.has_done("copying", so_far.done, so_far.of);
            !watch.is_stopped()
        });
        copied.map_err(|error| no_room(error, source.work_dir, size))?;
        go_on(watch)?;
        let opened = StoreCopy::open(&copy)?;
        let faults = opened.faults()?;
        if let Some(first) = faults.first() {
            return Err(BackupError::Store(StoreError::Damaged {
                path: source.certs_db.display().to_string(),
                reason: format!("a copy of it is not whole: {first}"),
            }));
        }
        let facts = opened.facts()?;
        drop(opened);
        let store = StoreEntry::of(&facts)?;
        let (key_files, key_parts, notes) = key_files(source, &facts)?;
        let (size, sha256) = hash(&copy, watch)?;
        let certs_db = Part { name: PartName::CertsDb, size, sha256, key_uri: None };
        let parts = [certs_db].into_iter().chain(key_parts).collect();
        let program = env!("CARGO_PKG_VERSION").to_owned();
        let manifest = Manifest { format: FORMAT, program, created_at: at, store, parts };
        Ok(Self { scratch, facts, manifest, key_files, notes })
    }

    /// The copy of the store.
    #[must_use]
    pub fn certs_db(&self) -> PathBuf {
        self.scratch.path().join("certs.db")
    }
}

/// The store's octets, with those that still stand in its log.
fn size_of(certs_db: &Path) -> Result<u64> {
    let missing = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => BackupError::Usage(format!(
            "there is no certificate store at {}: name it with --certs-db",
            certs_db.display()
        )),
        _ => BackupError::io("look at", certs_db)(error),
    };
    let mut log = certs_db.as_os_str().to_owned();
    log.push("-wal");
    let in_log = fs::metadata(PathBuf::from(log)).map_or(0, |log| log.len());
    Ok(fs::metadata(certs_db).map_err(missing)?.len() + in_log)
}

/// The store itself is never full here: the copy is.
fn no_room(error: StoreError, work_dir: &Path, wanted: u64) -> BackupError {
    match error {
        StoreError::Full => BackupError::NoRoom {
            directory: work_dir.display().to_string(),
            wanted,
            free: 0,
            instead: ELSEWHERE,
        },
        other => other.into(),
    }
}

type KeyFiles = (Vec<KeyFile>, Vec<Part>, Vec<String>);

/// The files of the keys that stand in the copy: a key that was made since is in the next backup.
fn key_files(source: &Source<'_>, facts: &StoreFacts) -> Result<KeyFiles> {
    let (mut found, mut notes): (Vec<(KeyFile, Part)>, _) = (Vec::new(), Vec::new());
    for key in &facts.keys {
        let Some(made) = &key.made else { continue };
        let Some(path) = (source.key_file)(&key.backend, &made.uri) else { continue };
        let Some(bytes) = read_key_file(&path)? else {
            if key.state != KeyRowState::Retired {
                notes.push(format!(
                    "the key file {} of {} is not there, and so not in this backup: keep it where you keep it",
                    path.display(),
                    made.uri
                ));
            }
            continue;
        };
        let name = path.file_name().and_then(|name| PartName::of_key_file(name.to_str()?));
        let name = name.ok_or_else(|| {
            BackupError::Usage(format!("{} is no name that a key file has in a backup", path.display()))
        })?;
        let part = Part::of_key_file(name.clone(), &bytes, made.uri.clone());
        found.push((KeyFile { name, bytes }, part));
    }
    found.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    found.dedup_by(|(a, _), (b, _)| a.name == b.name);
    let (files, parts) = found.into_iter().unzip();
    Ok((files, parts, notes))
}

/// `None` where it is not there.
fn read_key_file(path: &Path) -> Result<Option<Vec<u8>>> {
    let failed = BackupError::io("read", path);
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(&failed)?,
    };
    let mut bytes = Vec::new();
    file.take(MAX_KEY_FILE + 1).read_to_end(&mut bytes).map_err(&failed)?;
    if bytes.len() as u64 > MAX_KEY_FILE || !bytes.starts_with(ENCRYPTED) {
        return Err(BackupError::Usage(format!(
            "{} is no encrypted key file: nothing that lies in the clear goes into a backup",
            path.display()
        )));
    }
    Ok(Some(bytes))
}

/// Size and SHA-256 (hex) of a file.
fn hash(path: &Path, watch: &dyn Watch) -> Result<(u64, String)> {
    let failed = BackupError::io("read", path);
    let file = File::open(path).map_err(&failed)?;
    let size = file.metadata().map_err(&failed)?.len();
    let mut stream = Counted::new(file, watch, "checking", size);
    let mut context = digest::Context::new(&digest::SHA256);
    let mut buffer = vec![0; 128 << 10];
    loop {
        let octets = stream.read(&mut buffer);
        go_on(watch)?;
        match octets.map_err(&failed)? {
            0 => return Ok((size, hex(context.finish().as_ref()))),
            octets => context.update(&buffer[..octets]),
        }
    }
}
