//! What a backup tells of a store. Asks only for columns that stores of every schema so far have.

use super::{
    ca::key_id,
    fault::{Fault, Outcome},
    step::{all, one, time, time_if_any},
};
use crate::{
    identity::{Timestamp, TrustDomain},
    store::{AuditHead, CaFacts, CrlFacts, KeyFacts, KeyRowState, MadeKey, StoreFacts},
};
use rusqlite::{Connection, Row};
use std::collections::BTreeMap;

pub(super) fn read(connection: &Connection) -> Outcome<StoreFacts> {
    let sql =
        "SELECT id, trust_domain, initialized_at, bundle_version, spiffe_sequence, audit_seq, audit_hash
         FROM deployment";
    let deployment = one(connection, sql, (), |row| {
        let domain: Option<String> = row.get(1)?;
        let audit = AuditHead { seq: row.get(5)?, hash: row.get(6)? };
        Ok((row.get(0)?, domain, time_if_any(row, 2)?, row.get(3)?, row.get(4)?, audit))
    })?;
    let (id, domain, initialized_at, bundle_version, spiffe_sequence, audit) =
        deployment.ok_or_else(|| Fault::Row("the row of table deployment is missing".to_owned()))?;
    let trust_domain = domain.map(|text| text.parse::<TrustDomain>()).transpose();
    Ok(StoreFacts {
        schema: connection.pragma_query_value(None, "user_version", |row| row.get(0))?,
        deployment: id,
        trust_domain: trust_domain.map_err(|error| Fault::Row(error.to_string()))?,
        initialized_at,
        bundle_version,
        spiffe_sequence,
        audit,
        audit_at: one(connection, "SELECT at FROM audit WHERE seq = ?1", [audit.seq], |row| row.get(0))?
            .map(Timestamp::from_millis),
        rows: counts(connection)?,
        keys: keys(connection)?,
        cas: cas(connection)?,
        crls: crls(connection)?,
    })
}

fn counts(connection: &Connection) -> Outcome<BTreeMap<String, u64>> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite^_%' ESCAPE '^'";
    let names = all(connection, sql, (), |row| Ok(row.get::<_, String>(0)?))?;
    let mut counts = BTreeMap::new();
    for name in names {
        let quoted = name.replace('"', "\"\"");
        let count: i64 =
            connection.query_row(&format!("SELECT count(*) FROM \"{quoted}\""), (), |row| row.get(0))?;
        counts.insert(name, count.unsigned_abs());
    }
    Ok(counts)
}

fn keys(connection: &Connection) -> Outcome<Vec<KeyFacts>> {
    let sql = "SELECT role, generation, algorithm, backend, uri, spki, state FROM ca_key";
    let mut keys = all(connection, sql, (), |row| {
        let made = match (row.get(4)?, row.get(5)?) {
            (Some(uri), Some(spki)) => Some(MadeKey { uri, spki }),
            _ => None,
        };
        let state: String = row.get(6)?;
        Ok(KeyFacts {
            role: word(row, 0, "ca_key.role")?,
            generation: row.get(1)?,
            algorithm: row.get(2)?,
            backend: row.get(3)?,
            made,
            state: KeyRowState::parse(&state).ok_or_else(|| Fault::Row(format!("ca_key.state '{state}'")))?,
        })
    })?;
    keys.sort_by_key(|key| (key.role, key.generation));
    Ok(keys)
}

fn cas(connection: &Connection) -> Outcome<Vec<CaFacts>> {
    let sql = "SELECT ca.role, ca.generation, ca.ski, issuer.ski, ca.common_name, ca.der, ca.not_after, ca.revoked_at
         FROM ca JOIN ca AS issuer ON issuer.id = ca.issuer";
    let mut cas = all(connection, sql, (), |row| {
        Ok(CaFacts {
            role: word(row, 0, "ca.role")?,
            generation: row.get(1)?,
            ski: key_id(row, 2)?,
            issuer: key_id(row, 3)?,
            common_name: row.get(4)?,
            der: row.get(5)?,
            not_after: time(row, 6)?,
            is_revoked: row.get::<_, Option<i64>>(7)?.is_some(),
        })
    })?;
    cas.sort_by_key(|ca| (ca.role, ca.generation));
    Ok(cas)
}

fn crls(connection: &Connection) -> Outcome<Vec<CrlFacts>> {
    let sql = "SELECT ca.ski, reserved_number, published_number FROM crl JOIN ca ON ca.id = crl.ca";
    let read =
        |row: &Row<'_>| Ok(CrlFacts { ca: key_id(row, 0)?, reserved: row.get(1)?, published: row.get(2)? });
    let mut crls = all(connection, sql, (), read)?;
    crls.sort_by_key(|crl| crl.ca);
    Ok(crls)
}

fn word<T: std::str::FromStr>(row: &Row<'_>, column: usize, name: &str) -> Outcome<T> {
    let text: String = row.get(column)?;
    text.parse().map_err(|_| Fault::Row(format!("{name} '{text}'")))
}
