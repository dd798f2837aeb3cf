//! A CRL that is newer than the store: what it takes away is taken away here too.

use super::{
    ca, crl, deny,
    fault::{Fault, Outcome},
    list::state,
    step::{Step, all},
};
use crate::{
    identity::{KeyId, SpiffeId, Timestamp, Ttl},
    store::{CrlEntry, NewerCrl, Restored, RevocationReason, Stamp},
};

/// The CA as far as its CRL goes.
struct Known {
    id: i64,
    is_root: bool,
    not_after: i64,
    published: Option<i64>,
}

/// Merges a CRL of one of the store's CAs, if it is newer than the published one. The next number is above its number,
/// and it is served until the service signs one of its own.
pub(super) fn newer_crl(
    step: &mut Step<'_>,
    newer: &NewerCrl,
    stamp: &Stamp,
    restored: &mut Restored,
) -> Outcome<()> {
    let Some(known) = known(step, newer.issuer)? else {
        restored.notes.push(format!("the CRL {} is of no CA of this store", newer.number));
        return Ok(());
    };
    if let Some(published) = known.published.filter(|published| *published >= newer.number) {
        restored.notes.push(format!(
            "the CRL {} of the CA {} is not newer than the backup's, {published}: nothing was taken from it",
            newer.number, newer.issuer
        ));
        return Ok(());
    }
    publish(step, &known, newer, stamp.at)?;
    // After what was published: the service signs a list of its own.
    let revision = crl::raise_revision(step, known.id)?;
    for entry in &newer.entries {
        restored.revoked += u64::from(merge(step, &known, newer, entry, revision, stamp, restored)?);
    }
    restored.crls += 1;
    Ok(())
}

fn known(step: &Step<'_>, issuer: KeyId) -> Outcome<Option<Known>> {
    let sql = "SELECT ca.id, ca.role = 'root', ca.not_after, crl.published_number
         FROM ca JOIN crl ON crl.ca = ca.id WHERE ca.ski = ?1";
    step.one(sql, [issuer.as_bytes()], |row| {
        Ok(Known { id: row.get(0)?, is_root: row.get(1)?, not_after: row.get(2)?, published: row.get(3)? })
    })
}

fn publish(step: &Step<'_>, known: &Known, newer: &NewerCrl, at: Timestamp) -> Outcome<()> {
    let sql = "UPDATE crl SET reserved_number = max(reserved_number, ?2) WHERE ca = ?1";
    step.execute(sql, (known.id, newer.number))?;
    step.execute("DELETE FROM crl_reservation WHERE ca = ?1 AND number <= ?2", (known.id, newer.number))?;
    if newer.next_update > at {
        step.execute(
            "UPDATE crl SET published_number = ?2, published_revision = revision, this_update = ?3,
                 next_update = ?4, der = ?5 WHERE ca = ?1",
            (known.id, newer.number, newer.this_update.millis(), newer.next_update.millis(), &newer.der),
        )?;
    }
    Ok(())
}

/// A certificate of the store, as a CRL speaks of it.
struct Row {
    issuer: i64,
    state: i64,
    not_after: i64,
    /// `None` for a CA's.
    spiffe_id: Option<String>,
    ca: Option<KeyId>,
}

/// Answers whether the line takes something away.
fn merge(
    step: &mut Step<'_>,
    known: &Known,
    newer: &NewerCrl,
    entry: &CrlEntry,
    revision: i64,
    stamp: &Stamp,
    restored: &mut Restored,
) -> Outcome<bool> {
    let row = row(step, entry)?.filter(|row| row.issuer == known.id);
    // A CRL does not say when a certificate ends that the store does not know: no later than one that was issued now.
    let latest = stamp.at.plus_seconds(Ttl::MAX.seconds()).millis().min(known.not_after);
    let unknown_ends = if known.is_root { known.not_after } else { latest };
    let not_after = row.as_ref().map_or(unknown_ends, |row| row.not_after);
    let is_new = put(step, known.id, entry, not_after, revision, stamp.at)?;
    let Some(row) = row else { return Ok(is_new) };
    match (row.spiffe_id, row.ca) {
        (None, Some(ski)) if row.state != state::REVOKED => ca::revoke(step, ski, entry.reason, stamp)?,
        (Some(spiffe_id), _) if row.state < wanted(entry.reason) => {
            withdraw(step, &spiffe_id, newer, entry, stamp, restored)?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn wanted(reason: RevocationReason) -> i64 {
    match reason {
        RevocationReason::CertificateHold => state::HELD,
        _ => state::REVOKED,
    }
}

/// A hold comes with its identity's denial alone.
fn withdraw(
    step: &mut Step<'_>,
    spiffe_id: &str,
    newer: &NewerCrl,
    entry: &CrlEntry,
    stamp: &Stamp,
    restored: &mut Restored,
) -> Outcome<()> {
    if entry.reason != RevocationReason::CertificateHold {
        deny::revoke_certificate(step, entry.serial, entry.reason, stamp)?;
        return Ok(());
    }
    let spiffe_id: SpiffeId = spiffe_id.parse().map_err(|_| Fault::Row(format!("identity '{spiffe_id}'")))?;
    let is_new = deny::get(step.connection(), &spiffe_id)?.is_none();
    let reason = format!("on hold on the CRL {} that the store was restored with", newer.number);
    deny::deny(step, &spiffe_id, &reason, false, stamp)?;
    restored.denied += u64::from(is_new);
    Ok(())
}

/// Writes the line with its date, unless one stands there that says as much; answers whether it was written.
fn put(
    step: &Step<'_>,
    ca: i64,
    entry: &CrlEntry,
    not_after: i64,
    revision: i64,
    at: Timestamp,
) -> Outcome<bool> {
    let (serial, reason) = (*entry.serial.as_bytes(), entry.reason);
    let sql = "UPDATE crl_entry SET revoked_at = min(revoked_at, ?3)
         WHERE ca = ?1 AND serial = ?2 AND (reason <> 6 OR ?4 = 6)";
    let stands = step.execute(sql, (ca, serial, entry.revoked_at.millis(), reason.code()))? > 0;
    if stands || not_after <= at.millis() {
        return Ok(false);
    }
    crl::put(step, ca, &crl::Line { serial, reason, not_after, revision }, entry.revoked_at)?;
    Ok(true)
}

fn row(step: &Step<'_>, entry: &CrlEntry) -> Outcome<Option<Row>> {
    let sql = "SELECT c.issuer, c.state, c.not_after, i.spiffe_id, a.ski FROM certificate_record AS c
         LEFT JOIN identity AS i ON i.id = c.identity LEFT JOIN ca AS a ON a.serial = c.serial WHERE c.serial = ?1";
    let read = |row: &rusqlite::Row<'_>| {
        let ski: Option<[u8; 20]> = row.get(4)?;
        Ok(Row {
            issuer: row.get(0)?,
            state: row.get(1)?,
            not_after: row.get(2)?,
            spiffe_id: row.get(3)?,
            ca: ski.map(KeyId::from),
        })
    };
    Ok(all(step.connection(), sql, [entry.serial.as_bytes()], read)?.pop())
}
