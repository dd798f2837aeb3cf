//! CAs: recorded, active, superseded, retired, revoked.

use super::{
    crl,
    deployment::{raise_bundle, standing},
    fault::{Fault, Outcome, conflict, not_found},
    issue::{Entry, insert_certificate},
    key,
    step::{Step, all, time, time_if_any},
};
use crate::{
    identity::{CaRole, Fingerprint, KeyId, SpkiHash, Timestamp},
    store::{
        CaRow, Hierarchy, InitPlan, KeyRole, KeyRow, KeyRowState, MadeKey, RevocationReason, SignedCa, Stamp,
    },
};
use rusqlite::{Connection, Row};
use serde_json::json;

pub(super) fn hierarchy(connection: &Connection) -> Outcome<Hierarchy> {
    let standing = standing(connection)?;
    let keys = key::list(connection)?;
    let sql =
        "SELECT ca.role, ca.generation, ca.ski, issuer.ski, issuer.serial, ca.serial, ca.common_name, ca.der,
             ca.not_before, ca.not_after, ca.published_at, ca.activated_at, ca.revoked_at, ca_count.issued
         FROM ca JOIN ca AS issuer ON issuer.id = ca.issuer JOIN ca_count ON ca_count.ca = ca.id";
    let mut cas = all(connection, sql, (), |row| read(row, &keys))?;
    cas.sort_by_key(|ca| (ca.certificate.role, ca.certificate.generation));
    Ok(Hierarchy {
        plan: standing.plan,
        initialized_at: standing.initialized_at,
        keys,
        cas,
        bundle_version: standing.bundle_version,
        spiffe_sequence: standing.spiffe_sequence,
    })
}

fn read(row: &Row<'_>, keys: &[KeyRow]) -> Outcome<CaRow> {
    let role = role_of(row, 0)?;
    let generation: u32 = row.get(1)?;
    let of_ca =
        |key: &&KeyRow| key.intention.role == KeyRole::Ca(role) && key.intention.generation == generation;
    let key = keys.iter().find(of_ca).cloned();
    Ok(CaRow {
        certificate: SignedCa {
            role,
            generation,
            ski: key_id(row, 2)?,
            issuer: key_id(row, 3)?,
            issuer_serial: key::serial_of(row.get(4)?)?,
            serial: key::serial_of(row.get(5)?)?,
            common_name: row.get(6)?,
            der: row.get(7)?,
            not_before: time(row, 8)?,
            not_after: time(row, 9)?,
        },
        key: key.ok_or_else(|| Fault::Row(format!("the {role} CA of generation {generation} has no key")))?,
        published_at: time(row, 10)?,
        activated_at: time_if_any(row, 11)?,
        revoked_at: time_if_any(row, 12)?,
        issued_count: row.get::<_, i64>(13)?.unsigned_abs(),
    })
}

fn role_of(row: &Row<'_>, column: usize) -> Outcome<CaRole> {
    let role: String = row.get(column)?;
    role.parse().map_err(|_| Fault::Row(format!("ca.role '{role}'")))
}

/// A key identifier from its column.
pub(super) fn key_id(row: &Row<'_>, column: usize) -> rusqlite::Result<KeyId> {
    row.get::<_, [u8; 20]>(column).map(KeyId::from)
}

/// What the steps below decide by.
struct Known {
    id: i64,
    issuer: i64,
    role: CaRole,
    generation: u32,
    state: KeyRowState,
    revoked: bool,
    not_after: i64,
    last_expiry: i64,
}

fn required(step: &Step<'_>, ski: KeyId) -> Outcome<Known> {
    let sql =
        "SELECT ca.id, ca.issuer, role, generation, ca_key.state, ca.revoked_at IS NOT NULL, ca.not_after,
             ca_count.last_expiry
         FROM ca JOIN ca_key USING (role, generation) JOIN ca_count ON ca_count.ca = ca.id WHERE ca.ski = ?1";
    let found = all(step.connection(), sql, [ski.as_bytes()], |row| {
        let state: String = row.get(4)?;
        Ok(Known {
            id: row.get(0)?,
            issuer: row.get(1)?,
            role: role_of(row, 2)?,
            generation: row.get(3)?,
            state: KeyRowState::parse(&state).ok_or_else(|| Fault::Row(format!("ca_key.state '{state}'")))?,
            revoked: row.get(5)?,
            not_after: row.get(6)?,
            last_expiry: row.get(7)?,
        })
    })?;
    match found.into_iter().next() {
        Some(ca) => Ok(ca),
        None => not_found(format!("there is no CA with the key identifier {ski}")),
    }
}

pub(super) fn complete_initialization(step: &mut Step<'_>, cas: &[SignedCa], stamp: &Stamp) -> Outcome<()> {
    let standing = standing(step.connection())?;
    if standing.initialized_at.is_some() {
        return Ok(());
    }
    let Some(plan) = standing.plan else {
        return conflict("no hierarchy was planned: initialisation begins with its plan".to_owned());
    };
    check_complete(&plan, cas)?;
    // Issuers before what they issued.
    let mut cas: Vec<&SignedCa> = cas.iter().collect();
    cas.sort_by_key(|ca| ca.role);
    for ca in cas {
        record(step, ca, true, stamp)?;
    }
    raise_bundle(step, stamp.at, true)?;
    step.execute("UPDATE deployment SET initialized_at = ?1", [stamp.at.millis()])?;
    step.audit(stamp, "ca.initialized", &plan.trust_domain, "{}".to_owned())
}

fn check_complete(plan: &InitPlan, cas: &[SignedCa]) -> Outcome<()> {
    let mut planned: Vec<&str> = plan.cas.iter().map(|ca| ca.role.as_str()).collect();
    let mut made: Vec<&str> = cas.iter().map(|ca| ca.role.as_str()).collect();
    planned.sort_unstable();
    made.sort_unstable();
    if planned != made {
        return conflict(format!(
            "the plan has the CAs {}, certificates are there for {}: a hierarchy is completed in one step or not at all",
            planned.join(", "),
            made.join(", ")
        ));
    }
    Ok(())
}

pub(super) fn record_intermediate(step: &mut Step<'_>, ca: &SignedCa, stamp: &Stamp) -> Outcome<()> {
    if standing(step.connection())?.initialized_at.is_none() {
        return conflict("the hierarchy is not initialised: make the root CA first".to_owned());
    }
    if ca.role == CaRole::Root {
        return conflict("a root CA is no intermediate".to_owned());
    }
    let there = "SELECT der FROM ca WHERE role = ?1 AND generation = ?2";
    let there: Option<Vec<u8>> = step.one(there, (ca.role.as_str(), ca.generation), |row| row.get(0))?;
    match there {
        Some(der) if der == ca.der => return Ok(()),
        Some(_) => {
            return conflict(format!(
                "the {} CA of generation {} has another certificate already",
                ca.role, ca.generation
            ));
        }
        None => {}
    }
    let first = !step.exists("SELECT 1 FROM ca WHERE role = ?1", [ca.role.as_str()])?;
    record(step, ca, first, stamp)?;
    raise_bundle(step, stamp.at, false)
}

/// Writes a CA with all that hangs on it.
fn record(step: &mut Step<'_>, ca: &SignedCa, active: bool, stamp: &Stamp) -> Outcome<()> {
    let spki = certifiable_key(step, ca)?;
    let id: i64 = step.one("SELECT coalesce(max(id), 0) + 1 FROM ca", (), |row| row.get(0))?.unwrap_or(1);
    let issuer = issuer_of(step, ca, id, stamp)?;
    step.execute(
        "INSERT INTO ca (id, role, generation, ski, issuer, serial, common_name, der, not_before, not_after,
             published_at, activated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, iif(?12, ?11, NULL))",
        rusqlite::params![
            id,
            ca.role.as_str(),
            ca.generation,
            ca.ski.as_bytes(),
            issuer,
            ca.serial.as_bytes(),
            ca.common_name,
            ca.der,
            ca.not_before.millis(),
            ca.not_after.millis(),
            stamp.at.millis(),
            active,
        ],
    )?;
    step.execute("INSERT INTO ca_count (ca) VALUES (?1)", [id])?;
    step.execute("INSERT INTO crl (ca) VALUES (?1)", [id])?;
    if issuer != id {
        step.count_issued(issuer, ca.not_after.millis());
    }
    let fingerprint = Fingerprint::of_certificate(&ca.der);
    insert_certificate(
        step,
        &Entry {
            identity: None,
            issuer,
            not_before: ca.not_before,
            not_after: ca.not_after,
            created_at: stamp.at,
            serial: ca.serial,
            spki,
            fingerprint,
            certificate_type: ca.role.certificate_type(),
            common_name: &ca.common_name,
            der: &ca.der,
            adopted: false,
        },
    )?;
    let state = if active { KeyRowState::Active } else { KeyRowState::Certified };
    key::set_state(step, KeyRole::Ca(ca.role), ca.generation, state)?;
    let detail = json!({
        "role": ca.role.as_str(), "generation": ca.generation, "serial": ca.serial.to_string(),
        "spki": spki.to_string(), "fingerprint": fingerprint.to_string(), "issuer": ca.issuer.to_string(),
    });
    step.audit(stamp, "ca.recorded", ca.ski, detail.to_string())
}

/// The hash of the key whose certificate was meant to be signed, with this serial number.
fn certifiable_key(step: &Step<'_>, ca: &SignedCa) -> Outcome<SpkiHash> {
    let (role, generation) = (ca.role, ca.generation);
    match key::ca_intention(step.connection(), role, generation)? {
        Some(intention) if intention.serial == ca.serial => {}
        Some(intention) => {
            return conflict(format!(
                "the certificate of the {role} CA of generation {generation} was to have the serial number {}, not {}",
                intention.serial, ca.serial
            ));
        }
        None => {
            return conflict(format!(
                "no certificate was intended for the {role} CA of generation {generation}"
            ));
        }
    }
    let sql = "SELECT spki_hash FROM ca_key WHERE role = ?1 AND generation = ?2 AND state = 'made'";
    let hash: Option<[u8; 32]> = step.one(sql, (role.as_str(), generation), |row| row.get(0))?;
    match hash {
        Some(hash) => Ok(SpkiHash::from(hash)),
        None => conflict(format!(
            "the {role} key of generation {generation} has a certificate already or is not made yet"
        )),
    }
}

/// The issuing CA's number; a root's own.
fn issuer_of(step: &Step<'_>, ca: &SignedCa, own: i64, stamp: &Stamp) -> Outcome<i64> {
    if ca.issuer == ca.ski {
        return Ok(own);
    }
    let issuer = required(step, ca.issuer)?;
    let live =
        issuer.state != KeyRowState::Retired && !issuer.revoked && stamp.at.millis() < issuer.not_after;
    if issuer.role != CaRole::Root || !live {
        return conflict(format!("the issuer {} is no live root CA", ca.issuer));
    }
    Ok(issuer.id)
}

pub(super) fn activate(step: &mut Step<'_>, ski: KeyId, stamp: &Stamp) -> Outcome<()> {
    let ca = required(step, ski)?;
    let refused = match ca.state {
        _ if ca.revoked => "revoked",
        KeyRowState::Retired => "retired",
        _ if ca.not_after <= stamp.at.millis() => "expired",
        KeyRowState::Active => return Ok(()),
        _ => {
            step.execute(
                "UPDATE ca_key SET state = 'certified' WHERE role = ?1 AND state = 'active'",
                [ca.role.as_str()],
            )?;
            key::set_state(step, KeyRole::Ca(ca.role), ca.generation, KeyRowState::Active)?;
            let sql = "UPDATE ca SET activated_at = coalesce(activated_at, ?2) WHERE id = ?1";
            step.execute(sql, (ca.id, stamp.at.millis()))?;
            return step.audit(stamp, "ca.activated", ski, json!({"role": ca.role.as_str()}).to_string());
        }
    };
    conflict(format!("the {} CA {ski} is {refused}: it can't issue; activate or create another", ca.role))
}

pub(super) fn retire(step: &mut Step<'_>, ski: KeyId, stamp: &Stamp) -> Outcome<()> {
    step.settle()?;
    let ca = required(step, ski)?;
    match ca.state {
        KeyRowState::Retired => return Ok(()),
        KeyRowState::Active => {
            return conflict(format!("the {} CA {ski} is active: activate another one first", ca.role));
        }
        _ => {}
    }
    if ca.last_expiry > stamp.at.millis() {
        return conflict(format!(
            "certificates of the {} CA {ski} live until {} ({}): retire it after that",
            ca.role,
            Timestamp::from_millis(ca.last_expiry),
            living(step, ca.id, stamp.at)?
        ));
    }
    key::set_state(step, KeyRole::Ca(ca.role), ca.generation, KeyRowState::Retired)?;
    if !ca.revoked && stamp.at.millis() < ca.not_after {
        raise_bundle(step, stamp.at, ca.role == CaRole::Root)?;
    }
    step.audit(stamp, "ca.retired", ski, json!({"role": ca.role.as_str()}).to_string())
}

/// How many certificates of a CA have not ended, in words. Of those of all CAs only so many are looked at, for the
/// writer waits meanwhile.
fn living(step: &Step<'_>, ca: i64, at: Timestamp) -> Outcome<String> {
    const LOOKED_AT: i64 = 50_000;
    let sql = "SELECT count(*), coalesce(sum(issuer = ?1), 0)
         FROM (SELECT issuer FROM certificate_record WHERE not_after > ?2 ORDER BY not_after LIMIT ?3)";
    let counted = step.one(sql, (ca, at.millis(), LOOKED_AT), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (looked_at, its): (i64, i64) = counted.unwrap_or_default();
    Ok(if looked_at == LOOKED_AT { format!("{} or more", its.max(1)) } else { format!("{its} in all") })
}

pub(super) fn repin(
    step: &mut Step<'_>,
    ski: KeyId,
    backend: &str,
    reference: &str,
    made: &MadeKey,
    stamp: &Stamp,
) -> Outcome<()> {
    let ca = required(step, ski)?;
    let sql = "SELECT uri, spki, backend, reference FROM ca_key WHERE role = ?1 AND generation = ?2";
    let pinned = step.one(sql, (ca.role.as_str(), ca.generation), |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, String>(2)?, row.get(3)?))
    })?;
    let (uri, spki, old_backend, old_reference): (_, _, _, Option<String>) =
        pinned.ok_or_else(|| Fault::Row(format!("CA {ski} has no key")))?;
    if spki != made.spki {
        return conflict(format!(
            "{} holds another key than that of the {} CA {ski}: a CA keeps its key for life",
            made.uri, ca.role
        ));
    }
    if (uri.as_str(), old_backend.as_str(), old_reference.as_deref()) == (&made.uri, backend, Some(reference))
    {
        return Ok(());
    }
    step.execute(
        "UPDATE ca_key SET uri = ?3, backend = ?4, reference = ?5 WHERE role = ?1 AND generation = ?2",
        (ca.role.as_str(), ca.generation, &made.uri, backend, reference),
    )?;
    let detail = json!({
        "role": ca.role.as_str(), "from": uri, "fromBackend": old_backend, "uri": made.uri, "backend": backend,
        "reference": reference,
        "spki": SpkiHash::of_spki(&made.spki).to_string(),
    });
    step.audit(stamp, "ca.repinned", ski, detail.to_string())
}

pub(super) fn revoke(
    step: &mut Step<'_>,
    ski: KeyId,
    reason: RevocationReason,
    stamp: &Stamp,
) -> Outcome<()> {
    let ca = required(step, ski)?;
    if ca.role == CaRole::Root {
        return conflict(
            "a root CA has nobody above it to revoke it: take it out of every verifier's trust and initialise a new deployment".to_owned(),
        );
    }
    if ca.revoked {
        return Ok(());
    }
    step.execute("UPDATE ca SET revoked_at = ?2 WHERE id = ?1", (ca.id, stamp.at.millis()))?;
    if ca.state == KeyRowState::Active {
        key::set_state(step, KeyRole::Ca(ca.role), ca.generation, KeyRowState::Certified)?;
    }
    let sql =
        "SELECT c.id, c.serial, c.spki FROM certificate_record AS c JOIN ca USING (serial) WHERE ca.id = ?1";
    let row = step.one(sql, [ca.id], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?, row.get(2)?)))?;
    let (row, serial, spki): (i64, [u8; 16], [u8; 32]) =
        row.ok_or_else(|| Fault::Row(format!("the certificate of CA {ski} is missing")))?;
    step.execute("UPDATE certificate_record SET state = 2 WHERE id = ?1", [row])?;
    crl::block_key(step, spki, serial, stamp.at)?;
    if ca.not_after > stamp.at.millis() {
        let revision = crl::raise_revision(step, ca.issuer)?;
        crl::put(
            step,
            ca.issuer,
            &crl::Line { serial, reason, not_after: ca.not_after, revision },
            stamp.at,
        )?;
    }
    raise_bundle(step, stamp.at, false)?;
    step.end_credentials();
    let detail = json!({"role": ca.role.as_str(), "reason": reason.code()});
    step.audit(stamp, "ca.revoked", ski, detail.to_string())
}
