//! The database file: made whole or not at all, looked at before it is opened, never altered if it is not ours.

use super::fault::{Fault, Outcome};
use crate::store::{Result, StoreError, data_dir::file_error};
use rusqlite::{Connection, OpenFlags, config::DbConfig};
use rusqlite_migration::{M, Migrations};
use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Read},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// "CPKI": what `file` and other programs tell the database by.
pub(super) const APPLICATION_ID: i32 = 0x4350_4b49;
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
const STEPS: &[M<'_>] = &[
    M::up(include_str!("migrations/0001_store.sql")),
    M::up(include_str!("migrations/0002_access.sql")),
    M::up(include_str!("migrations/0003_recovery.sql")),
];
const MIGRATIONS: Migrations<'_> = Migrations::from_slice(STEPS);

/// Enough for the pages that every issuance touches; the rest is the operating system's to keep. Not larger: whenever
/// a page of an index was split, SQLite looks through the whole cache at COMMIT.
const WRITER_CACHE_KIB: i32 = 4 * 1024;
const READER_CACHE_KIB: i32 = 2 * 1024;
/// Pages in the log before they are folded into the file (40 MB): the longer it is, the fewer times a page that
/// changes often is written.
const LOG_PAGES: i32 = 10_000;
/// Cut the log's file back to this after a burst.
const LOG_LIMIT: i32 = 64 << 20;

/// The writer's connection to the file at `path`, which is made if it is missing and brought to this program's
/// schema if it is older. The caller holds the directory's lock.
pub(super) fn open_writer(path: &Path) -> Result<Connection> {
    if path.try_exists().map_err(|error| file_error(&error, path))? {
        check_header(path)?;
    } else {
        create(path)?;
    }
    told(path, || {
        let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        if connection.is_readonly("main")? {
            let reason = format!("{}: no permission to write", path.display());
            return Err(StoreError::ReadOnly { reason }.into());
        }
        check_schema(&connection, path)?;
        set_up(&connection, WRITER_CACHE_KIB)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
        connection.pragma_update(None, "journal_size_limit", LOG_LIMIT)?;
        migrate(&mut connection)?;
        Ok(connection)
    })
}

/// A connection that can only read.
pub(super) fn open_reader(path: &Path) -> Result<Connection> {
    told(path, || {
        let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        set_up(&connection, READER_CACHE_KIB)?;
        connection.pragma_update(None, "query_only", true)?;
        Ok(connection)
    })
}

/// A store in memory: for tests and ephemeral CAs.
pub(super) fn open_in_memory() -> Result<Connection> {
    told(Path::new(":memory:"), || {
        let mut connection = Connection::open_in_memory()?;
        set_up(&connection, WRITER_CACHE_KIB)?;
        migrate(&mut connection)?;
        found(&connection)?;
        Ok(connection)
    })
}

pub(super) fn told<T>(path: &Path, open: impl FnOnce() -> Outcome<T>) -> Result<T> {
    open().map_err(|fault| fault.into_store_error(&path.display().to_string()))
}

pub(super) fn connect(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
}

pub(super) fn set_up(connection: &Connection, cache_kib: i32) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "cache_size", -cache_kib)?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(())
}

fn migrate(connection: &mut Connection) -> Outcome<()> {
    migrate_to(connection, STEPS.len())
}

/// Brings an older store, or an empty database, to this schema.
pub(super) fn migrate_to(connection: &mut Connection, schema: usize) -> Outcome<()> {
    use rusqlite_migration::Error;
    MIGRATIONS.to_version(connection, schema).map_err(|error| match error {
        Error::RusqliteError { err, .. } => Fault::Sqlite(err),
        other => Fault::Store(StoreError::Storage(other.to_string())),
    })
}

/// Gives a new store its deployment id.
fn found(connection: &Connection) -> Outcome<()> {
    let mut id = [0; 8];
    aws_lc_rs::rand::fill(&mut id).map_err(|_| {
        Fault::Store(StoreError::Storage("the operating system gives no random numbers".to_owned()))
    })?;
    connection.execute(
        "INSERT INTO deployment (one, id, audit_hash) VALUES (1, ?1, zeroblob(32))",
        [format!("{:016x}", u64::from_be_bytes(id))],
    )?;
    Ok(())
}

/// Makes the file under another name first, so that `path` is a whole store from the moment it exists.
fn create(path: &Path) -> Result<()> {
    for log in [beside(path, "-wal"), beside(path, "-journal")] {
        if log.exists() {
            return Err(StoreError::Damaged {
                path: path.display().to_string(),
                reason: format!("the file is missing, but its log {} is there", log.display()),
            });
        }
    }
    let draft = beside(path, ".new");
    for leftover in ["", "-wal", "-shm", "-journal"] {
        remove_if_any(&beside(&draft, leftover))?;
    }
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft);
    made.map_err(|error| file_error(&error, &draft))?;
    told(path, || {
        let mut connection = connect(&draft, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        set_up(&connection, WRITER_CACHE_KIB)?;
        connection.pragma_update(None, "application_id", APPLICATION_ID)?;
        migrate(&mut connection)?;
        found(&connection)?;
        // Now, so that the file says from its first byte on how it is to be opened.
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.close().map_err(|(_, error)| error)?;
        Ok(())
    })?;
    fs::rename(&draft, path).map_err(|error| file_error(&error, path))?;
    let dir = directory_of(path);
    File::open(&dir).and_then(|dir| dir.sync_all()).map_err(|error| file_error(&error, &dir))
}

fn remove_if_any(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(file_error(&error, path)),
        _ => Ok(()),
    }
}

/// Reads what stands in the file before SQLite touches it: opening would already write a log beside it.
pub(super) fn check_header(path: &Path) -> Result<()> {
    let damaged = |reason: &str| {
        Err(StoreError::Damaged { path: path.display().to_string(), reason: reason.to_owned() })
    };
    let io_error = |error| file_error(&error, path);
    let mut header = [0; 100];
    let mut file = File::open(path).map_err(io_error)?;
    match file.read_exact(&mut header) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
            return damaged("the file is too short to be a database");
        }
        read => read.map_err(io_error)?,
    }
    if !header.starts_with(MAGIC) {
        return damaged("the file is no SQLite database");
    }
    let word = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    if word(68) != APPLICATION_ID.unsigned_abs() {
        return damaged("the file is the database of another program");
    }
    let page_size = match u64::from(word(16) >> 16) {
        1 => 65_536,
        size => size,
    };
    let expected = u64::from(word(28)) * page_size;
    let log = fs::metadata(beside(path, "-wal")).map(|log| log.len()).unwrap_or(0);
    // While there is a log, the file may rightly be shorter: what it lacks stands there.
    if log == 0 && file.metadata().map_err(io_error)?.len() < expected {
        return damaged("the file was cut off");
    }
    Ok(())
}

pub(super) fn check_schema(connection: &Connection, path: &Path) -> Outcome<()> {
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    if found > known {
        let path = path.display().to_string();
        return Err(StoreError::NewerSchema { path, found, known }.into());
    }
    Ok(())
}

/// That a store is of an older schema than this program's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingMigration {
    /// The store's schema.
    pub from: i64,
    /// This program's.
    pub to: i64,
}

/// What opening the store at `path` would do to its schema; `None` where it is of this program's, or is yet to be made.
///
/// # Errors
/// The file is another program's, damaged or can't be read.
pub fn pending_migration(path: &Path) -> Result<Option<PendingMigration>> {
    if !path.try_exists().map_err(|error| file_error(&error, path))? {
        return Ok(None);
    }
    check_header(path)?;
    let from = match fs::metadata(beside(path, "-wal")).is_ok_and(|log| log.len() > 0) {
        // What counts may stand there.
        true => {
            let connection = open_reader(path)?;
            told(path, || Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?))?
        }
        // SQLite would write files beside it, also where it then refuses to open it.
        false => version_in_header(path).map_err(|error| file_error(&error, path))?,
    };
    let to = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    Ok((from < to).then_some(PendingMigration { from, to }))
}

/// `PRAGMA user_version` (SQLite's file format, 1.3: the four octets at 60).
fn version_in_header(path: &Path) -> std::io::Result<i64> {
    let mut header = [0; 64];
    File::open(path)?.read_exact(&mut header)?;
    Ok(i32::from_be_bytes([header[60], header[61], header[62], header[63]]).into())
}

/// `certs.db` and `-wal` → `certs.db-wal`.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The directory that holds `path`; the current one for a bare name.
pub(super) fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir.to_owned(),
        _ => PathBuf::from("."),
    }
}
