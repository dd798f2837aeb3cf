//! CRLs: their lines, numbers and revisions, and the keys that are blocked for ever.

use super::{
    ca::key_id,
    fault::{Fault, Outcome, conflict, not_found},
    key::serial_of,
    step::{Step, all, time},
};
use crate::{
    identity::{KeyId, Timestamp},
    store::{CrlEntry, CrlPublication, CrlReservation, CrlRow, RevocationReason, Stamp},
};
use rusqlite::{Connection, Row};

/// A certificate on its way onto a CRL.
pub(super) struct Line {
    pub(super) serial: [u8; 16],
    pub(super) reason: RevocationReason,
    pub(super) not_after: i64,
    pub(super) revision: i64,
}

/// Writes a line; one that stands there already changes its reason and keeps its date.
pub(super) fn put(step: &Step<'_>, ca: i64, line: &Line, at: Timestamp) -> Outcome<()> {
    step.execute(
        "INSERT INTO crl_entry (ca, serial, revoked_at, reason, not_after, revision)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (ca, serial) DO UPDATE SET reason = ?4, revision = ?6",
        (ca, line.serial, at.millis(), line.reason.code(), line.not_after, line.revision),
    )?;
    Ok(())
}

/// The list of this CA changes: answers the revision that has the change.
pub(super) fn raise_revision(step: &Step<'_>, ca: i64) -> Outcome<i64> {
    let sql = "UPDATE crl SET revision = revision + 1 WHERE ca = ?1 RETURNING revision";
    let revision = step.one(sql, [ca], |row| row.get(0))?;
    revision.ok_or_else(|| Fault::Row(format!("the CA number {ca} has no row in crl")))
}

pub(super) fn block_key(step: &Step<'_>, spki: [u8; 32], serial: [u8; 16], at: Timestamp) -> Outcome<()> {
    step.execute(
        "INSERT INTO blocked_key (spki_hash, serial, blocked_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        (spki, serial, at.millis()),
    )?;
    Ok(())
}

/// What the steps below decide by.
struct Known {
    ca: i64,
    reserved_number: i64,
    revision: i64,
    published_number: Option<i64>,
    der: Option<Vec<u8>>,
}

fn required(step: &Step<'_>, issuer: KeyId) -> Outcome<Known> {
    let sql = "SELECT crl.ca, reserved_number, revision, published_number, crl.der
         FROM crl JOIN ca ON ca.id = crl.ca WHERE ca.ski = ?1";
    let found = step.one(sql, [issuer.as_bytes()], |row| {
        Ok(Known {
            ca: row.get(0)?,
            reserved_number: row.get(1)?,
            revision: row.get(2)?,
            published_number: row.get(3)?,
            der: row.get(4)?,
        })
    })?;
    match found {
        Some(crl) => Ok(crl),
        None => not_found(format!("there is no CA with the key identifier {issuer}")),
    }
}

pub(super) fn reserve(step: &mut Step<'_>, issuer: KeyId, stamp: &Stamp) -> Outcome<CrlReservation> {
    let crl = required(step, issuer)?;
    let number = (crl.reserved_number + 1).max(stamp.at.seconds());
    step.execute("UPDATE crl SET reserved_number = ?2 WHERE ca = ?1", (crl.ca, number))?;
    step.execute(
        "INSERT INTO crl_reservation (ca, number, revision) VALUES (?1, ?2, ?3)",
        (crl.ca, number, crl.revision),
    )?;
    let entries = all(
        step.connection(),
        "SELECT serial, revoked_at, reason FROM crl_entry WHERE ca = ?1 ORDER BY serial",
        [crl.ca],
        entry,
    )?;
    let detail = format!(r#"{{"number":{number},"entries":{}}}"#, entries.len());
    step.audit(stamp, "crl.reserved", issuer, detail)?;
    Ok(CrlReservation { issuer, number, revision: crl.revision, entries })
}

fn entry(row: &Row<'_>) -> Outcome<CrlEntry> {
    let code: u8 = row.get(2)?;
    Ok(CrlEntry {
        serial: serial_of(row.get(0)?)?,
        revoked_at: time(row, 1)?,
        reason: RevocationReason::from_code(code)
            .ok_or_else(|| Fault::Row(format!("crl_entry.reason {code}")))?,
    })
}

pub(super) fn publish(step: &mut Step<'_>, crl: &CrlPublication, stamp: &Stamp) -> Outcome<bool> {
    let known = required(step, crl.issuer)?;
    match known.published_number {
        Some(published) if published > crl.number => return Ok(false),
        Some(published) if published == crl.number => {
            return if known.der.as_deref() == Some(&crl.der) {
                Ok(true)
            } else {
                conflict(format!("another CRL {} of {} is published already", crl.number, crl.issuer))
            };
        }
        _ => {}
    }
    let reserved = "SELECT 1 FROM crl_reservation WHERE ca = ?1 AND number = ?2 AND revision = ?3";
    if !step.exists(reserved, (known.ca, crl.number, crl.revision))? {
        return conflict(format!(
            "the number {} (revision {}) was not reserved for a CRL of {}",
            crl.number, crl.revision, crl.issuer
        ));
    }
    step.execute(
        "UPDATE crl SET published_number = ?2, published_revision = ?3, this_update = ?4, next_update = ?5,
             der = ?6 WHERE ca = ?1",
        (known.ca, crl.number, crl.revision, crl.this_update.millis(), crl.next_update.millis(), &crl.der),
    )?;
    step.execute("DELETE FROM crl_reservation WHERE ca = ?1 AND number <= ?2", (known.ca, crl.number))?;
    // Only lines that this very CRL has: one added since its reservation has not stood anywhere yet.
    step.execute(
        "DELETE FROM crl_entry WHERE ca = ?1 AND not_after < ?2 AND revision <= ?3",
        (known.ca, crl.this_update.millis(), crl.revision),
    )?;
    step.audit(stamp, "crl.published", crl.issuer, format!(r#"{{"number":{}}}"#, crl.number))?;
    Ok(true)
}

pub(super) fn list(connection: &Connection) -> Outcome<Vec<CrlRow>> {
    let sql = "SELECT ca.ski, crl.revision > crl.published_revision, published_number, published_revision,
             this_update, next_update, crl.der
         FROM crl JOIN ca ON ca.id = crl.ca ORDER BY ca.id";
    all(connection, sql, (), |row| {
        let issuer = key_id(row, 0)?;
        let number: Option<i64> = row.get(2)?;
        let published = match number {
            Some(number) => Some(CrlPublication {
                issuer,
                number,
                revision: row.get(3)?,
                this_update: time(row, 4)?,
                next_update: time(row, 5)?,
                der: row.get(6)?,
            }),
            None => None,
        };
        Ok(CrlRow { issuer, published, pending: row.get(1)? })
    })
}
