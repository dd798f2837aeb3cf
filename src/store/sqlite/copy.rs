//! A consistent copy of a store that may be at work, and a look into such a copy. Neither takes the directory's lock.

use super::{
    facts,
    fault::Outcome,
    file::{self, check_header, check_schema, connect, migrate_to, set_up, told},
};
use crate::store::{Result, StoreError, StoreFacts, data_dir::file_error};
use rusqlite::{
    Connection, OpenFlags,
    backup::{Backup, StepResult},
};
use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    os::unix::{ffi::OsStrExt as _, fs::OpenOptionsExt as _},
    path::Path,
    thread,
    time::Duration,
};

/// So many pages are copied between two looks at whether to go on (4 MB).
const PAGES_AT_ONCE: i32 = 1_000;
/// Pages of the copy that are held in memory.
const COPY_CACHE_KIB: i32 = 2 * 1024;
/// How often a source that is locked for a moment is tried again, and after how long.
const TRIES: u32 = 250;
const PAUSE: Duration = Duration::from_millis(20);
/// How many faults of a kind are told.
const FAULTS: usize = 20;

/// How far copying has come, in octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Copied so far.
    pub done: u64,
    /// Of so many.
    pub of: u64,
}

/// Copies the store at `from`, whether or not a service works on it, into the new file `to` (0600). The copy is of one
/// moment; commits go on meanwhile, and none is waited for. `go_on` is asked between pieces; `false` ends it, and so
/// does the answer.
///
/// # Errors
/// No store, one that is damaged or of a newer schema, or a copy that can't be written.
pub fn copy_store(from: &Path, to: &Path, go_on: &mut dyn FnMut(Copied) -> bool) -> Result<bool> {
    check_header(from)?;
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to);
    made.map_err(|error| file_error(&error, to))?;
    let source = file::open_reader(from)?;
    told(from, || check_schema(&source, from))?;
    // One snapshot for all pieces: without it a commit between two of them would have the copy begin again.
    let snapshot = told(from, || Ok(source.unchecked_transaction()?))?;
    told(from, || Ok(snapshot.query_row("SELECT count(*) FROM deployment", (), |_| Ok(()))?))?;
    let mut target = told(to, || Ok(connect(to, OpenFlags::SQLITE_OPEN_READ_WRITE)?))?;
    told(to, || {
        // It is nobody's store yet: what is left of it after a crash is thrown away.
        target.pragma_update(None, "journal_mode", "OFF")?;
        target.pragma_update(None, "synchronous", "OFF")?;
        Ok(target.pragma_update(None, "cache_size", -COPY_CACHE_KIB)?)
    })?;
    told(to, || copy_pages(&snapshot, &mut target, go_on))
}

fn copy_pages(
    source: &Connection,
    target: &mut Connection,
    go_on: &mut dyn FnMut(Copied) -> bool,
) -> Outcome<bool> {
    let page: i64 = source.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let backup = Backup::new(source, target)?;
    let mut tries = TRIES;
    loop {
        let step = backup.step(PAGES_AT_ONCE)?;
        let progress = backup.progress();
        let octets = |pages: i32| u64::from(pages.unsigned_abs()) * page.unsigned_abs();
        let of = octets(progress.pagecount);
        if !go_on(Copied { done: of - octets(progress.remaining).min(of), of }) {
            return Ok(false);
        }
        match step {
            StepResult::Done => return Ok(true),
            StepResult::More => {}
            _ if tries > 0 => {
                tries -= 1;
                thread::sleep(PAUSE);
            }
            _ => return Err(StoreError::Storage("another program holds the store locked".into()).into()),
        }
    }
}

/// A copy that nobody writes to. Nothing is written to it, or beside it, either.
#[derive(Debug)]
pub struct StoreCopy {
    connection: Connection,
    path: String,
}

impl StoreCopy {
    /// Opens a copy. What stands in it is not trusted: call [`StoreCopy::faults`] before anything else.
    ///
    /// # Errors
    /// The file is no store, is cut off, or is of a newer schema.
    pub fn open(path: &Path) -> Result<Self> {
        check_header(path)?;
        let connection = told(path, || {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
            let uri = format!("file:{}?immutable=1", escaped(path));
            let connection = connect(Path::new(&uri), flags)?;
            set_up(&connection, COPY_CACHE_KIB)?;
            check_schema(&connection, path)?;
            Ok(connection)
        })?;
        Ok(Self { connection, path: path.display().to_string() })
    }

    /// What is wrong with the copy, in clauses; empty where it is whole: a schema that this program has not made, damaged
    /// pages and indexes, references to rows that are not there.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn faults(&self) -> Result<Vec<String>> {
        self.told(|connection| {
            if !has_our_schema(connection)? {
                return Ok(vec!["its schema is not the one that this program makes".into()]);
            }
            let mut faults =
                rows(connection, &format!("PRAGMA integrity_check({FAULTS})"), |row| row.get(0))?;
            faults.retain(|fault: &String| fault != "ok");
            let loose = rows(connection, "PRAGMA foreign_key_check", |row| {
                Ok(format!(
                    "a row of {} refers to a row of {} that is not there",
                    text(row, 0)?,
                    text(row, 2)?
                ))
            })?;
            faults.extend(loose);
            faults.dedup();
            Ok(faults)
        })
    }

    /// What stands in it.
    ///
    /// # Errors
    /// Values that no version of this program writes.
    pub fn facts(&self) -> Result<StoreFacts> {
        self.told(facts::read)
    }

    fn told<T>(&self, look: impl FnOnce(&Connection) -> Outcome<T>) -> Result<T> {
        look(&self.connection).map_err(|fault| fault.into_store_error(&self.path))
    }
}

/// Compares with a store that is made here, so that nothing is asked of a table or view that others thought up.
fn has_our_schema(connection: &Connection) -> Outcome<bool> {
    let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let mut ours = Connection::open_in_memory()?;
    migrate_to(&mut ours, version as usize)?;
    Ok(objects(connection)? == objects(&ours)?)
}

/// The statements that made tables, indexes, views and triggers, by kind and name.
fn objects(connection: &Connection) -> Outcome<BTreeMap<(String, String), String>> {
    // SQLite's own statistics come and go.
    let sql = "SELECT type, name, ifnull(sql, '') FROM sqlite_schema
         WHERE type <> 'table' OR name NOT LIKE 'sqlite^_stat_' ESCAPE '^'";
    let found = rows(connection, sql, |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)))?;
    Ok(found.into_iter().collect())
}

fn rows<T>(
    connection: &Connection,
    sql: &str,
    read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
) -> Outcome<Vec<T>> {
    let mut statement = connection.prepare(sql)?;
    let found: rusqlite::Result<Vec<T>> = statement.query_map((), read)?.take(10_000).collect();
    Ok(found?)
}

fn text(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<String> {
    row.get(column)
}

/// A path within a URI (RFC 3986, 3.3).
fn escaped(path: &Path) -> String {
    let keep = |octet: u8| octet.is_ascii_alphanumeric() || b"/-._~".contains(&octet);
    let octets = path.as_os_str().as_bytes().iter();
    octets
        .map(|octet| if keep(*octet) { char::from(*octet).to_string() } else { format!("%{octet:02X}") })
        .collect()
}
