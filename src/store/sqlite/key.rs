//! Keys: intended, made, in force. The intent is committed before the key store is asked for anything.

use super::{
    fault::{Fault, Outcome, conflict, not_found},
    step::{Step, all, one, time, time_if_any},
    token,
};
use crate::{
    identity::{CaRole, Serial, SpkiHash, Timestamp},
    store::{CaIntention, KeyIntention, KeyRole, KeyRow, KeyRowState, MadeKey, Stamp, TokenRecord},
};
use rusqlite::{Connection, Row};
use serde_json::json;

const COLUMNS: &str =
    "role, generation, algorithm, backend, reference, nonce, uri, spki, state, intended_at, verifies_until
     FROM ca_key";

fn read(row: &Row<'_>) -> Outcome<KeyRow> {
    let role: String = row.get(0)?;
    let state: String = row.get(8)?;
    let made = match (row.get(6)?, row.get(7)?) {
        (Some(uri), Some(spki)) => Some(MadeKey { uri, spki }),
        _ => None,
    };
    Ok(KeyRow {
        intention: KeyIntention {
            role: role.parse().map_err(|_| Fault::Row(format!("ca_key.role '{role}'")))?,
            generation: row.get(1)?,
            algorithm: row.get(2)?,
            backend: row.get(3)?,
            reference: row.get(4)?,
            nonce: row.get(5)?,
        },
        intended_at: time(row, 9)?,
        made,
        state: KeyRowState::parse(&state).ok_or_else(|| Fault::Row(format!("ca_key.state '{state}'")))?,
        verifies_until: time_if_any(row, 10)?,
    })
}

pub(super) fn list(connection: &Connection) -> Outcome<Vec<KeyRow>> {
    let mut keys = all(connection, &format!("SELECT {COLUMNS}"), (), read)?;
    keys.sort_by_key(|key| (key.intention.role, key.intention.generation));
    Ok(keys)
}

fn get(connection: &Connection, role: KeyRole, generation: u32) -> Outcome<Option<KeyRow>> {
    let sql = format!("SELECT {COLUMNS} WHERE role = ?1 AND generation = ?2");
    Ok(all(connection, &sql, (role.as_str(), generation), read)?.pop())
}

fn required(step: &Step<'_>, role: KeyRole, generation: u32) -> Outcome<KeyRow> {
    match get(step.connection(), role, generation)? {
        Some(key) => Ok(key),
        None => not_found(format!("no key of generation {generation} was intended for the role {role}")),
    }
}

/// How the audit log names a key.
fn name(role: KeyRole, generation: u32) -> String {
    format!("{role}-{generation}")
}

pub(super) fn intend(step: &mut Step<'_>, key: &KeyIntention, stamp: &Stamp) -> Outcome<KeyRow> {
    if let Some(there) = get(step.connection(), key.role, key.generation)? {
        return Ok(there);
    }
    if key.generation == 0 {
        return conflict("generations of a key count from 1".to_owned());
    }
    if let Some(waiting) = waiting(step, key.role)? {
        return conflict(format!(
            "the {} key of generation {waiting} is not yet active: finish or activate it before another is made",
            key.role
        ));
    }
    step.execute(
        "INSERT INTO ca_key (role, generation, algorithm, backend, reference, nonce, state, intended_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'intended', ?7)",
        (
            key.role.as_str(),
            key.generation,
            &key.algorithm,
            &key.backend,
            &key.reference,
            key.nonce,
            stamp.at.millis(),
        ),
    )?;
    let detail = json!({"algorithm": key.algorithm, "backend": key.backend, "reference": key.reference});
    step.audit(stamp, "key.intended", name(key.role, key.generation), detail.to_string())?;
    Ok(KeyRow {
        intention: key.clone(),
        intended_at: stamp.at,
        made: None,
        state: KeyRowState::Intended,
        verifies_until: None,
    })
}

/// The generation of this role that is on its way to its first activation.
fn waiting(step: &Step<'_>, role: KeyRole) -> Outcome<Option<u32>> {
    step.one(
        "SELECT k.generation FROM ca_key AS k LEFT JOIN ca USING (role, generation)
         WHERE k.role = ?1 AND (k.state IN ('intended', 'made')
             OR k.state = 'certified' AND ca.activated_at IS NULL AND ca.revoked_at IS NULL)
         ORDER BY k.generation LIMIT 1",
        [role.as_str()],
        |row| row.get(0),
    )
}

pub(super) fn record_made(
    step: &mut Step<'_>,
    role: KeyRole,
    generation: u32,
    made: &MadeKey,
    stamp: &Stamp,
) -> Outcome<KeyRow> {
    let mut key = required(step, role, generation)?;
    if let Some(there) = &key.made {
        if there == made {
            return Ok(key);
        }
        return conflict(format!(
            "the {role} key of generation {generation} is recorded as {}, not {}: a key that was made does not change",
            there.uri, made.uri
        ));
    }
    let spki = SpkiHash::of_spki(&made.spki);
    let sql = "SELECT role, generation FROM ca_key WHERE spki_hash = ?1";
    let other: Option<(String, u32)> =
        step.one(sql, [spki.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if let Some((other, of)) = other {
        return conflict(format!(
            "{} has the public key of the {other} key of generation {of}: two CAs never share a key; name another one",
            made.uri
        ));
    }
    step.execute(
        "UPDATE ca_key SET uri = ?3, spki = ?4, spki_hash = ?5, state = 'made'
         WHERE role = ?1 AND generation = ?2",
        (role.as_str(), generation, &made.uri, &made.spki, spki.as_bytes()),
    )?;
    let detail = json!({"uri": made.uri, "spki": spki.to_string()});
    step.audit(stamp, "key.made", name(role, generation), detail.to_string())?;
    key.made = Some(made.clone());
    key.state = KeyRowState::Made;
    Ok(key)
}

pub(super) fn activate_token(
    step: &mut Step<'_>,
    generation: u32,
    grace_until: Timestamp,
    system_token: Option<&TokenRecord>,
    stamp: &Stamp,
) -> Outcome<u64> {
    match required(step, KeyRole::Token, generation)?.state {
        KeyRowState::Active => return Ok(0),
        KeyRowState::Made => {}
        state => {
            return conflict(format!(
                "the token key of generation {generation} is {}: only one that was made can be activated",
                state.as_str()
            ));
        }
    }
    // One that is retired already keeps its own end, if that is sooner.
    step.execute(
        "UPDATE ca_key SET state = 'retired', verifies_until = min(ifnull(verifies_until, ?1), ?1)
         WHERE role = 'token' AND state IN ('active', 'retired')",
        [grace_until.millis()],
    )?;
    set_state(step, KeyRole::Token, generation, KeyRowState::Active)?;
    step.end_credentials();
    let outliving = token::unrevoked_after(step, grace_until.max(stamp.at))?;
    let detail = json!({"earlierVerifyUntil": grace_until.millis(), "tokensThatEndThen": outliving});
    step.audit(stamp, "key.activated", name(KeyRole::Token, generation), detail.to_string())?;
    if let Some(system_token) = system_token {
        token::record(step, system_token, stamp)?;
    }
    Ok(outliving)
}

pub(super) fn set_state(step: &Step<'_>, role: KeyRole, generation: u32, state: KeyRowState) -> Outcome<()> {
    let sql = "UPDATE ca_key SET state = ?3 WHERE role = ?1 AND generation = ?2";
    step.execute(sql, (role.as_str(), generation, state.as_str()))?;
    Ok(())
}

pub(super) fn intend_ca(step: &mut Step<'_>, ca: &CaIntention, stamp: &Stamp) -> Outcome<CaIntention> {
    if let Some(there) = ca_intention(step.connection(), ca.role, ca.generation)? {
        return Ok(there);
    }
    let role = KeyRole::Ca(ca.role);
    if required(step, role, ca.generation)?.made.is_none() {
        return conflict(format!(
            "the {role} key of generation {} is not made yet: its certificate can't be prepared",
            ca.generation
        ));
    }
    step.execute(
        "INSERT INTO ca_intention (role, generation, serial, tbs) VALUES (?1, ?2, ?3, ?4)",
        (ca.role.as_str(), ca.generation, ca.serial.as_bytes(), &ca.tbs),
    )?;
    let detail = json!({"serial": ca.serial.to_string()});
    step.audit(stamp, "ca.intended", name(role, ca.generation), detail.to_string())?;
    Ok(ca.clone())
}

/// The bytes that were committed for a key's certificate.
pub(super) fn ca_intention(
    connection: &Connection,
    role: CaRole,
    generation: u32,
) -> Outcome<Option<CaIntention>> {
    let sql = "SELECT serial, tbs FROM ca_intention WHERE role = ?1 AND generation = ?2";
    let read = |row: &Row<'_>| Ok((row.get::<_, [u8; 16]>(0)?, row.get(1)?));
    let Some((serial, tbs)) = one(connection, sql, (role.as_str(), generation), read)? else {
        return Ok(None);
    };
    Ok(Some(CaIntention { role, generation, serial: serial_of(serial)?, tbs }))
}

/// A serial number from its column.
pub(super) fn serial_of(octets: [u8; 16]) -> Outcome<Serial> {
    Serial::try_from(octets.as_slice()).map_err(|error| Fault::Row(error.to_string()))
}
