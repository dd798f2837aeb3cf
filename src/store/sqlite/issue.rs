//! Issuance: what speaks against it, and the record that makes a certificate durable.

use super::{
    ca::count_issued,
    deny,
    fault::{Fault, Outcome, conflict},
    list::{MINUTE, state},
    step::{Step, one, time},
};
use crate::{
    identity::{DnsName, Fingerprint, InstanceId, Serial, SpiffeId, SpkiHash, Timestamp},
    store::{
        IssuanceLimit, IssuanceRecord, IssuedCertificate, KeyRefusal, Preflight, RecordOutcome,
        SignedCertificate, Stamp,
    },
};
use base64::{Engine, engine::general_purpose::STANDARD};
use rusqlite::{Connection, params};

/// How far the clock may be behind the newest recorded time.
const CLOCK_TOLERANCE_MS: i64 = 5 * 60 * 1000;

/// What the step decided. Nothing leaves it but through [`Decision::after_commit`].
#[derive(Debug)]
pub(super) enum Decision {
    Record(Box<SignedCertificate>, Fingerprint),
    Refuse(RecordOutcome),
}

impl Decision {
    /// The answer, once the commit has succeeded.
    pub(super) fn after_commit(self) -> RecordOutcome {
        match self {
            Self::Record(certificate, fingerprint) => {
                RecordOutcome::Recorded(Box::new(IssuedCertificate::committed(*certificate, fingerprint)))
            }
            Self::Refuse(outcome) => outcome,
        }
    }
}

pub(super) fn preflight(
    connection: &Connection,
    spiffe_id: &SpiffeId,
    spki: SpkiHash,
    names: &[DnsName],
    limit: Option<IssuanceLimit>,
    at: Timestamp,
) -> Outcome<Preflight> {
    let identity = identity_of(connection, spiffe_id)?;
    let newest = one(connection, "SELECT newest_time FROM deployment", (), |row| time(row, 0))?;
    let mut owners = Vec::new();
    for name in names {
        if let Some(owner) = name_owner(connection, name)? {
            owners.push((name.clone(), owner));
        }
    }
    Ok(Preflight {
        denied: deny::get(connection, spiffe_id)?,
        owners,
        key: key_refusal(connection, spki, identity, at)?,
        limit_reached: limit_reached(connection, identity, limit)?,
        newest: newest.filter(|newest| newest.millis() > 0),
    })
}

pub(super) fn record(
    step: &mut Step<'_>,
    certificate: SignedCertificate,
    stamp: &Stamp,
) -> Outcome<Decision> {
    let (issuer, identity) = match admit(step, &certificate.record, stamp)? {
        Ok(admitted) => admitted,
        Err(refusal) => return Ok(Decision::Refuse(refusal)),
    };
    let record = &certificate.record;
    let identity = match identity {
        Some(identity) => identity,
        None => new_identity(step, &record.spiffe_id)?,
    };
    claim_names(step, record, stamp)?;
    let fingerprint = Fingerprint::of_certificate(&certificate.der);
    insert_certificate(
        step,
        &Entry {
            identity: Some(identity),
            issuer,
            not_before: record.not_before,
            not_after: record.not_after,
            created_at: stamp.at,
            serial: record.serial,
            spki: record.spki,
            fingerprint,
            certificate_type: "end-entity",
            common_name: record.common_name.as_deref().unwrap_or_default(),
            der: &certificate.der,
        },
    )?;
    count_active(step, record.not_after.millis(), 1)?;
    count_issued(step, issuer, record.not_after.millis())?;
    // All values are hex, base64url or digits: nothing in them wants escaping.
    let detail = format!(
        r#"{{"serial":"{}","spki":"{}","fingerprint":"{fingerprint}","issuer":"{}"}}"#,
        record.serial, record.spki, record.issuer
    );
    step.audit(stamp, "certificate.issued", &record.spiffe_id, detail)?;
    Ok(Decision::Record(Box::new(certificate), fingerprint))
}

/// Everything that can refuse, before anything is written: the issuer's number and the identity's, if it has one.
fn admit(
    step: &Step<'_>,
    record: &IssuanceRecord,
    stamp: &Stamp,
) -> Outcome<Result<(i64, Option<i64>), RecordOutcome>> {
    let connection = step.connection();
    if stamp.at.millis() < step.newest() - CLOCK_TOLERANCE_MS {
        let newest = Timestamp::from_millis(step.newest());
        return Ok(Err(RecordOutcome::ClockBehind { newest }));
    }
    if let Some(denial) = deny::get(connection, &record.spiffe_id)? {
        return Ok(Err(RecordOutcome::Denied(denial)));
    }
    let Some(issuer) = issuer(connection, record, stamp.at)? else {
        return Ok(Err(RecordOutcome::IssuerGone));
    };
    let identity = identity_of(connection, &record.spiffe_id)?;
    if let Some(refusal) = key_refusal(connection, record.spki, identity, stamp.at)? {
        return Ok(Err(RecordOutcome::KeyRefused(refusal)));
    }
    for name in &record.owned_names {
        if let Some(owner) = name_owner(connection, name)?.filter(|owner| *owner != record.instance_id) {
            return Ok(Err(RecordOutcome::NameTaken { name: name.clone(), owner }));
        }
    }
    if let Some(oldest) = limit_reached(connection, identity, record.limit)? {
        return Ok(Err(RecordOutcome::LimitReached { oldest }));
    }
    Ok(Ok((issuer, identity)))
}

/// The number of the issuer, if it still issues.
fn issuer(connection: &Connection, record: &IssuanceRecord, at: Timestamp) -> Outcome<Option<i64>> {
    let sql = "SELECT ca.id, ca.serial FROM ca JOIN ca_key USING (role, generation)
         WHERE ca.ski = ?1 AND ca_key.state = 'active' AND ca.revoked_at IS NULL AND ca.not_after > ?2";
    let found: Option<(i64, [u8; 16])> =
        one(connection, sql, (record.issuer.as_bytes(), at.millis()), |row| Ok((row.get(0)?, row.get(1)?)))?;
    match found {
        Some((_, serial)) if serial != *record.issuer_serial.as_bytes() => conflict(format!(
            "the CA {} has another serial number than {}: its certificate was not issued here",
            record.issuer, record.issuer_serial
        )),
        found => Ok(found.map(|(id, _)| id)),
    }
}

/// The identity's number; `None` until it has had a certificate.
pub(super) fn identity_of(connection: &Connection, spiffe_id: &SpiffeId) -> Outcome<Option<i64>> {
    one(connection, "SELECT id FROM identity WHERE spiffe_id = ?1", [spiffe_id.as_str()], |row| row.get(0))
}

fn new_identity(step: &Step<'_>, spiffe_id: &SpiffeId) -> Outcome<i64> {
    step.execute("INSERT INTO identity (spiffe_id) VALUES (?1)", [spiffe_id.as_str()])?;
    Ok(step.connection().last_insert_rowid())
}

fn key_refusal(
    connection: &Connection,
    spki: SpkiHash,
    identity: Option<i64>,
    at: Timestamp,
) -> Outcome<Option<KeyRefusal>> {
    // Another identity's certificates are those under smaller and greater numbers: renewals of one's own key, which
    // may be many, are stepped over.
    let sql = "SELECT CASE
         WHEN EXISTS (SELECT 1 FROM ca_key WHERE spki_hash = ?1) THEN 1
         WHEN EXISTS (SELECT 1 FROM blocked_key WHERE spki_hash = ?1) THEN 2
         WHEN EXISTS (SELECT 1 FROM certificate_record WHERE substr(spki, 1, 8) = substr(?1, 1, 8)
             AND identity < ?2 AND not_after > ?3 AND spki = ?1) THEN 3
         WHEN EXISTS (SELECT 1 FROM certificate_record WHERE substr(spki, 1, 8) = substr(?1, 1, 8)
             AND identity > ?2 AND not_after > ?3 AND spki = ?1) THEN 3
         ELSE 0 END";
    let values = (spki.as_bytes(), identity.unwrap_or(-1), at.millis());
    let found: Option<i64> = one(connection, sql, values, |row| row.get(0))?;
    Ok(match found {
        Some(1) => Some(KeyRefusal::CaKey),
        Some(2) => Some(KeyRefusal::Revoked),
        Some(3) => Some(KeyRefusal::InUse),
        _ => None,
    })
}

/// When the oldest certificate that counts was recorded, if the limit is reached. What was recorded since a moment
/// ends after it, so that only the identity's youngest rows are read.
fn limit_reached(
    connection: &Connection,
    identity: Option<i64>,
    limit: Option<IssuanceLimit>,
) -> Outcome<Option<Timestamp>> {
    let (Some(identity), Some(limit)) = (identity, limit) else { return Ok(None) };
    let sql = "SELECT count(*), min(created_at) FROM certificate_record
         WHERE identity = ?1 AND not_after > ?2 AND created_at >= ?2";
    let counted: Option<(u32, Option<i64>)> =
        one(connection, sql, (identity, limit.since.millis()), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (count, oldest) = counted.unwrap_or_default();
    Ok(oldest.filter(|_| count >= limit.count).map(Timestamp::from_millis))
}

pub(super) fn name_owner(connection: &Connection, name: &DnsName) -> Outcome<Option<InstanceId>> {
    let sql = "SELECT instance_id FROM name_owner WHERE name = ?1";
    let owner: Option<String> = one(connection, sql, [name.as_str()], |row| row.get(0))?;
    let owner = owner.map(|text| text.parse()).transpose();
    owner.map_err(|error| Fault::Row(format!("name_owner.instance_id: {error}")))
}

fn claim_names(step: &Step<'_>, record: &IssuanceRecord, stamp: &Stamp) -> Outcome<()> {
    for name in &record.owned_names {
        step.execute(
            "INSERT INTO name_owner (name, instance_id, claimed_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            (name.as_str(), record.instance_id.as_str(), stamp.at.millis()),
        )?;
    }
    Ok(())
}

pub(super) fn release_name(step: &mut Step<'_>, name: &DnsName, stamp: &Stamp) -> Outcome<bool> {
    let Some(owner) = name_owner(step.connection(), name)? else { return Ok(false) };
    step.execute("DELETE FROM name_owner WHERE name = ?1", [name.as_str()])?;
    step.audit(stamp, "name.released", name, format!(r#"{{"owner":"{owner}"}}"#))?;
    Ok(true)
}

/// `by` more (or fewer) end-entity certificates in state 0 that end at `not_after`.
pub(super) fn count_active(step: &Step<'_>, not_after: i64, by: i64) -> Outcome<()> {
    step.execute(
        "INSERT INTO expiry_minute (minute, active) VALUES (?1, ?2)
         ON CONFLICT (minute) DO UPDATE SET active = active + ?2",
        (not_after.div_euclid(MINUTE), by),
    )?;
    Ok(())
}

/// A new row of `certificate_record`.
pub(super) struct Entry<'a> {
    pub(super) identity: Option<i64>,
    pub(super) issuer: i64,
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
    pub(super) created_at: Timestamp,
    pub(super) serial: Serial,
    pub(super) spki: SpkiHash,
    pub(super) fingerprint: Fingerprint,
    pub(super) certificate_type: &'a str,
    pub(super) common_name: &'a str,
    pub(super) der: &'a [u8],
}

pub(super) fn insert_certificate(step: &mut Step<'_>, entry: &Entry<'_>) -> Outcome<()> {
    let id = step.next_certificate();
    step.execute(
        "INSERT INTO certificate_record (id, identity, issuer, state, not_before, not_after, created_at, serial,
             spki, fingerprint, type, common_name, certificate_pem)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        params![
            id,
            entry.identity,
            entry.issuer,
            state::ACTIVE,
            entry.not_before.millis(),
            entry.not_after.millis(),
            entry.created_at.millis(),
            entry.serial.as_bytes(),
            entry.spki.as_bytes(),
            entry.fingerprint.to_string(),
            entry.certificate_type,
            entry.common_name,
            pem(entry.der),
        ],
    )?;
    Ok(())
}

/// RFC 7468: base64 in lines of 64.
fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = String::with_capacity(text.len() + text.len() / 64 + 64);
    pem.push_str("-----BEGIN CERTIFICATE-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}
