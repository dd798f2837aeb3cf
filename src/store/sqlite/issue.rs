//! Issuance: what speaks against it, and the record that makes a certificate durable.

use super::{
    deny,
    fault::{Fault, Outcome, conflict},
    list::state,
    step::{Step, one, time},
    ticket::{self, Bearer, Verdict},
};
use crate::{
    identity::{DnsName, Fingerprint, InstanceId, Serial, SpiffeId, SpkiHash, Timestamp},
    store::{
        Denial, IssuanceLimit, IssuanceRecord, IssuedCertificate, KeyRefusal, Preflight, RecordOutcome,
        SignedCertificate, Stamp, Ticket,
    },
};
use base64::{Engine, engine::general_purpose::STANDARD};
use rusqlite::{Connection, params};
use std::sync::Arc;

/// How far the clock may be behind the newest recorded time.
pub(super) const CLOCK_TOLERANCE_MS: i64 = 5 * 60 * 1000;

/// What the step decided; an answer only through [`Decision::after_commit`].
#[derive(Debug)]
pub(super) enum Decision {
    Record(Fingerprint),
    Refuse(RecordOutcome),
}

impl Decision {
    /// The answer, once the commit has succeeded.
    pub(super) fn after_commit(self, certificate: Arc<SignedCertificate>) -> RecordOutcome {
        match self {
            Self::Record(fingerprint) => {
                let certificate = Arc::try_unwrap(certificate).unwrap_or_else(|lent| SignedCertificate {
                    der: lent.der.clone(),
                    record: lent.record.clone(),
                });
                RecordOutcome::Recorded(Box::new(IssuedCertificate::committed(certificate, fingerprint)))
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
    ticket: Option<&Ticket>,
    at: Timestamp,
) -> Outcome<Preflight> {
    let standing = standing(connection, spiffe_id, spki, at)?;
    let newest = one(connection, "SELECT newest_time FROM deployment", (), |row| time(row, 0))?;
    let mut owners = Vec::new();
    for name in names {
        if let Some(owner) = name_owner(connection, name)? {
            owners.push((name.clone(), owner));
        }
    }
    let mut preflight = Preflight {
        denied: standing.denial(connection, spiffe_id)?,
        owners,
        key: standing.key,
        limit_reached: limit_reached(connection, standing.identity, limit)?,
        newest: newest.filter(|newest| newest.millis() > 0),
        ..Preflight::default()
    };
    if let Some(ticket) = ticket {
        let bearer = Bearer { identity: standing.identity, spki, at };
        match ticket::check(connection, ticket, bearer)? {
            Verdict::Serves => {}
            Verdict::Refused(refusal) => preflight.ticket_refused = Some(refusal),
            Verdict::IssuedBefore(row) => preflight.issued_before = Some(row),
        }
        if let Ticket::Bootstrap(_) = ticket {
            preflight.holds_certificate = ticket::holds_certificate(connection, bearer)?;
        }
    }
    Ok(preflight)
}

pub(super) fn record(
    step: &mut Step<'_>,
    certificate: &SignedCertificate,
    stamp: &Stamp,
) -> Outcome<Decision> {
    let record = &certificate.record;
    let admitted = match admit(step, record, stamp)? {
        Ok(admitted) => admitted,
        Err(refusal) => return Ok(Decision::Refuse(refusal)),
    };
    let identity = match admitted.identity {
        Some(identity) => identity,
        None => new_identity(step, &record.spiffe_id)?,
    };
    for name in admitted.free_names {
        claim_name(step, name, record, stamp)?;
    }
    let fingerprint = Fingerprint::of_certificate(&certificate.der);
    insert_leaf(
        step,
        certificate,
        fingerprint,
        &Leaf { identity, issuer: admitted.issuer, at: stamp.at, adopted: false },
    )?;
    let mut bootstrap = String::new();
    if let Some(ticket) = &record.ticket {
        let bearer = Bearer { identity: Some(identity), spki: record.spki, at: stamp.at };
        ticket::punch(step, ticket, bearer, record.serial)?;
        if let Ticket::Bootstrap(used) = ticket {
            bootstrap = format!(r#","bootstrap":{}"#, serde_json::Value::from(used.credential.as_str()));
        }
    }
    // All other values are hex, base64url or digits: nothing in them wants escaping.
    let detail = format!(
        r#"{{"serial":"{}","spki":"{}","fingerprint":"{fingerprint}","issuer":"{}"{bootstrap}}}"#,
        record.serial, record.spki, record.issuer
    );
    step.audit(stamp, "certificate.issued", &record.spiffe_id, detail)?;
    Ok(Decision::Record(fingerprint))
}

/// Where a leaf belongs.
pub(super) struct Leaf {
    pub(super) identity: i64,
    pub(super) issuer: i64,
    /// When it was recorded.
    pub(super) at: Timestamp,
    /// It was issued before, by an instance whose store was lost.
    pub(super) adopted: bool,
}

/// Records a leaf and counts it.
pub(super) fn insert_leaf(
    step: &mut Step<'_>,
    certificate: &SignedCertificate,
    fingerprint: Fingerprint,
    leaf: &Leaf,
) -> Outcome<()> {
    let record = &certificate.record;
    let entry = Entry {
        identity: Some(leaf.identity),
        issuer: leaf.issuer,
        not_before: record.not_before,
        not_after: record.not_after,
        created_at: leaf.at,
        serial: record.serial,
        spki: record.spki,
        fingerprint,
        certificate_type: "end-entity",
        common_name: record.common_name.as_deref().unwrap_or_default(),
        der: &certificate.der,
        adopted: leaf.adopted,
    };
    insert_certificate(step, &entry)?;
    step.count_active(record.not_after.millis(), 1);
    step.count_issued(leaf.issuer, record.not_after.millis());
    Ok(())
}

/// What is known of an issuance that nothing speaks against.
struct Admitted<'r> {
    issuer: i64,
    /// `None` for the first certificate of an identity.
    identity: Option<i64>,
    /// Those of its names that nobody owns yet.
    free_names: Vec<&'r DnsName>,
}

/// Everything that can refuse, before anything is written.
fn admit<'r>(
    step: &Step<'_>,
    record: &'r IssuanceRecord,
    stamp: &Stamp,
) -> Outcome<Result<Admitted<'r>, RecordOutcome>> {
    let connection = step.connection();
    if stamp.at.millis() < step.newest() - CLOCK_TOLERANCE_MS {
        let newest = Timestamp::from_millis(step.newest());
        return Ok(Err(RecordOutcome::ClockBehind { newest }));
    }
    let standing = standing(connection, &record.spiffe_id, record.spki, stamp.at)?;
    if let Some(denial) = standing.denial(connection, &record.spiffe_id)? {
        return Ok(Err(RecordOutcome::Denied(denial)));
    }
    if let Some(ticket) = &record.ticket {
        let bearer = Bearer { identity: standing.identity, spki: record.spki, at: stamp.at };
        match ticket::check(connection, ticket, bearer)? {
            Verdict::Serves => {}
            Verdict::Refused(refusal) => return Ok(Err(RecordOutcome::TicketRefused(refusal))),
            Verdict::IssuedBefore(row) => return Ok(Err(RecordOutcome::IssuedBefore(row))),
        }
    }
    let Some(issuer) = issuer(connection, record, stamp.at)? else {
        return Ok(Err(RecordOutcome::IssuerGone));
    };
    if let Some(refusal) = standing.key {
        return Ok(Err(RecordOutcome::KeyRefused(refusal)));
    }
    let mut free_names = Vec::new();
    for name in &record.owned_names {
        match name_owner(connection, name)? {
            None => free_names.push(name),
            Some(owner) if owner == record.instance_id => {}
            Some(owner) => return Ok(Err(RecordOutcome::NameTaken { name: name.clone(), owner })),
        }
    }
    let identity = standing.identity;
    if let Some(oldest) = limit_reached(connection, identity, record.limit)? {
        return Ok(Err(RecordOutcome::LimitReached { oldest }));
    }
    Ok(Ok(Admitted { issuer, identity, free_names }))
}

/// What an identity and a key are known for.
pub(super) struct Standing {
    pub(super) identity: Option<i64>,
    denied: bool,
    pub(super) key: Option<KeyRefusal>,
}

impl Standing {
    pub(super) fn denial(&self, connection: &Connection, spiffe_id: &SpiffeId) -> Outcome<Option<Denial>> {
        if self.denied { deny::get(connection, spiffe_id) } else { Ok(None) }
    }
}

pub(super) fn standing(
    connection: &Connection,
    spiffe_id: &SpiffeId,
    spki: SpkiHash,
    at: Timestamp,
) -> Outcome<Standing> {
    // Another identity's certificates for the key are those under smaller and greater numbers: renewals of one's
    // own key, which may be many, are stepped over.
    let sql = "WITH me (id) AS (SELECT (SELECT id FROM identity WHERE spiffe_id = ?1))
         SELECT me.id, EXISTS (SELECT 1 FROM denied_identity WHERE spiffe_id = ?1), CASE
             WHEN EXISTS (SELECT 1 FROM ca_key WHERE spki_hash = ?2) THEN 1
             WHEN EXISTS (SELECT 1 FROM blocked_key WHERE spki_hash = ?2) THEN 2
             WHEN EXISTS (SELECT 1 FROM certificate_record WHERE substr(spki, 1, 8) = substr(?2, 1, 8)
                 AND identity < ifnull(me.id, 0) AND not_after > ?3 AND spki = ?2) THEN 3
             WHEN EXISTS (SELECT 1 FROM certificate_record WHERE substr(spki, 1, 8) = substr(?2, 1, 8)
                 AND identity > ifnull(me.id, 0) AND not_after > ?3 AND spki = ?2) THEN 3
             ELSE 0 END
         FROM me";
    let values = (spiffe_id.as_str(), spki.as_bytes(), at.millis());
    let found = one(connection, sql, values, |row| {
        let key = match row.get(2)? {
            1 => Some(KeyRefusal::CaKey),
            2 => Some(KeyRefusal::Revoked),
            3 => Some(KeyRefusal::InUse),
            _ => None,
        };
        Ok(Standing { identity: row.get(0)?, denied: row.get(1)?, key })
    })?;
    Ok(found.unwrap_or(Standing { identity: None, denied: false, key: None }))
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

pub(super) fn new_identity(step: &Step<'_>, spiffe_id: &SpiffeId) -> Outcome<i64> {
    step.execute("INSERT INTO identity (spiffe_id) VALUES (?1)", [spiffe_id.as_str()])?;
    Ok(step.connection().last_insert_rowid())
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

pub(super) fn claim_name(
    step: &Step<'_>,
    name: &DnsName,
    record: &IssuanceRecord,
    stamp: &Stamp,
) -> Outcome<()> {
    step.execute(
        "INSERT INTO name_owner (name, instance_id, claimed_at) VALUES (?1, ?2, ?3)",
        (name.as_str(), record.instance_id.as_str(), stamp.at.millis()),
    )?;
    Ok(())
}

pub(super) fn release_name(step: &mut Step<'_>, name: &DnsName, stamp: &Stamp) -> Outcome<bool> {
    let Some(owner) = name_owner(step.connection(), name)? else { return Ok(false) };
    step.execute("DELETE FROM name_owner WHERE name = ?1", [name.as_str()])?;
    step.audit(stamp, "name.released", name, format!(r#"{{"owner":"{owner}"}}"#))?;
    Ok(true)
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
    pub(super) adopted: bool,
}

pub(super) fn insert_certificate(step: &mut Step<'_>, entry: &Entry<'_>) -> Outcome<()> {
    let id = step.next_certificate();
    step.execute(
        "INSERT INTO certificate_record (id, identity, issuer, state, not_before, not_after, created_at, serial,
             spki, fingerprint, type, common_name, certificate_pem, adopted)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
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
            entry.adopted,
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
