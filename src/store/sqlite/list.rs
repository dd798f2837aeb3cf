//! Certificates as rows: lists, look-ups, counts, and the purge.

use super::{
    fault::{Fault, Outcome},
    key::serial_of,
    step::{Step, all, one, time},
};
use crate::{
    identity::{Fingerprint, Serial, Timestamp},
    store::{CertificateQuery, CertificateRow, CertificateStatus, Stamp, Summary},
};
use rusqlite::{Connection, Row, named_params};

/// The span that `expiry_minute` counts by, in ms.
pub(super) const MINUTE: i64 = 60_000;

/// `certificate_record.state`
pub(super) mod state {
    pub(in super::super) const ACTIVE: i64 = 0;
    pub(in super::super) const HELD: i64 = 1;
    pub(in super::super) const REVOKED: i64 = 2;
}

const ROWS: &str =
    "SELECT c.id, c.serial, c.fingerprint, c.type, c.common_name, i.spiffe_id, c.certificate_pem,
     a.serial, c.not_before, c.not_after, c.state, c.created_at, c.adopted
 FROM certificate_record AS c JOIN ca AS a ON a.id = c.issuer LEFT JOIN identity AS i ON i.id = c.identity";

fn read(row: &Row<'_>, at: Timestamp) -> Outcome<CertificateRow> {
    let fingerprint: String = row.get(2)?;
    let spiffe_id: Option<String> = row.get(5)?;
    let spiffe_id = spiffe_id.map(|text| text.parse()).transpose();
    let not_after = time(row, 9)?;
    Ok(CertificateRow {
        id: row.get(0)?,
        serial: serial_of(row.get(1)?)?,
        fingerprint: fingerprint.parse().map_err(|_| Fault::Row(format!("fingerprint '{fingerprint}'")))?,
        certificate_type: row.get(3)?,
        common_name: row.get(4)?,
        spiffe_id: spiffe_id.map_err(|error| Fault::Row(format!("identity.spiffe_id: {error}")))?,
        certificate_pem: row.get(6)?,
        issuer_serial: serial_of(row.get(7)?)?,
        not_before: time(row, 8)?,
        not_after,
        status: status(row.get(10)?, not_after, at),
        created_at: time(row, 11)?,
        adopted: row.get(12)?,
    })
}

/// As in the view `certificate`: what was revoked stays so beyond its end, so that lists keep showing it.
fn status(state: i64, not_after: Timestamp, at: Timestamp) -> CertificateStatus {
    match state {
        state::REVOKED => CertificateStatus::Revoked,
        _ if not_after <= at => CertificateStatus::Expired,
        state::HELD => CertificateStatus::Held,
        _ => CertificateStatus::Active,
    }
}

pub(super) fn by_serial(
    connection: &Connection,
    serial: Serial,
    at: Timestamp,
) -> Outcome<Option<CertificateRow>> {
    let sql = format!("{ROWS} WHERE c.serial = ?1");
    Ok(all(connection, &sql, [serial.as_bytes()], |row| read(row, at))?.pop())
}

pub(super) fn by_fingerprint(
    connection: &Connection,
    fingerprint: Fingerprint,
    at: Timestamp,
) -> Outcome<Option<CertificateRow>> {
    let sql = format!("{ROWS} WHERE substr(c.fingerprint, 1, 11) = substr(?1, 1, 11) AND c.fingerprint = ?1");
    Ok(all(connection, &sql, [fingerprint.to_string()], |row| read(row, at))?.pop())
}

pub(super) fn certificates(
    connection: &Connection,
    query: &CertificateQuery,
    at: Timestamp,
) -> Outcome<Vec<CertificateRow>> {
    let by_end = query.spiffe_id.is_none() && query.status == Some(CertificateStatus::Expired);
    let (page, order, moment) = if by_end {
        // If the last row of the page before was purged, so were those that had ended before it.
        let Some(ended_by) = ended_by(connection, query.before, at)? else { return Ok(Vec::new()) };
        (ENDED.to_owned(), "c.not_after DESC, c.id DESC", ended_by)
    } else {
        (page(query), "c.id DESC", at.millis())
    };
    let sql = format!("{ROWS} WHERE c.id IN ({page}) ORDER BY {order}");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(named_params! {
        ":before": query.before.unwrap_or(i64::MAX),
        ":limit": query.limit,
        ":at": moment,
        ":spiffe_id": query.spiffe_id.as_ref().map(|id| id.as_str()),
    })?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row, at)?);
    }
    Ok(found)
}

/// The numbers of the rows of a page of expired ones, which the index has in the order of their ends: by number, all of
/// them would have to be sorted for each page. `:at` is the end of the last row of the page before.
const ENDED: &str = "SELECT id FROM certificate_record INDEXED BY certificate_by_expiry
     WHERE :spiffe_id IS NULL AND state < 2 AND not_after <= :at AND (not_after < :at OR id < :before)
     ORDER BY not_after DESC, id DESC LIMIT :limit";

/// Where a page of expired ones begins; `None` when the row that it follows is gone.
fn ended_by(connection: &Connection, before: Option<i64>, at: Timestamp) -> Outcome<Option<i64>> {
    let Some(before) = before else { return Ok(Some(at.millis())) };
    one(connection, "SELECT not_after FROM certificate_record WHERE id = ?1", [before], |row| row.get(0))
}

/// The numbers of the rows of a page. Where something is filtered, an index is named that holds all the filter
/// asks for: left to itself, SQLite would walk the table for the sake of its order.
fn page(query: &CertificateQuery) -> String {
    let status = match query.status {
        None => "(:at IS NOT NULL)",
        Some(CertificateStatus::Active) => "state = 0 AND not_after > :at",
        Some(CertificateStatus::Held) => "state > 0 AND state = 1 AND not_after > :at",
        Some(CertificateStatus::Revoked) => "state > 0 AND state = 2 AND :at IS NOT NULL",
        Some(CertificateStatus::Expired) => "state < 2 AND not_after <= :at",
    };
    let (index, identity) = match (&query.spiffe_id, query.status) {
        (Some(_), _) => (
            "INDEXED BY certificate_by_identity",
            "identity = (SELECT id FROM identity WHERE spiffe_id = :spiffe_id)",
        ),
        (None, None) => ("", ":spiffe_id IS NULL"),
        (None, Some(CertificateStatus::Active | CertificateStatus::Expired)) => {
            ("INDEXED BY certificate_by_expiry", ":spiffe_id IS NULL")
        }
        (None, Some(CertificateStatus::Held | CertificateStatus::Revoked)) => {
            ("INDEXED BY certificate_by_state", ":spiffe_id IS NULL")
        }
    };
    format!(
        "SELECT id FROM certificate_record {index} WHERE {identity} AND {status} AND id < :before
         ORDER BY id DESC LIMIT :limit"
    )
}

pub(super) fn summary(connection: &Connection, at: Timestamp) -> Outcome<Summary> {
    // Whole minutes are counted already; of the minute that is running, rows are looked at.
    let sql = "SELECT (SELECT coalesce(sum(active), 0) FROM expiry_minute WHERE minute > ?2)
         + (SELECT count(*) FROM certificate_record INDEXED BY certificate_by_expiry
            WHERE not_after > ?1 AND not_after < (?2 + 1) * ?3 AND state = 0 AND identity IS NOT NULL),
         (SELECT count(*) FROM denied_identity)";
    let values = (at.millis(), at.millis().div_euclid(MINUTE), MINUTE);
    let counted: Option<(i64, i64)> = one(connection, sql, values, |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (active, denied) = counted.unwrap_or_default();
    Ok(Summary { active_certificates: active.unsigned_abs(), denied_identities: denied.unsigned_abs() })
}

pub(super) fn purge_expired(
    step: &mut Step<'_>,
    before: Timestamp,
    limit: u32,
    stamp: &Stamp,
) -> Outcome<u64> {
    let sql = "SELECT id, identity FROM certificate_record INDEXED BY certificate_by_expiry
         WHERE not_after < ?1 AND identity IS NOT NULL ORDER BY not_after LIMIT ?2";
    let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
    let expired = all(step.connection(), sql, (before.millis(), limit), read)?;
    for (id, _) in &expired {
        step.execute("DELETE FROM certificate_record WHERE id = ?1", [id])?;
    }
    for (_, identity) in &expired {
        step.execute(
            "DELETE FROM identity WHERE id = ?1
             AND NOT EXISTS (SELECT 1 FROM certificate_record WHERE identity = ?1)",
            [identity],
        )?;
    }
    let purged = expired.len();
    if purged > 0 {
        let minute = before.millis().div_euclid(MINUTE);
        step.execute("DELETE FROM expiry_minute WHERE minute < ?1", [minute])?;
        let detail = format!(r#"{{"count":{purged},"before":{}}}"#, before.millis());
        step.audit(stamp, "certificates.purged", "end-entity", detail)?;
    }
    Ok(purged as u64)
}
