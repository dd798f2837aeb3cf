//! One step inside the writer's transaction, and what the writer keeps in memory between steps.

use super::fault::Outcome;
use crate::{
    identity::Timestamp,
    store::{AuditHead, AuditRecord, Stamp},
};
use rusqlite::{CachedStatement, Connection, OptionalExtension, Params, Row};

/// What every step moves on. Written to `deployment` once per commit, not once per step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ledger {
    pub(super) head: AuditHead,
    pub(super) newest: i64,
    pub(super) last_certificate: i64,
}

impl Ledger {
    pub(super) fn load(connection: &Connection) -> Outcome<Self> {
        let sql = "SELECT audit_seq, audit_hash, newest_time, last_certificate FROM deployment";
        let ledger = connection.prepare_cached(sql)?.query_row([], |row| {
            Ok(Self {
                head: AuditHead { seq: row.get(0)?, hash: row.get(1)? },
                newest: row.get(2)?,
                last_certificate: row.get(3)?,
            })
        })?;
        Ok(ledger)
    }

    pub(super) fn save(&self, connection: &Connection) -> Outcome<()> {
        let sql =
            "UPDATE deployment SET audit_seq = ?1, audit_hash = ?2, newest_time = ?3, last_certificate = ?4";
        let values = (self.head.seq, self.head.hash, self.newest, self.last_certificate);
        connection.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }
}

/// A step's view of the database: it reads and writes, and ends with an audit record.
pub(super) struct Step<'c> {
    connection: &'c Connection,
    ledger: Ledger,
}

impl<'c> Step<'c> {
    pub(super) fn new(connection: &'c Connection, ledger: Ledger) -> Self {
        Self { connection, ledger }
    }

    pub(super) fn connection(&self) -> &'c Connection {
        self.connection
    }

    /// Where the ledger stands after the step.
    pub(super) fn into_ledger(self) -> Ledger {
        self.ledger
    }

    pub(super) fn newest(&self) -> i64 {
        self.ledger.newest
    }

    /// The next certificate's number.
    pub(super) fn next_certificate(&mut self) -> i64 {
        self.ledger.last_certificate += 1;
        self.ledger.last_certificate
    }

    pub(super) fn execute(&self, sql: &str, values: impl Params) -> Outcome<usize> {
        Ok(self.connection.prepare_cached(sql)?.execute(values)?)
    }

    pub(super) fn one<T>(
        &self,
        sql: &str,
        values: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Outcome<Option<T>> {
        one(self.connection, sql, values, read)
    }

    pub(super) fn exists(&self, sql: &str, values: impl Params) -> Outcome<bool> {
        Ok(self.connection.prepare_cached(sql)?.exists(values)?)
    }

    /// Writes what was done into the audit log.
    pub(super) fn audit(
        &mut self,
        stamp: &Stamp,
        action: &str,
        subject: impl ToString,
        detail: String,
    ) -> Outcome<()> {
        let record =
            AuditRecord::after(self.ledger.head, stamp.at, &stamp.by, action, subject.to_string(), detail);
        self.execute(
            "INSERT INTO audit (seq, at, actor, action, subject, detail, prev_hash, hash)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            (
                record.seq,
                record.at.millis(),
                &record.actor,
                &record.action,
                &record.subject,
                &record.detail,
                record.prev_hash,
                record.hash,
            ),
        )?;
        self.ledger.head = record.head();
        self.ledger.newest = self.ledger.newest.max(stamp.at.millis());
        Ok(())
    }
}

/// At most one row.
pub(super) fn one<T>(
    connection: &Connection,
    sql: &str,
    values: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Outcome<Option<T>> {
    let mut statement: CachedStatement<'_> = connection.prepare_cached(sql)?;
    Ok(statement.query_row(values, read).optional()?)
}

/// All rows.
pub(super) fn all<T>(
    connection: &Connection,
    sql: &str,
    values: impl Params,
    mut read: impl FnMut(&Row<'_>) -> Outcome<T>,
) -> Outcome<Vec<T>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(values)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

/// A time from its column.
pub(super) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    row.get(column).map(Timestamp::from_millis)
}

/// A time that may be missing.
pub(super) fn time_if_any(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_millis))
}
