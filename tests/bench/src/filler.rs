//! Fills a store with the certificates of the last two days, past the service: as rows, in one transaction, with
//! the counters and the audit log's chain as the service would have left them.

use crate::Outcome;
use aws_lc_rs::rand;
use catalyst_pki::{identity::Timestamp, store::AuditRecord};
use rusqlite::{Connection, Transaction};
use std::{
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

const TWO_DAYS_MS: i64 = 2 * 86_400_000;
const HOUR_MS: i64 = 3_600_000;
const MINUTE_MS: i64 = 60_000;
/// A service renews at half-life: this many times in two days.
const CERTIFICATES_EACH: u64 = 96;

/// Adds `rows` end-entity certificates to an initialised store that nobody has open. Each has the length of `pem`.
pub(crate) fn fill(path: &Path, rows: u64, pem: &str) -> Outcome {
    let mut connection = Connection::open(path)?;
    // Nothing is lost if this is cut off: the copy is thrown away.
    connection.execute_batch(
        "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -1000000; PRAGMA foreign_keys = ON;",
    )?;
    let transaction = connection.transaction()?;
    insert(&transaction, rows, pem)?;
    transaction.commit()?;
    connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA optimize;")?;
    connection.close().map_err(|(_, error)| error)?;
    Ok(std::fs::File::open(path)?.sync_all()?)
}

fn insert(store: &Transaction<'_>, rows: u64, pem: &str) -> Outcome {
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    let issuer: i64 = store.query_row("SELECT id FROM ca WHERE role = 'services'", [], |row| row.get(0))?;
    let (mut last, seq, hash): (i64, i64, [u8; 32]) =
        store.query_row("SELECT last_certificate, audit_seq, audit_hash FROM deployment", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
    let mut record = blank_record(seq, hash);
    let identities = rows.div_ceil(CERTIFICATES_EACH);
    let mut identity = store.prepare("INSERT INTO identity (spiffe_id) VALUES (?1)")?;
    let mut owner =
        store.prepare("INSERT INTO name_owner (name, instance_id, claimed_at) VALUES (?1, ?1, ?2)")?;
    let mut first_identity = None;
    for number in 0..identities {
        let id = identity.insert([spiffe_id(number)])?;
        first_identity.get_or_insert(id);
        owner.execute((instance_id(number), now - TWO_DAYS_MS))?;
    }
    let first_identity = first_identity.unwrap_or_default();
    let mut certificate = store.prepare(
        "INSERT INTO certificate_record (id, identity, issuer, not_before, not_after, created_at, serial, spki,
             fingerprint, type, common_name, certificate_pem)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 'end-entity', ?10, ?11)",
    )?;
    let mut minute = store.prepare(
        "INSERT INTO expiry_minute (minute, active) VALUES (?1, 1) ON CONFLICT (minute) DO UPDATE SET active = active + 1",
    )?;
    let mut audit = store.prepare(
        "INSERT INTO audit (seq, at, actor, action, subject, detail, prev_hash, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    for number in 0..rows {
        let at = now - TWO_DAYS_MS
            + i64::try_from(u128::from(number) * TWO_DAYS_MS.unsigned_abs() as u128 / u128::from(rows))?;
        let of = number % identities;
        let (serial, spki, fingerprint) = (random::<16>()?, random::<32>()?, text(&random::<32>()?));
        last += 1;
        certificate.execute((
            last,
            first_identity + i64::try_from(of)?,
            issuer,
            at - MINUTE_MS,
            at + HOUR_MS,
            at,
            serial,
            spki,
            &fingerprint,
            instance_id(of),
            pem,
        ))?;
        minute.execute([(at + HOUR_MS).div_euclid(MINUTE_MS)])?;
        record.prev_hash = record.hash;
        record.seq += 1;
        record.at = Timestamp::from_millis(at);
        record.subject = spiffe_id(of);
        record.detail = format!(
            r#"{{"serial":"{}","spki":"{}","fingerprint":"{fingerprint}","issuer":"{}"}}"#,
            hex(&serial),
            text(&spki),
            hex(&[0; 20])
        );
        record.hash = record.computed_hash();
        audit.execute((
            record.seq,
            at,
            &record.actor,
            &record.action,
            &record.subject,
            &record.detail,
            record.prev_hash,
            record.hash,
        ))?;
    }
    store.execute(
        "UPDATE ca_count SET issued = issued + ?2, last_expiry = max(last_expiry, ?3) WHERE ca = ?1",
        (issuer, i64::try_from(rows)?, now + HOUR_MS),
    )?;
    store.execute(
        "UPDATE deployment SET audit_seq = ?1, audit_hash = ?2, last_certificate = ?3, newest_time = max(newest_time, ?4)",
        (record.seq, record.hash, last, record.at.millis()),
    )?;
    Ok(())
}

fn blank_record(seq: i64, hash: [u8; 32]) -> AuditRecord {
    AuditRecord {
        seq,
        at: Timestamp::from_millis(0),
        actor: "system".into(),
        action: "certificate.issued".into(),
        subject: String::new(),
        detail: String::new(),
        prev_hash: [0; 32],
        hash,
    }
}

fn instance_id(number: u64) -> String {
    format!("filler-{number}.example.org")
}

fn spiffe_id(number: u64) -> String {
    format!("spiffe://{}/node/{}", crate::requests::TRUST_DOMAIN, instance_id(number))
}

fn random<const N: usize>() -> Outcome<[u8; N]> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| "no random numbers")?;
    // A serial number is positive and not shorter than it could be.
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// 32 octets as the store writes hashes: base64url, unpadded.
fn text(hash: &[u8; 32]) -> String {
    catalyst_pki::identity::SpkiHash::from(*hash).to_string()
}
