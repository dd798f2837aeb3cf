//! What lies in a data directory, read from a copy and not through the service.

use catalyst_pki::store::{AuditVerdict, SqliteStore, Store};
use rusqlite::Connection;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};
use tempfile::TempDir;

/// The facts of a store that was found whole.
#[derive(Debug)]
pub(crate) struct Facts {
    /// End-entity certificates (PEM) by serial number.
    pub(crate) issued: BTreeMap<String, String>,
    /// Fingerprints of the CA certificates by type.
    pub(crate) cas: BTreeMap<String, String>,
    /// Rows of `ca_key`, as key files are called.
    pub(crate) keys: Vec<String>,
    /// Reserved and published CRL number of each CA, by its role.
    pub(crate) crl_numbers: BTreeMap<String, (i64, i64)>,
    pub(crate) denied: BTreeSet<String>,
    pub(crate) deployment: String,
    pub(crate) initialized: bool,
}

/// Checks a store of a process that has ended, from a copy, so that the service itself still finds what it left.
pub(crate) fn facts(data_dir: &Path) -> Facts {
    let copy = TempDir::new().unwrap();
    for name in ["certs.db", "certs.db-wal"] {
        if data_dir.join(name).exists() {
            fs::copy(data_dir.join(name), copy.path().join(name)).unwrap();
        }
    }
    let path = copy.path().join("certs.db");
    let facts = read(&Connection::open(&path).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let verdict = runtime.block_on(async {
        let store = SqliteStore::open(&path).unwrap();
        let verdict = store.verify_audit().await.unwrap();
        store.close().await.unwrap();
        verdict
    });
    assert!(matches!(verdict, AuditVerdict::Intact(_)), "{verdict:?}");
    facts
}

fn read(store: &Connection) -> Facts {
    assert_eq!(texts(store, "PRAGMA integrity_check"), ["ok"]);
    assert_eq!(texts(store, "SELECT \"table\" FROM pragma_foreign_key_check"), Vec::<String>::new());
    nothing_is_half_recorded(store);
    let pairs = |sql| pairs(store, sql);
    let numbers = "SELECT role, reserved_number || ' ' || coalesce(published_number, 0) FROM crl JOIN ca ON ca.id = crl.ca";
    let numbers = pairs(numbers).into_iter().map(|(role, numbers)| {
        let (reserved, published) = numbers.split_once(' ').unwrap();
        (role, (reserved.parse().unwrap(), published.parse().unwrap()))
    });
    Facts {
        issued: pairs("SELECT serial, certificate_pem FROM certificate WHERE type = 'end-entity'"),
        cas: pairs("SELECT type, fingerprint FROM certificate WHERE type <> 'end-entity'"),
        keys: texts(store, "SELECT role || '-' || generation FROM ca_key ORDER BY 1"),
        crl_numbers: numbers.collect(),
        denied: texts(store, "SELECT spiffe_id FROM denied_identity").into_iter().collect(),
        deployment: texts(store, "SELECT id FROM deployment").concat(),
        initialized: texts(store, "SELECT initialized_at FROM deployment WHERE initialized_at > 0").len()
            == 1,
    }
}

/// Every certificate has all that is committed with it, and nothing that is committed with one is there without it.
fn nothing_is_half_recorded(store: &Connection) {
    let count = |sql: &str| store.query_row(sql, (), |row| row.get::<_, i64>(0)).unwrap();
    let certificates = count("SELECT count(*) FROM certificate WHERE type = 'end-entity'");
    assert_eq!(count("SELECT count(*) FROM audit WHERE action = 'certificate.issued'"), certificates);
    assert_eq!(
        count(
            "SELECT count(*) FROM certificate c JOIN audit a ON a.action = 'certificate.issued'
                 AND a.subject = c.spiffe_id AND json_extract(a.detail, '$.serial') = c.serial
             WHERE c.type = 'end-entity'"
        ),
        certificates
    );
    assert_eq!(count("SELECT count(DISTINCT serial) FROM certificate_record"), {
        count("SELECT count(*) FROM certificate_record")
    });
    // The root's own certificate is not among those that it issued.
    let cas = count("SELECT count(*) FROM ca WHERE issuer <> id");
    assert_eq!(count("SELECT coalesce(sum(issued), 0) FROM ca_count"), certificates + cas);
    assert_eq!(
        count("SELECT coalesce(sum(active), 0) FROM expiry_minute"),
        count("SELECT count(*) FROM certificate_record WHERE state = 0 AND type = 'end-entity'")
    );
    assert_eq!(
        count(
            "SELECT count(*) FROM certificate_record c JOIN identity i ON i.id = c.identity
             JOIN denied_identity USING (spiffe_id) WHERE c.state = 0"
        ),
        0
    );
    assert_eq!(
        count("SELECT count(*) FROM crl_entry e JOIN certificate_record c USING (serial) WHERE c.state = 0"),
        0
    );
    assert_eq!(
        count(
            "SELECT count(*) FROM certificate_record LEFT JOIN crl_entry e USING (serial) WHERE state > 0 AND e.ca IS NULL"
        ),
        0
    );
}

fn texts(store: &Connection, sql: &str) -> Vec<String> {
    let mut statement = store.prepare(sql).unwrap();
    let rows = statement.query_map((), |row| {
        let value: rusqlite::types::Value = row.get(0)?;
        Ok(match value {
            rusqlite::types::Value::Text(text) => text,
            other => format!("{other:?}"),
        })
    });
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}

fn pairs(store: &Connection, sql: &str) -> BTreeMap<String, String> {
    let mut statement = store.prepare(sql).unwrap();
    let rows = statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?)));
    let rows: Vec<(String, String)> = rows.unwrap().collect::<Result<_, _>>().unwrap();
    let count = rows.len();
    let pairs: BTreeMap<_, _> = rows.into_iter().collect();
    assert_eq!(pairs.len(), count, "{sql}: a key is there twice");
    pairs
}

/// The names of the files in the key directory.
pub(crate) fn key_files(data_dir: &Path) -> Vec<String> {
    names_in(&data_dir.join("keys"))
}

pub(crate) fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The keys of one whole hierarchy.
pub(crate) const KEYS: [&str; 4] = ["root-1", "services-1", "token-1", "transport-1"];
/// Their files.
pub(crate) const KEY_FILES: [&str; 4] = ["root-1.pem", "services-1.pem", "token-1.pem", "transport-1.pem"];
