//! Records of tokens: recorded, listed, revoked.

use super::{
    fault::{Fault, Outcome, conflict},
    step::{Step, all, time, time_if_any},
};
use crate::{
    identity::{Fingerprint, SpiffeId, Timestamp},
    store::{BootstrapGrant, Stamp, TokenQuery, TokenRecord, TokenRow, TokenSelector},
};
use rusqlite::{Connection, Params, Row, named_params, params};
use serde_json::json;

pub(super) fn record(step: &mut Step<'_>, token: &TokenRecord, stamp: &Stamp) -> Outcome<()> {
    if step.exists("SELECT 1 FROM token WHERE jti = ?1", [&token.jti])? {
        return conflict(format!("a token with the jti {} is recorded already", token.jti));
    }
    let grant = token.bootstrap.as_ref();
    step.execute(
        "INSERT INTO token (jti, subject, principal, entity, certificate_fingerprint, bootstrap_spiffe_id,
             bootstrap_uses, issued_at, expires_at, revoked_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            token.jti,
            token.subject,
            token.principal,
            token.entity,
            token.certificate_fingerprint.map(|fingerprint| fingerprint.to_string()),
            grant.and_then(|grant| grant.spiffe_id.as_ref()).map(SpiffeId::as_str),
            grant.map(|grant| grant.uses),
            token.issued_at.millis(),
            token.expires_at.millis(),
            token.revoked_at.map(Timestamp::millis),
        ],
    )?;
    let id = step.connection().last_insert_rowid();
    for (place, san) in (0_i64..).zip(&token.sans) {
        let sql = "INSERT INTO token_san (token, place, san) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
        step.execute(sql, (id, place, san))?;
    }
    let entity: serde_json::Value = serde_json::from_str(&token.entity).unwrap_or_default();
    let mut detail = json!({
        "subject": token.subject, "principal": token.principal, "expiresAt": token.expires_at.millis(), "entity": entity,
    });
    if let Some(certificate) = &token.certificate_fingerprint {
        detail["certificateFingerprint"] = certificate.to_string().into();
    }
    if !token.sans.is_empty() {
        detail["sans"] = token.sans.clone().into();
    }
    if let Some(grant) = grant {
        let spiffe_id = grant.spiffe_id.as_ref().map(ToString::to_string);
        detail["bootstrap"] = json!({ "spiffeId": spiffe_id, "uses": grant.uses });
    }
    step.audit(stamp, "token.recorded", &token.jti, detail.to_string())
}

/// Tokens with their columns as [`read`] takes them.
fn select(connection: &Connection, rest: &str, values: impl Params) -> Outcome<Vec<TokenRow>> {
    let sql = format!(
        "SELECT t.id, t.jti, t.subject, t.principal, t.entity, t.certificate_fingerprint, t.bootstrap_spiffe_id,
             t.bootstrap_uses, t.issued_at, t.expires_at, t.revoked_at FROM {rest}"
    );
    all(connection, &sql, values, |row| read(connection, row))
}

fn read(connection: &Connection, row: &Row<'_>) -> Outcome<TokenRow> {
    let id = row.get(0)?;
    let fingerprint: Option<String> = row.get(5)?;
    let fingerprint = fingerprint.map(|text| text.parse()).transpose();
    let spiffe_id: Option<String> = row.get(6)?;
    let spiffe_id = spiffe_id.map(|text| text.parse()).transpose();
    let spiffe_id = spiffe_id.map_err(|error| Fault::Row(format!("token.bootstrap_spiffe_id: {error}")))?;
    let record = TokenRecord {
        jti: row.get(1)?,
        subject: row.get(2)?,
        principal: row.get(3)?,
        entity: row.get(4)?,
        sans: sans(connection, id)?,
        certificate_fingerprint: fingerprint
            .map_err(|_| Fault::Row(format!("token {id}: certificate_fingerprint")))?,
        bootstrap: row.get::<_, Option<u32>>(7)?.map(|uses| BootstrapGrant { spiffe_id, uses }),
        issued_at: time(row, 8)?,
        expires_at: time(row, 9)?,
        revoked_at: time_if_any(row, 10)?,
    };
    Ok(TokenRow { id, record })
}

fn sans(connection: &Connection, token: i64) -> Outcome<Vec<String>> {
    let sql = "SELECT san FROM token_san WHERE token = ?1 ORDER BY place";
    all(connection, sql, [token], |row| Ok(row.get(0)?))
}

pub(super) fn get(connection: &Connection, jti: &str) -> Outcome<Option<TokenRecord>> {
    let found = select(connection, "token AS t WHERE t.jti = ?1", [jti])?.pop();
    Ok(found.map(|row| row.record))
}

pub(super) fn list(connection: &Connection, query: &TokenQuery) -> Outcome<Vec<TokenRow>> {
    // A SAN's or certificate's tokens lie in their index by number. CROSS, so that the index is where it begins.
    let (from, san) = match query.san {
        Some(_) => {
            ("token_san AS s CROSS JOIN token AS t ON t.id = s.token", "s.san = :san AND s.token < :before")
        }
        None => ("token AS t", ":san IS NULL AND t.id < :before"),
    };
    let certificate = match query.certificate_fingerprint {
        Some(_) => "t.certificate_fingerprint = :certificate",
        None => ":certificate IS NULL",
    };
    let newest_first = if query.san.is_some() { "s.token" } else { "t.id" };
    select(
        connection,
        &format!("{from} WHERE {san} AND {certificate} ORDER BY {newest_first} DESC LIMIT :limit"),
        named_params! {
            ":san": query.san,
            ":certificate": query.certificate_fingerprint.map(|fingerprint| fingerprint.to_string()),
            ":before": query.before.unwrap_or(i64::MAX),
            ":limit": query.limit,
        },
    )
}

pub(super) fn revoked(connection: &Connection, at: Timestamp) -> Outcome<Vec<String>> {
    let sql = "SELECT jti FROM token INDEXED BY token_by_revocation
         WHERE revoked_at IS NOT NULL AND expires_at > ?1 ORDER BY jti";
    all(connection, sql, [at.millis()], |row| Ok(row.get(0)?))
}

/// How many tokens would still be good after a moment.
pub(super) fn unrevoked_after(step: &Step<'_>, moment: Timestamp) -> Outcome<u64> {
    let sql = "SELECT count(*) FROM token INDEXED BY token_by_expiry
         WHERE revoked_at IS NULL AND expires_at > ?1";
    let count: Option<i64> = step.one(sql, [moment.millis()], |row| row.get(0))?;
    Ok(count.unwrap_or_default().unsigned_abs())
}

pub(super) fn revoke(step: &mut Step<'_>, which: &TokenSelector, stamp: &Stamp) -> Outcome<Vec<TokenRecord>> {
    let (selected, value) = match which {
        TokenSelector::Jti(jti) => ("token AS t WHERE t.jti = ?2", jti.clone()),
        TokenSelector::San(san) => {
            ("token_san AS s CROSS JOIN token AS t ON t.id = s.token WHERE s.san = ?2", san.clone())
        }
        TokenSelector::Certificate(fingerprint) => {
            ("token AS t WHERE t.certificate_fingerprint = ?2", fingerprint.to_string())
        }
    };
    let live = live(step.connection(), selected, (stamp.at.millis(), value))?;
    end(step, live, stamp)
}

/// Of those selected, the tokens that are neither revoked nor expired; `?1` is the time.
fn live(connection: &Connection, selected: &str, values: impl Params) -> Outcome<Vec<TokenRow>> {
    select(connection, &format!("{selected} AND t.revoked_at IS NULL AND t.expires_at > ?1"), values)
}

/// All of them.
pub(super) fn live_at(connection: &Connection, at: Timestamp) -> Outcome<Vec<TokenRow>> {
    live(connection, "token AS t WHERE true", [at.millis()])
}

/// Those bound to any certificate of an identity, expired ones included.
pub(super) fn live_of_identity(
    connection: &Connection,
    identity: i64,
    at: Timestamp,
) -> Outcome<Vec<TokenRow>> {
    let selected = "certificate_record AS c INDEXED BY certificate_by_identity
         CROSS JOIN token AS t ON t.certificate_fingerprint = c.fingerprint WHERE c.identity = ?2";
    live(connection, selected, (at.millis(), identity))
}

/// Those bound to one certificate.
pub(super) fn live_of_certificate(
    connection: &Connection,
    fingerprint: &str,
    at: Timestamp,
) -> Outcome<Vec<TokenRow>> {
    live(connection, "token AS t WHERE t.certificate_fingerprint = ?2", (at.millis(), fingerprint))
}

/// Revokes them; answers them as they are now.
pub(super) fn end(step: &mut Step<'_>, tokens: Vec<TokenRow>, stamp: &Stamp) -> Outcome<Vec<TokenRecord>> {
    let mut ended = Vec::with_capacity(tokens.len());
    for TokenRow { id, mut record } in tokens {
        step.end_credentials();
        step.execute("UPDATE token SET revoked_at = ?2 WHERE id = ?1", (id, stamp.at.millis()))?;
        record.revoked_at = Some(stamp.at);
        let bound = record.certificate_fingerprint.map(|fingerprint: Fingerprint| fingerprint.to_string());
        let detail = json!({"subject": record.subject, "principal": record.principal, "certificate": bound});
        step.audit(stamp, "token.revoked", &record.jti, detail.to_string())?;
        ended.push(record);
    }
    Ok(ended)
}

/// Tokens that ended, revoked or not, with their names and uses; and uses of preset secrets, which have no end of
/// their own and count nothing: they only tell which certificate a repeated request had.
pub(super) fn purge(step: &mut Step<'_>, before: Timestamp, limit: u32) -> Outcome<u64> {
    let mut purged = 0;
    for state in ["revoked_at IS NULL", "revoked_at IS NOT NULL"] {
        let sql = format!(
            "SELECT id, jti FROM token WHERE {state} AND expires_at < ?1 ORDER BY expires_at LIMIT ?2"
        );
        let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?));
        for (id, jti) in all(step.connection(), &sql, (before.millis(), limit), read)? {
            step.execute("DELETE FROM token_san WHERE token = ?1", [id])?;
            step.execute("DELETE FROM bootstrap_use WHERE credential = ?1", [jti])?;
            step.execute("DELETE FROM token WHERE id = ?1", [id])?;
            purged += 1;
        }
    }
    let uses = step.execute(
        "DELETE FROM bootstrap_use WHERE id IN (SELECT id FROM bootstrap_use
             WHERE credential > 'preset:' AND credential < 'preset;' AND used_at < ?1 LIMIT ?2)",
        (before.millis(), limit),
    )?;
    Ok(purged + uses as u64)
}
