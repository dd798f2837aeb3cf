//! The deny list, and revocation of single certificates.

use super::{
    ca::key_id,
    crl,
    fault::{Fault, Outcome, conflict},
    issue::identity_of,
    key::serial_of,
    list::state,
    step::{Step, all, one, time},
    token,
};
use crate::{
    identity::{KeyId, Serial, SpiffeId, SpkiHash, Timestamp},
    store::{AllowOutcome, Denial, DenyOutcome, ExpiringCertificate, RevocationReason, Stamp},
};
use rusqlite::{Connection, Row};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

/// So many certificates are told in the record of a denial: those that end last.
const TOLD: usize = 1_000;

fn read(row: &Row<'_>) -> Outcome<Denial> {
    let spiffe_id: String = row.get(0)?;
    Ok(Denial {
        spiffe_id: spiffe_id.parse().map_err(|_| Fault::Row(format!("denied_identity '{spiffe_id}'")))?,
        reason: row.get(1)?,
        denied_at: time(row, 2)?,
        compromised: row.get(3)?,
    })
}

pub(super) fn get(connection: &Connection, spiffe_id: &SpiffeId) -> Outcome<Option<Denial>> {
    let sql = "SELECT spiffe_id, reason, denied_at, compromised FROM denied_identity WHERE spiffe_id = ?1";
    Ok(all(connection, sql, [spiffe_id.as_str()], read)?.pop())
}

pub(super) fn list(connection: &Connection) -> Outcome<Vec<Denial>> {
    let sql = "SELECT spiffe_id, reason, denied_at, compromised FROM denied_identity
         ORDER BY denied_at DESC, spiffe_id";
    all(connection, sql, (), read)
}

/// A certificate as far as its revocation goes.
struct Target {
    id: i64,
    issuer: i64,
    state: i64,
    serial: [u8; 16],
    spki: [u8; 32],
    not_after: i64,
}

fn target(row: &Row<'_>) -> Outcome<Target> {
    Ok(Target {
        id: row.get(0)?,
        issuer: row.get(1)?,
        state: row.get(2)?,
        serial: row.get(3)?,
        spki: row.get(4)?,
        not_after: row.get(5)?,
    })
}

/// The CAs whose list a step changes, each with the one revision that has all of the step's changes.
#[derive(Default)]
struct Revisions(BTreeMap<i64, i64>);

impl Revisions {
    fn of(&mut self, step: &Step<'_>, ca: i64) -> Outcome<i64> {
        if let Some(revision) = self.0.get(&ca) {
            return Ok(*revision);
        }
        let revision = crl::raise_revision(step, ca)?;
        self.0.insert(ca, revision);
        Ok(revision)
    }
}

pub(super) fn deny(
    step: &mut Step<'_>,
    spiffe_id: &SpiffeId,
    reason: &str,
    compromised: bool,
    stamp: &Stamp,
) -> Outcome<DenyOutcome> {
    let sql =
        "INSERT INTO denied_identity (spiffe_id, reason, denied_at, compromised) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (spiffe_id) DO UPDATE SET reason = ?2, compromised = max(compromised, ?4)
         RETURNING compromised";
    let values = (spiffe_id.as_str(), reason, stamp.at.millis(), compromised);
    let compromised = step.one(sql, values, |row| row.get(0))?.unwrap_or(compromised);
    let targets = unexpired(step.connection(), spiffe_id, stamp.at)?;
    let mut revisions = Revisions::default();
    for target in &targets {
        if compromised {
            withdraw(
                step,
                target,
                state::REVOKED,
                RevocationReason::KeyCompromise,
                &mut revisions,
                stamp.at,
            )?;
        } else {
            withdraw(step, target, state::HELD, RevocationReason::CertificateHold, &mut revisions, stamp.at)?;
        }
    }
    let tokens = match identity_of(step.connection(), spiffe_id)? {
        Some(identity) => token::live_of_identity(step.connection(), identity, stamp.at)?,
        None => Vec::new(),
    };
    step.end_credentials();
    let detail = json!({
        "reason": reason, "compromised": compromised, "certificates": targets.len(), "tokens": tokens.len(),
        "withdrawn": told(step.connection(), &targets, |state| state != state::REVOKED)?,
    });
    step.audit(stamp, "identity.denied", spiffe_id, detail.to_string())?;
    token::end(step, tokens, stamp)?;
    Ok(DenyOutcome {
        expiring: targets.iter().map(expiring).collect::<Outcome<_>>()?,
        issuers: key_ids(step.connection(), targets.iter().map(|target| target.issuer))?,
    })
}

fn unexpired(connection: &Connection, spiffe_id: &SpiffeId, at: Timestamp) -> Outcome<Vec<Target>> {
    let Some(identity) = identity_of(connection, spiffe_id)? else { return Ok(Vec::new()) };
    let sql = "SELECT id, issuer, state, serial, spki, not_after FROM certificate_record
         INDEXED BY certificate_by_identity WHERE identity = ?1 AND not_after > ?2 ORDER BY not_after, id";
    all(connection, sql, (identity, at.millis()), target)
}

/// Certificates as the record of a denial tells them: a restore may be of a time before they were issued.
fn told(connection: &Connection, targets: &[Target], is_told: impl Fn(i64) -> bool) -> Outcome<Vec<Value>> {
    let told: Vec<_> = targets.iter().filter(|target| is_told(target.state)).collect();
    let mut issuers = BTreeMap::new();
    for target in &told {
        if let Entry::Vacant(place) = issuers.entry(target.issuer) {
            place.insert(key_ids(connection, [target.issuer].into_iter())?.pop().map(|id| id.to_string()));
        }
    }
    let tell = |target: &&Target| {
        Ok(json!({
            "serial": serial_of(target.serial)?.to_string(), "issuer": issuers[&target.issuer],
            "spki": SpkiHash::from(target.spki).to_string(), "notAfter": target.not_after,
        }))
    };
    told[told.len().saturating_sub(TOLD)..].iter().map(tell).collect()
}

/// The unexpired certificates that an identity's denial keeps on hold, as its record told them.
pub(super) fn on_hold(connection: &Connection, spiffe_id: &SpiffeId, at: Timestamp) -> Outcome<Vec<Value>> {
    told(connection, &unexpired(connection, spiffe_id, at)?, |state| state == state::HELD)
}

fn expiring(target: &Target) -> Outcome<ExpiringCertificate> {
    Ok(ExpiringCertificate {
        serial: serial_of(target.serial)?,
        expires_at: Timestamp::from_millis(target.not_after),
    })
}

/// Puts a certificate on its CRL, unless it stands there for as much already.
fn withdraw(
    step: &mut Step<'_>,
    target: &Target,
    to: i64,
    reason: RevocationReason,
    revisions: &mut Revisions,
    at: Timestamp,
) -> Outcome<()> {
    if target.state >= to {
        return Ok(());
    }
    set_state(step, target, to)?;
    if to == state::REVOKED {
        crl::block_key(step, target.spki, target.serial, at)?;
    }
    let (serial, not_after) = (target.serial, target.not_after);
    if not_after > at.millis() {
        let revision = revisions.of(step, target.issuer)?;
        crl::put(step, target.issuer, &crl::Line { serial, reason, not_after, revision }, at)?;
    }
    Ok(())
}

fn set_state(step: &mut Step<'_>, target: &Target, to: i64) -> Outcome<()> {
    step.execute("UPDATE certificate_record SET state = ?2 WHERE id = ?1", (target.id, to))?;
    match (target.state, to) {
        (state::ACTIVE, _) => step.count_active(target.not_after, -1),
        (_, state::ACTIVE) => step.count_active(target.not_after, 1),
        _ => {}
    }
    Ok(())
}

pub(super) fn allow(step: &mut Step<'_>, spiffe_id: &SpiffeId, stamp: &Stamp) -> Outcome<AllowOutcome> {
    if step.execute("DELETE FROM denied_identity WHERE spiffe_id = ?1", [spiffe_id.as_str()])? == 0 {
        return Ok(AllowOutcome { was_denied: false, issuers: Vec::new() });
    }
    let mut revisions = Revisions::default();
    let held = held(step.connection(), spiffe_id)?;
    for target in &held {
        set_state(step, target, state::ACTIVE)?;
        let sql = "DELETE FROM crl_entry WHERE ca = ?1 AND serial = ?2";
        if step.execute(sql, (target.issuer, target.serial))? > 0 {
            revisions.of(step, target.issuer)?;
        }
    }
    let detail = json!({"released": held.len()});
    step.audit(stamp, "identity.allowed", spiffe_id, detail.to_string())?;
    let issuers = key_ids(step.connection(), revisions.0.into_keys())?;
    Ok(AllowOutcome { was_denied: true, issuers })
}

fn held(connection: &Connection, spiffe_id: &SpiffeId) -> Outcome<Vec<Target>> {
    let Some(identity) = identity_of(connection, spiffe_id)? else { return Ok(Vec::new()) };
    let sql = "SELECT id, issuer, state, serial, spki, not_after FROM certificate_record
         INDEXED BY certificate_by_state WHERE state > 0 AND state = 1 AND identity = ?1";
    all(connection, sql, [identity], target)
}

pub(super) fn revoke_certificate(
    step: &mut Step<'_>,
    serial: Serial,
    reason: RevocationReason,
    stamp: &Stamp,
) -> Outcome<Option<KeyId>> {
    if reason == RevocationReason::CertificateHold {
        return conflict("a hold comes and goes with its identity's denial: name another reason".to_owned());
    }
    let sql =
        "SELECT c.id, issuer, state, serial, spki, not_after, spiffe_id, fingerprint FROM certificate_record AS c
         LEFT JOIN identity ON identity.id = c.identity WHERE c.serial = ?1";
    let read = |row: &Row<'_>| Ok((target(row)?, row.get::<_, Option<String>>(6)?, row.get::<_, String>(7)?));
    let Some((target, spiffe_id, fingerprint)) =
        all(step.connection(), sql, [serial.as_bytes()], read)?.pop()
    else {
        return Ok(None);
    };
    let Some(spiffe_id) = spiffe_id else {
        return conflict(format!("{serial} is a CA's certificate: revoke the CA"));
    };
    if target.state == state::REVOKED {
        let sql = "SELECT reason FROM crl_entry WHERE ca = ?1 AND serial = ?2";
        let stands = step.one(sql, (target.issuer, target.serial), |row| row.get::<_, u8>(0))?;
        if let Some(stands) = stands.and_then(RevocationReason::from_code).filter(|&stands| stands != reason)
        {
            return conflict(format!(
                "{serial} is revoked already, and its reason stands: {}",
                stands.name()
            ));
        }
    } else {
        withdraw(step, &target, state::REVOKED, reason, &mut Revisions::default(), stamp.at)?;
        step.end_credentials();
        let spki = SpkiHash::from(target.spki).to_string();
        let issuer = key_ids(step.connection(), [target.issuer].into_iter())?.pop();
        let detail = json!({
            "reason": reason.code(), "spiffeId": spiffe_id, "spki": spki, "fingerprint": fingerprint,
            "issuer": issuer.map(|issuer| issuer.to_string()), "notAfter": target.not_after,
        });
        step.audit(stamp, "certificate.revoked", serial, detail.to_string())?;
    }
    let tokens = token::live_of_certificate(step.connection(), &fingerprint, stamp.at)?;
    token::end(step, tokens, stamp)?;
    Ok(key_ids(step.connection(), [target.issuer].into_iter())?.pop())
}

/// The key identifiers of CAs, each once.
fn key_ids(connection: &Connection, cas: impl Iterator<Item = i64>) -> Outcome<Vec<KeyId>> {
    let distinct: BTreeSet<i64> = cas.collect();
    let sql = "SELECT ski FROM ca WHERE id = ?1";
    let found: Outcome<Vec<Option<KeyId>>> =
        distinct.into_iter().map(|ca| one(connection, sql, [ca], |row| key_id(row, 0))).collect();
    Ok(found?.into_iter().flatten().collect())
}
