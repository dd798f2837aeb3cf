//! Records of tokens, and hashes of preset secrets.

use super::{
    fault::{Outcome, conflict},
    step::{Step, one, time, time_if_any},
};
use crate::{
    identity::{Fingerprint, Timestamp},
    store::{PresetSecret, Stamp, TokenRecord},
};
use rusqlite::Connection;
use serde_json::json;

pub(super) fn record(step: &mut Step<'_>, token: &TokenRecord, stamp: &Stamp) -> Outcome<()> {
    if step.exists("SELECT 1 FROM token WHERE jti = ?1", [&token.jti])? {
        return conflict(format!("a token with the jti {} is recorded already", token.jti));
    }
    step.execute(
        "INSERT INTO token (jti, subject, principal, entity, issued_at, expires_at, revoked_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        (
            &token.jti,
            &token.subject,
            &token.principal,
            &token.entity,
            token.issued_at.millis(),
            token.expires_at.millis(),
            token.revoked_at.map(Timestamp::millis),
        ),
    )?;
    let detail = json!({
        "subject": token.subject, "principal": token.principal, "expiresAt": token.expires_at.millis(),
    });
    step.audit(stamp, "token.recorded", &token.jti, detail.to_string())
}

pub(super) fn get(connection: &Connection, jti: &str) -> Outcome<Option<TokenRecord>> {
    let sql = "SELECT jti, subject, principal, entity, issued_at, expires_at, revoked_at FROM token
         WHERE jti = ?1";
    one(connection, sql, [jti], |row| {
        Ok(TokenRecord {
            jti: row.get(0)?,
            subject: row.get(1)?,
            principal: row.get(2)?,
            entity: row.get(3)?,
            sans: Vec::new(),
            certificate_fingerprint: None,
            bootstrap: None,
            issued_at: time(row, 4)?,
            expires_at: time(row, 5)?,
            revoked_at: time_if_any(row, 6)?,
        })
    })
}

pub(super) fn preset_secret(
    step: &mut Step<'_>,
    kind: &str,
    sha256: &[u8; 32],
    stamp: &Stamp,
) -> Outcome<PresetSecret> {
    let sql = "SELECT first_seen, revoked_at FROM preset_secret WHERE kind = ?1 AND sha256 = ?2";
    let known = step.one(sql, (kind, sha256), |row| {
        Ok(PresetSecret { first_seen: time(row, 0)?, revoked_at: time_if_any(row, 1)? })
    })?;
    if let Some(known) = known {
        return Ok(known);
    }
    step.execute(
        "INSERT INTO preset_secret (kind, sha256, first_seen) VALUES (?1, ?2, ?3)",
        (kind, sha256, stamp.at.millis()),
    )?;
    let detail = json!({"sha256": Fingerprint::from(*sha256).to_string()});
    step.audit(stamp, "secret.first_seen", kind, detail.to_string())?;
    Ok(PresetSecret { first_seen: stamp.at, revoked_at: None })
}
