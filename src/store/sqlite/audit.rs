//! The audit log: searched, recomputed, sealed.

use super::{
    fault::{Outcome, conflict},
    step::{Ledger, Step, all, one, time},
};
use crate::{
    identity::Timestamp,
    store::{AuditEntry, AuditHead, AuditQuery, AuditRecord, AuditVerdict, Stamp},
};
use rusqlite::{Connection, Row, named_params};
use serde_json::json;

/// How many records are checked at one look.
const PIECE: u32 = 1_000;
/// How many records a search goes through at one look.
const STRETCH: i64 = 20_000;
/// How many records one step drops at most.
const SEALED_AT_ONCE: i64 = 5_000;

const COLUMNS: &str = "seq, at, actor, action, subject, detail, prev_hash, hash FROM audit";

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

/// The last record that was sealed and dropped.
pub(super) fn base(connection: &Connection) -> Outcome<AuditHead> {
    let sql = "SELECT last_seq, last_hash FROM audit_file ORDER BY last_seq DESC LIMIT 1";
    let last = one(connection, sql, (), |row| Ok(AuditHead { seq: row.get(0)?, hash: row.get(1)? }))?;
    Ok(last.unwrap_or_default())
}

/// How far a search has come.
#[derive(Debug)]
pub(super) struct Search {
    query: AuditQuery,
    pub(super) found: Vec<AuditRecord>,
    pub(super) done: bool,
}

impl Search {
    pub(super) fn new(query: AuditQuery) -> Self {
        Self { query, found: Vec::new(), done: false }
    }
}

/// Goes through the next stretch of the log. No index helps a filter: each would cost every step that writes a record.
pub(super) fn search_some(connection: &Connection, mut search: Search) -> Outcome<Search> {
    let query = &search.query;
    let after = query.after.max(base(connection)?.seq);
    let until = after.saturating_add(STRETCH);
    let action = query.action.as_deref();
    let (exact, beginning) =
        if action.is_some_and(|action| action.ends_with('.')) { (None, action) } else { (action, None) };
    let sql = format!(
        "SELECT {COLUMNS} WHERE seq > :after AND seq <= :until
             AND (:action IS NULL OR action = :action)
             AND (:beginning IS NULL OR substr(action, 1, length(:beginning)) = :beginning)
             AND (:actor IS NULL OR actor = :actor)
             AND (:subject IS NULL OR subject = :subject)
             AND (:at_or_after IS NULL OR at >= :at_or_after)
             AND (:before IS NULL OR at < :before)
         ORDER BY seq LIMIT :limit"
    );
    let values = named_params! {
        ":after": after,
        ":until": until,
        ":action": exact,
        ":beginning": beginning,
        ":actor": query.actor,
        ":subject": query.subject,
        ":at_or_after": query.since.map(Timestamp::millis),
        ":before": query.until.map(Timestamp::millis),
        ":limit": query.limit,
    };
    let found = all(connection, &sql, values, read)?;
    search.query.limit = search.query.limit.saturating_sub(u32::try_from(found.len()).unwrap_or(u32::MAX));
    search.query.after = until;
    search.found.extend(found);
    search.done = search.query.limit == 0 || until >= head(connection)?.seq;
    Ok(search)
}

/// How far a check has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Check {
    /// The chain up to here is whole; `None` before the first look.
    whole: Option<AuditHead>,
    pub(super) verdict: Option<AuditVerdict>,
}

/// Checks the next piece. The end is compared with the head that is kept apart from the records.
pub(super) fn verify_some(connection: &Connection, check: Check) -> Outcome<Check> {
    let base = base(connection)?;
    // Records that were sealed since the last look were whole when they were, or the sealed file shows it.
    let mut whole = check.whole.filter(|whole| whole.seq >= base.seq).unwrap_or(base);
    // From the very first row there is: one put before the first number is as wrong as one put between.
    let after = if check.whole.is_none() { i64::MIN } else { whole.seq };
    let sql = format!("SELECT {COLUMNS} WHERE seq > ?1 ORDER BY seq LIMIT ?2");
    let records = all(connection, &sql, (after, PIECE), read)?;
    let end = records.len() < PIECE as usize;
    for record in records {
        let follows = record.seq == whole.seq + 1 && record.prev_hash == whole.hash;
        if !follows || record.computed_hash() != record.hash {
            return Ok(broken(whole.seq + 1));
        }
        whole = record.head();
    }
    if !end {
        return Ok(Check { whole: Some(whole), verdict: None });
    }
    let head = head(connection)?;
    Ok(if head == whole {
        Check { whole: Some(head), verdict: Some(AuditVerdict::Intact(head)) }
    } else {
        broken(whole.seq.min(head.seq) + 1)
    })
}

fn broken(seq: i64) -> Check {
    Check { whole: None, verdict: Some(AuditVerdict::Broken { seq }) }
}

pub(super) fn append(step: &mut Step<'_>, entries: &[AuditEntry], stamp: &Stamp) -> Outcome<()> {
    for entry in entries {
        step.audit(stamp, &entry.action, &entry.subject, entry.detail.clone())?;
    }
    Ok(())
}

pub(super) fn drop_sealed(step: &mut Step<'_>, sealed: AuditHead, name: &str, stamp: &Stamp) -> Outcome<()> {
    let before = "SELECT 1 FROM audit_file WHERE last_seq = ?1 AND last_hash = ?2 AND name = ?3";
    if step.exists(before, (sealed.seq, sealed.hash, name))? {
        return Ok(());
    }
    let base = base(step.connection())?;
    if !step.exists("SELECT 1 FROM audit WHERE seq = ?1 AND hash = ?2", (sealed.seq, sealed.hash))? {
        return conflict(format!(
            "the last record of {name}, number {}, is not a record of this audit log, which begins after number {}: keep the file and run `catalyst audit verify`",
            sealed.seq, base.seq
        ));
    }
    if sealed.seq - base.seq > SEALED_AT_ONCE {
        return conflict(format!(
            "{name} has the audit records {} to {}: seal at most {SEALED_AT_ONCE} at once",
            base.seq + 1,
            sealed.seq
        ));
    }
    step.execute("DELETE FROM audit WHERE seq <= ?1", [sealed.seq])?;
    step.execute(
        "INSERT INTO audit_file (last_seq, last_hash, first_seq, name, dropped_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        (sealed.seq, sealed.hash, base.seq + 1, name, stamp.at.millis()),
    )?;
    let hash: String = sealed.hash.iter().map(|octet| format!("{octet:02x}")).collect();
    let detail = json!({"from": base.seq + 1, "to": sealed.seq, "hash": hash});
    step.audit(stamp, "audit.sealed", name, detail.to_string())
}
