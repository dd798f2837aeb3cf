//! Certificates of ours that were issued after the copy was made that this store came from.

use super::{
    fault::{Fault, Outcome},
    issue::{self, CLOCK_TOLERANCE_MS, Leaf},
    list, recovery,
    step::{Step, one},
};
use crate::{
    identity::{Fingerprint, Timestamp},
    store::{AdoptOutcome, AdoptRefusal, IssuanceRecord, SignedCertificate, Stamp},
};
use rusqlite::Connection;
use serde_json::json;

pub(super) fn adopt(
    step: &mut Step<'_>,
    certificate: &SignedCertificate,
    stamp: &Stamp,
) -> Outcome<AdoptOutcome> {
    let record = &certificate.record;
    let fingerprint = Fingerprint::of_certificate(&certificate.der);
    if let Some(row) = list::by_fingerprint(step.connection(), fingerprint, stamp.at)? {
        return Ok(AdoptOutcome::Known(Box::new(row)));
    }
    let (issuer, identity) = match admit(step, record, stamp.at)? {
        Ok(admitted) => admitted,
        Err(refusal) => return Ok(AdoptOutcome::Refused(refusal)),
    };
    let identity = match identity {
        Some(identity) => identity,
        None => issue::new_identity(step, &record.spiffe_id)?,
    };
    for name in &record.owned_names {
        if issue::name_owner(step.connection(), name)?.is_none() {
            issue::claim_name(step, name, record, stamp)?;
        }
    }
    issue::insert_leaf(
        step,
        certificate,
        fingerprint,
        &Leaf { identity, issuer, at: stamp.at, adopted: true },
    )?;
    let detail = json!({
        "serial": record.serial.to_string(), "spki": record.spki.to_string(),
        "fingerprint": fingerprint.to_string(), "issuer": record.issuer.to_string(),
    });
    step.audit(stamp, "certificate.adopted", &record.spiffe_id, detail.to_string())?;
    let row = list::by_fingerprint(step.connection(), fingerprint, stamp.at)?;
    let row = row.ok_or_else(|| Fault::Row("the certificate that was just adopted is missing".to_owned()))?;
    Ok(AdoptOutcome::Adopted(Box::new(row)))
}

/// The issuer's number, and the identity's if it has one; or what speaks against it.
type Admitted = Result<(i64, Option<i64>), AdoptRefusal>;

fn admit(step: &Step<'_>, record: &IssuanceRecord, at: Timestamp) -> Outcome<Admitted> {
    let connection = step.connection();
    let window = recovery::last(connection)?.map(|restoration| restoration.window(at));
    if !window.is_some_and(|window| window.contains(&record.not_before)) {
        return Ok(Err(AdoptRefusal::OutsideWindow));
    }
    if at.millis() < step.newest() - CLOCK_TOLERANCE_MS {
        return Ok(Err(AdoptRefusal::ClockBehind { newest: Timestamp::from_millis(step.newest()) }));
    }
    if record.not_after <= at {
        return Ok(Err(AdoptRefusal::Expired));
    }
    let standing = issue::standing(connection, &record.spiffe_id, record.spki, at)?;
    if let Some(denial) = standing.denial(connection, &record.spiffe_id)? {
        return Ok(Err(AdoptRefusal::Denied(denial)));
    }
    let Some(issuer) = issuer(connection, record, at)? else { return Ok(Err(AdoptRefusal::IssuerGone)) };
    let listed = "SELECT 1 FROM crl_entry WHERE ca = ?1 AND serial = ?2";
    if step.exists(listed, (issuer, record.serial.as_bytes()))? {
        return Ok(Err(AdoptRefusal::Revoked));
    }
    if step.exists("SELECT 1 FROM certificate_record WHERE serial = ?1", [record.serial.as_bytes()])? {
        return Ok(Err(AdoptRefusal::SerialTaken));
    }
    if let Some(refusal) = standing.key {
        return Ok(Err(AdoptRefusal::Key(refusal)));
    }
    for name in &record.owned_names {
        let owner = issue::name_owner(connection, name)?;
        if let Some(owner) = owner.filter(|owner| *owner != record.instance_id) {
            return Ok(Err(AdoptRefusal::NameTaken { name: name.clone(), owner }));
        }
    }
    Ok(Ok((issuer, standing.identity)))
}

/// The number of the CA that signed it, if it lives. It need not be the one that issues now.
fn issuer(connection: &Connection, record: &IssuanceRecord, at: Timestamp) -> Outcome<Option<i64>> {
    let sql = "SELECT ca.id FROM ca JOIN ca_key USING (role, generation)
         WHERE ca.ski = ?1 AND ca.serial = ?2 AND ca.not_after > ?3 AND ca.revoked_at IS NULL
             AND ca_key.state <> 'retired' AND ca.role <> 'root'";
    let values = (record.issuer.as_bytes(), record.issuer_serial.as_bytes(), at.millis());
    one(connection, sql, values, |row| row.get(0))
}
