//! Secrets that the operator presets, by their hashes.

use super::{
    fault::Outcome,
    step::{Step, all, one, time, time_if_any},
};
use crate::{
    identity::Fingerprint,
    store::{PresetSecret, Stamp},
};
use rusqlite::Connection;
use serde_json::json;

pub(super) fn seen(
    step: &mut Step<'_>,
    kind: &str,
    sha256: &[u8; 32],
    stamp: &Stamp,
) -> Outcome<PresetSecret> {
    if let Some(known) = get(step.connection(), kind, sha256)? {
        return Ok(known);
    }
    step.execute(
        "INSERT INTO preset_secret (kind, sha256, first_seen) VALUES (?1, ?2, ?3)",
        (kind, sha256, stamp.at.millis()),
    )?;
    step.audit(stamp, "secret.first_seen", kind, named(sha256))?;
    Ok(PresetSecret { first_seen: stamp.at, revoked_at: None })
}

pub(super) fn get(connection: &Connection, kind: &str, sha256: &[u8; 32]) -> Outcome<Option<PresetSecret>> {
    let sql = "SELECT first_seen, revoked_at FROM preset_secret WHERE kind = ?1 AND sha256 = ?2";
    one(connection, sql, (kind, sha256), |row| {
        Ok(PresetSecret { first_seen: time(row, 0)?, revoked_at: time_if_any(row, 1)? })
    })
}

pub(super) fn revoke(step: &mut Step<'_>, kind: &str, sha256: &[u8; 32], stamp: &Stamp) -> Outcome<bool> {
    let revoked = step.execute(
        "UPDATE preset_secret SET revoked_at = ?3 WHERE kind = ?1 AND sha256 = ?2 AND revoked_at IS NULL",
        (kind, sha256, stamp.at.millis()),
    )?;
    if revoked == 0 {
        return Ok(false);
    }
    step.end_credentials();
    step.audit(stamp, "secret.revoked", kind, named(sha256))?;
    Ok(true)
}

/// Revokes each that is still good; answers how many there were.
pub(super) fn revoke_all(step: &mut Step<'_>, stamp: &Stamp) -> Outcome<u64> {
    let sql = "SELECT kind, sha256 FROM preset_secret WHERE revoked_at IS NULL";
    let good =
        all(step.connection(), sql, (), |row| Ok((row.get::<_, String>(0)?, row.get::<_, [u8; 32]>(1)?)))?;
    for (kind, sha256) in &good {
        revoke(step, kind, sha256, stamp)?;
    }
    Ok(good.len() as u64)
}

/// How the audit log names the secret.
fn named(sha256: &[u8; 32]) -> String {
    json!({"sha256": Fingerprint::from(*sha256).to_string()}).to_string()
}
