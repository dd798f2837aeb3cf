//! What the journal of denials is to hold: of the audit log, and of what stands.

use super::{
    audit,
    ca::key_id,
    deny,
    fault::{Fault, Outcome},
    key::serial_of,
    step::{Step, all, one},
};
use crate::{
    identity::{Fingerprint, SpkiHash, Timestamp},
    store::{JOURNALLED, JournalLine, JournalPiece},
};
use rusqlite::{Connection, Row};
use serde_json::{Value, json};

/// How many audit records are gone through at one look.
const STRETCH: i64 = 20_000;

pub(super) fn journalled(connection: &Connection) -> Outcome<i64> {
    let seq = one(connection, "SELECT journalled_seq FROM deployment", (), |row| row.get(0))?;
    Ok(seq.unwrap_or_default())
}

pub(super) fn set_journalled(step: &mut Step<'_>, up_to: i64) -> Outcome<()> {
    step.execute("UPDATE deployment SET journalled_seq = max(journalled_seq, ?1)", [up_to])?;
    Ok(())
}

/// Goes through the next stretch of the audit log; answers whether there is more.
pub(super) fn gather(connection: &Connection, mut piece: JournalPiece) -> Outcome<(JournalPiece, bool)> {
    let deployment = deployment(connection)?;
    let head = audit::head(connection)?.seq;
    let after = piece.up_to.max(audit::base(connection)?.seq);
    let until = after.saturating_add(STRETCH).min(head);
    let actions = JOURNALLED.map(|action| format!("'{action}'")).join(", ");
    let sql = format!(
        "SELECT seq, at, action, subject, detail FROM audit
         WHERE seq > ?1 AND seq <= ?2 AND action IN ({actions}) ORDER BY seq"
    );
    let found = all(connection, &sql, (after, until), |row| {
        let detail: String = row.get(4)?;
        Ok(JournalLine {
            deployment: deployment.clone(),
            seq: row.get(0)?,
            at: row.get(1)?,
            action: row.get(2)?,
            subject: row.get(3)?,
            detail: serde_json::from_str(&detail).map_err(|error| Fault::Row(format!("audit: {error}")))?,
        })
    })?;
    piece.lines.extend(found);
    piece.up_to = piece.up_to.max(until);
    Ok((piece, until < head))
}

/// What stands. The head is read first: what comes between is told of twice and not left out.
pub(super) fn standing(connection: &Connection, at: Timestamp) -> Outcome<JournalPiece> {
    let up_to = audit::head(connection)?.seq;
    let mut lines = Lines { deployment: deployment(connection)?, found: Vec::new() };
    for denial in deny::list(connection)? {
        let mut detail = json!({"reason": denial.reason, "compromised": denial.compromised});
        // Those of a denial that revoked for good have lines of their own below.
        let on_hold = deny::on_hold(connection, &denial.spiffe_id, at)?;
        if !on_hold.is_empty() {
            detail["withdrawn"] = on_hold.into();
        }
        lines.add(denial.denied_at.millis(), "identity.denied", denial.spiffe_id.to_string(), detail);
    }
    certificates(connection, at, &mut lines)?;
    cas(connection, &mut lines)?;
    tokens(connection, at, &mut lines)?;
    secrets(connection, &mut lines)?;
    Ok(JournalPiece { lines: lines.found, up_to })
}

struct Lines {
    deployment: String,
    found: Vec<JournalLine>,
}

impl Lines {
    fn add(&mut self, at: i64, action: &str, subject: String, detail: Value) {
        let deployment = self.deployment.clone();
        self.found.push(JournalLine { deployment, seq: 0, at, action: action.to_owned(), subject, detail });
    }
}

/// Those on a CRL for good; a hold is its identity's denial. Of one that a restore has learnt from a CRL there is
/// no more than the CRL tells.
fn certificates(connection: &Connection, at: Timestamp, lines: &mut Lines) -> Outcome<()> {
    let sql =
        "SELECT e.serial, e.revoked_at, e.reason, e.not_after, ca.ski, i.spiffe_id, c.spki, c.fingerprint
         FROM crl_entry AS e JOIN ca ON ca.id = e.ca LEFT JOIN certificate_record AS c ON c.serial = e.serial
         LEFT JOIN identity AS i ON i.id = c.identity
         WHERE e.reason <> 6 AND e.not_after > ?1 AND (c.id IS NULL OR c.identity IS NOT NULL)
             AND NOT EXISTS (SELECT 1 FROM ca AS listed WHERE listed.serial = e.serial)
         ORDER BY e.revoked_at";
    let read = |row: &Row<'_>| {
        let mut detail = json!({
            "reason": row.get::<_, u8>(2)?, "issuer": key_id(row, 4)?.to_string(),
            "notAfter": row.get::<_, i64>(3)?,
        });
        if let Some(spiffe_id) = row.get::<_, Option<String>>(5)? {
            detail["spiffeId"] = spiffe_id.into();
            detail["spki"] = SpkiHash::from(row.get::<_, [u8; 32]>(6)?).to_string().into();
            detail["fingerprint"] = row.get::<_, String>(7)?.into();
        }
        Ok((serial_of(row.get(0)?)?, row.get(1)?, detail))
    };
    for (serial, revoked_at, detail) in all(connection, sql, [at.millis()], read)? {
        lines.add(revoked_at, "certificate.revoked", serial.to_string(), detail);
    }
    Ok(())
}

fn cas(connection: &Connection, lines: &mut Lines) -> Outcome<()> {
    let sql = "SELECT ca.ski, ca.revoked_at, ca.role, ifnull(e.reason, 0) FROM ca
         LEFT JOIN crl_entry AS e ON e.ca = ca.issuer AND e.serial = ca.serial
         WHERE ca.revoked_at IS NOT NULL ORDER BY ca.revoked_at";
    let read = |row: &Row<'_>| {
        let detail = json!({"role": row.get::<_, String>(2)?, "reason": row.get::<_, u8>(3)?});
        Ok((key_id(row, 0)?, row.get(1)?, detail))
    };
    for (ski, revoked_at, detail) in all(connection, sql, (), read)? {
        lines.add(revoked_at, "ca.revoked", ski.to_string(), detail);
    }
    Ok(())
}

fn tokens(connection: &Connection, at: Timestamp, lines: &mut Lines) -> Outcome<()> {
    let sql = "SELECT jti, revoked_at, subject, principal, certificate_fingerprint FROM token
         WHERE revoked_at IS NOT NULL AND expires_at > ?1 ORDER BY revoked_at";
    let read = |row: &Row<'_>| {
        let detail = json!({
            "subject": row.get::<_, String>(2)?, "principal": row.get::<_, String>(3)?,
            "certificate": row.get::<_, Option<String>>(4)?,
        });
        Ok((row.get(0)?, row.get(1)?, detail))
    };
    for (jti, revoked_at, detail) in all(connection, sql, [at.millis()], read)? {
        lines.add(revoked_at, "token.revoked", jti, detail);
    }
    Ok(())
}

fn secrets(connection: &Connection, lines: &mut Lines) -> Outcome<()> {
    let sql =
        "SELECT kind, revoked_at, sha256 FROM preset_secret WHERE revoked_at IS NOT NULL ORDER BY revoked_at";
    let read = |row: &Row<'_>| {
        let sha256 = Fingerprint::from(row.get::<_, [u8; 32]>(2)?).to_string();
        Ok((row.get(0)?, row.get(1)?, json!({ "sha256": sha256 })))
    };
    for (kind, revoked_at, detail) in all(connection, sql, (), read)? {
        lines.add(revoked_at, "secret.revoked", kind, detail);
    }
    Ok(())
}

fn deployment(connection: &Connection) -> Outcome<String> {
    let id = one(connection, "SELECT id FROM deployment", (), |row| row.get(0))?;
    id.ok_or_else(|| Fault::Row("the row of table deployment is missing".to_owned()))
}
