//! What an issuance rests on: looked at before a signature is spent, and again in the step that uses it up.

use super::{
    fault::{Fault, Outcome, conflict},
    key::serial_of,
    list, secret,
    step::{Step, one},
};
use crate::{
    identity::{Fingerprint, Serial, SpkiHash, Timestamp},
    store::{BootstrapUse, CertificateRow, RenewalUse, Ticket, TicketRefusal},
};
use rusqlite::Connection;

/// How long beyond its end a used proof is kept: the clock may go back by half of this and go on issuing.
const KEEP_PROOF_MS: i64 = 10 * 60 * 1000;
/// How many ended proofs go when one comes: more than one, so that they never pile up.
const PROOFS_AT_ONCE: i64 = 4;

/// Who comes with a ticket.
#[derive(Clone, Copy)]
pub(super) struct Bearer {
    /// `None` for the first certificate of an identity.
    pub(super) identity: Option<i64>,
    pub(super) spki: SpkiHash,
    pub(super) at: Timestamp,
}

/// Whether it serves.
pub(super) enum Verdict {
    Serves,
    Refused(TicketRefusal),
    /// The credential has brought this one for the same key and identity.
    IssuedBefore(Box<CertificateRow>),
}

pub(super) fn check(connection: &Connection, ticket: &Ticket, bearer: Bearer) -> Outcome<Verdict> {
    match ticket {
        Ticket::Bootstrap(bootstrap) => check_bootstrap(connection, bootstrap, bearer),
        Ticket::Renewal(renewal) => check_renewal(connection, renewal, bearer),
    }
}

fn check_bootstrap(connection: &Connection, bootstrap: &BootstrapUse, bearer: Bearer) -> Outcome<Verdict> {
    if revoked(connection, &bootstrap.credential)? {
        return Ok(Verdict::Refused(TicketRefusal::Spent));
    }
    if let Some(serial) = issued_before(connection, bootstrap, bearer)?
        && let Some(row) = list::by_serial(connection, serial, bearer.at)?
    {
        return Ok(Verdict::IssuedBefore(Box::new(row)));
    }
    if bootstrap.refuse_existing && holds_certificate(connection, bearer)? {
        return Ok(Verdict::Refused(TicketRefusal::IdentityExists));
    }
    match bootstrap.uses {
        Some(uses) if used(connection, &bootstrap.credential, uses)? >= uses => {
            Ok(Verdict::Refused(TicketRefusal::Spent))
        }
        _ => Ok(Verdict::Serves),
    }
}

fn revoked(connection: &Connection, credential: &str) -> Outcome<bool> {
    let Some(hash) = credential.strip_prefix("preset:") else {
        let sql = "SELECT revoked_at IS NOT NULL FROM token WHERE jti = ?1";
        return Ok(one(connection, sql, [credential], |row| row.get(0))?.unwrap_or(false));
    };
    let Ok(hash) = hash.parse::<Fingerprint>() else {
        return conflict(format!(
            "'{credential}' names no preset secret: its SHA-256 in base64url is expected"
        ));
    };
    let secret = secret::get(connection, "bootstrap", hash.as_bytes())?;
    Ok(secret.is_some_and(|secret| secret.revoked_at.is_some()))
}

/// The certificate's serial number, while it is active: neither expired, held nor revoked, nor its CA.
fn issued_before(
    connection: &Connection,
    bootstrap: &BootstrapUse,
    bearer: Bearer,
) -> Outcome<Option<Serial>> {
    let Some(identity) = bearer.identity else { return Ok(None) };
    let sql = "SELECT u.serial FROM bootstrap_use AS u
         CROSS JOIN certificate_record AS c ON c.serial = u.serial
         CROSS JOIN ca ON ca.id = c.issuer
         WHERE u.credential = ?1 AND u.spki = ?2 AND c.identity = ?3 AND c.state = 0 AND c.not_after > ?4
             AND ca.revoked_at IS NULL
         ORDER BY c.id DESC LIMIT 1";
    let values = (&bootstrap.credential, bearer.spki.as_bytes(), identity, bearer.at.millis());
    one(connection, sql, values, |row| row.get::<_, [u8; 16]>(0))?.map(serial_of).transpose()
}

/// Whether the identity holds an unexpired certificate that is not revoked for good.
pub(super) fn holds_certificate(connection: &Connection, bearer: Bearer) -> Outcome<bool> {
    let Some(identity) = bearer.identity else { return Ok(false) };
    let sql = "SELECT 1 FROM certificate_record INDEXED BY certificate_by_identity
         WHERE identity = ?1 AND not_after > ?2 AND state < 2";
    Ok(connection.prepare_cached(sql)?.exists((identity, bearer.at.millis()))?)
}

/// How many certificates a credential has brought, counted up to `most`.
fn used(connection: &Connection, credential: &str, most: u32) -> Outcome<u32> {
    let sql = "SELECT count(*) FROM (SELECT 1 FROM bootstrap_use WHERE credential = ?1 LIMIT ?2)";
    let count = one(connection, sql, (credential, most), |row| row.get(0))?;
    count.ok_or_else(|| Fault::Row("bootstrap_use can't be counted".to_owned()))
}

fn check_renewal(connection: &Connection, renewal: &RenewalUse, bearer: Bearer) -> Outcome<Verdict> {
    let certificate = "SELECT 1 FROM certificate_record AS c CROSS JOIN ca ON ca.id = c.issuer
         WHERE substr(c.fingerprint, 1, 11) = substr(?1, 1, 11) AND c.fingerprint = ?1 AND c.identity = ?2
             AND c.state = 0 AND c.not_after > ?3 AND ca.revoked_at IS NULL";
    let values = (renewal.certificate.to_string(), bearer.identity, bearer.at.millis());
    if !connection.prepare_cached(certificate)?.exists(values)? {
        return Ok(Verdict::Refused(TicketRefusal::CertificateGone));
    }
    let Some((jti_hash, _)) = renewal.proof else { return Ok(Verdict::Serves) };
    let proof = "SELECT 1 FROM renewal_proof WHERE jti_hash = ?1";
    if connection.prepare_cached(proof)?.exists([jti_hash])? {
        return Ok(Verdict::Refused(TicketRefusal::ProofUsed));
    }
    Ok(Verdict::Serves)
}

/// Uses up a ticket that serves, for the certificate with this serial number.
pub(super) fn punch(step: &Step<'_>, ticket: &Ticket, bearer: Bearer, serial: Serial) -> Outcome<()> {
    match ticket {
        Ticket::Bootstrap(bootstrap) => {
            step.execute(
                "INSERT INTO bootstrap_use (credential, spki, serial, used_at) VALUES (?1, ?2, ?3, ?4)",
                (&bootstrap.credential, bearer.spki.as_bytes(), serial.as_bytes(), bearer.at.millis()),
            )?;
        }
        Ticket::Renewal(RenewalUse { proof: Some((jti_hash, expires_at)), .. }) => {
            forget_ended_proofs(step, bearer.at)?;
            step.execute(
                "INSERT INTO renewal_proof (jti_hash, expires_at) VALUES (?1, ?2)",
                (jti_hash, expires_at.millis()),
            )?;
        }
        Ticket::Renewal(RenewalUse { proof: None, .. }) => {}
    }
    Ok(())
}

fn forget_ended_proofs(step: &Step<'_>, at: Timestamp) -> Outcome<()> {
    step.execute(
        "DELETE FROM renewal_proof WHERE jti_hash IN (
             SELECT jti_hash FROM renewal_proof WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)",
        (at.millis() - KEEP_PROOF_MS, PROOFS_AT_ONCE),
    )?;
    Ok(())
}
