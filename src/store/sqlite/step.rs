//! What steps work with inside the writer's transaction, and what the writer keeps in memory between commits.

use super::{fault::Outcome, list::MINUTE};
use crate::{
    identity::Timestamp,
    store::{AuditHead, AuditRecord, Stamp},
};
use rusqlite::{CachedStatement, Connection, OptionalExtension, Params, Row};
use std::collections::BTreeMap;

/// What every step moves on. Written once per commit, not once per step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ledger {
    pub(super) head: AuditHead,
    newest: i64,
    last_certificate: i64,
    /// By minute: how many more end-entity certificates in state 0 end in it.
    minutes: BTreeMap<i64, i64>,
    /// By CA: how many more certificates it has issued, and the latest expiry among them.
    issued: BTreeMap<i64, (i64, i64)>,
}

impl Ledger {
    pub(super) fn load(connection: &Connection) -> Outcome<Self> {
        let sql = "SELECT audit_seq, audit_hash, newest_time, last_certificate FROM deployment";
        let ledger = connection.prepare_cached(sql)?.query_row([], |row| {
            Ok(Self {
                head: AuditHead { seq: row.get(0)?, hash: row.get(1)? },
                newest: row.get(2)?,
                last_certificate: row.get(3)?,
                ..Self::default()
            })
        })?;
        Ok(ledger)
    }
}

/// What steps work on: the database inside the writer's transaction, and the ledger.
pub(super) struct Step<'c> {
    connection: &'c Connection,
    ledger: Ledger,
    ends_credentials: bool,
}

impl<'c> Step<'c> {
    pub(super) fn new(connection: &'c Connection, ledger: Ledger) -> Self {
        Self { connection, ledger, ends_credentials: false }
    }

    /// Says that something ends which a credential rests on, so that whoever has checked one checks again. Stays said
    /// when the step is rolled back: once too often costs a look-up.
    pub(super) fn end_credentials(&mut self) {
        self.ends_credentials = true;
    }

    /// Whether any of the steps so far has said so.
    pub(super) fn ends_credentials(&self) -> bool {
        self.ends_credentials
    }

    pub(super) fn connection(&self) -> &'c Connection {
        self.connection
    }

    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Puts the ledger back to where it stood before a step that was rolled back.
    pub(super) fn set_ledger(&mut self, ledger: Ledger) {
        self.ledger = ledger;
    }

    /// Writes the ledger down, if it has moved on from `before`, and answers it.
    pub(super) fn finish(&mut self, before: &Ledger) -> Outcome<Ledger> {
        self.settle()?;
        let ledger = &self.ledger;
        if ledger != before {
            self.execute(
                "UPDATE deployment SET audit_seq = ?1, audit_hash = ?2, newest_time = ?3, last_certificate = ?4",
                (ledger.head.seq, ledger.head.hash, ledger.newest, ledger.last_certificate),
            )?;
        }
        Ok(std::mem::take(&mut self.ledger))
    }

    /// Brings the counters in the database up to date, for a step that reads them and before the commit.
    pub(super) fn settle(&mut self) -> Outcome<()> {
        for (minute, more) in std::mem::take(&mut self.ledger.minutes) {
            self.execute(
                "INSERT INTO expiry_minute (minute, active) VALUES (?1, ?2)
                 ON CONFLICT (minute) DO UPDATE SET active = active + ?2",
                (minute, more),
            )?;
        }
        for (ca, (more, last_expiry)) in std::mem::take(&mut self.ledger.issued) {
            self.execute(
                "UPDATE ca_count SET issued = issued + ?2, last_expiry = max(last_expiry, ?3) WHERE ca = ?1",
                (ca, more, last_expiry),
            )?;
        }
        Ok(())
    }

    /// `more` end-entity certificates in state 0 (or fewer) end at `not_after`.
    pub(super) fn count_active(&mut self, not_after: i64, more: i64) {
        *self.ledger.minutes.entry(not_after.div_euclid(MINUTE)).or_default() += more;
    }

    /// One certificate more of this CA.
    pub(super) fn count_issued(&mut self, ca: i64, not_after: i64) {
        let (issued, last_expiry) = self.ledger.issued.entry(ca).or_default();
        *issued += 1;
        *last_expiry = not_after.max(*last_expiry);
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
