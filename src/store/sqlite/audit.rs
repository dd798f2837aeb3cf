//! The audit log, read and recomputed.

use super::{
    fault::Outcome,
    step::{Ledger, all, time},
};
use crate::store::{AuditHead, AuditQuery, AuditRecord, AuditVerdict};
use rusqlite::{Connection, Row};

/// How many records are checked at one look.
const PIECE: u32 = 1_000;

pub(super) fn list(connection: &Connection, query: &AuditQuery) -> Outcome<Vec<AuditRecord>> {
    let sql = "SELECT seq, at, actor, action, subject, detail, prev_hash, hash FROM audit
         WHERE seq > ?1 ORDER BY seq LIMIT ?2";
    all(connection, sql, (query.after, query.limit), read)
}

fn read(row: &Row<'_>) -> Outcome<AuditRecord> {
    Ok(AuditRecord {
        seq: row.get(0)?,
        at: time(row, 1)?,
        actor: row.get(2)?,
        action: row.get(3)?,
        subject: row.get(4)?,
        detail: row.get(5)?,
        prev_hash: row.get(6)?,
        hash: row.get(7)?,
    })
}

pub(super) fn head(connection: &Connection) -> Outcome<AuditHead> {
    Ok(Ledger::load(connection)?.head)
}

/// How far a check has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Check {
    /// The chain up to here is whole.
    head: AuditHead,
    pub(super) verdict: Option<AuditVerdict>,
}

/// Checks the next piece. The end is compared with the head that is kept apart from the records.
pub(super) fn verify_some(connection: &Connection, check: Check) -> Outcome<Check> {
    // From the very first row there is: one put before number 1 is as wrong as one put between.
    let after = if check.head.seq == 0 { i64::MIN } else { check.head.seq };
    let records = list(connection, &AuditQuery { after, limit: PIECE, ..AuditQuery::default() })?;
    let end = records.len() < PIECE as usize;
    let mut whole = check.head;
    for record in records {
        let follows = record.seq == whole.seq + 1 && record.prev_hash == whole.hash;
        if !follows || record.computed_hash() != record.hash {
            return Ok(broken(whole.seq + 1));
        }
        whole = record.head();
    }
    if !end {
        return Ok(Check { head: whole, verdict: None });
    }
    let head = head(connection)?;
    Ok(if head == whole {
        Check { head, verdict: Some(AuditVerdict::Intact(head)) }
    } else {
        broken(whole.seq.min(head.seq) + 1)
    })
}

fn broken(seq: i64) -> Check {
    Check { head: AuditHead::default(), verdict: Some(AuditVerdict::Broken { seq }) }
}
