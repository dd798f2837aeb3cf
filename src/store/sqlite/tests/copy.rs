//! Copies: of one moment, of every schema, and looked at without trust.

use super::super::{
    copy::{StoreCopy, copy_store},
    file::{APPLICATION_ID, PendingMigration, migrate_to, pending_migration},
};
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use tempfile::{TempDir, tempdir};

/// A store of this schema, in which nothing happened yet.
fn store(schema: usize) -> (TempDir, PathBuf, Connection) {
    let directory = tempdir().unwrap();
    let path = directory.path().join("certs.db");
    let mut connection = Connection::open(&path).unwrap();
    connection.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
    connection.pragma_update(None, "journal_mode", "WAL").unwrap();
    migrate_to(&mut connection, schema).unwrap();
    let row = "INSERT INTO deployment (one, id, audit_hash) VALUES (1, '0123456789abcdef', zeroblob(32))";
    connection.execute(row, ()).unwrap();
    (directory, path, connection)
}

fn copied(path: &Path) -> StoreCopy {
    let copy = path.with_file_name("copy ?#%.db");
    assert!(copy_store(path, &copy, &mut |_| true).unwrap());
    StoreCopy::open(&copy).unwrap()
}

#[test]
fn stores_of_every_schema_are_copied_and_told_of() {
    for schema in 1..=3 {
        let (_directory, path, _open) = store(schema);
        let copy = copied(&path);
        assert_eq!(copy.faults().unwrap(), Vec::<String>::new());
        let facts = copy.facts().unwrap();
        assert_eq!((facts.schema, facts.deployment.as_str()), (schema as i64, "0123456789abcdef"));
        assert_eq!((facts.rows["deployment"], facts.rows["ca"]), (1, 0));
    }
}

#[test]
fn what_is_not_committed_is_not_copied_and_nobody_waits() {
    let (_directory, path, writer) = store(2);
    writer.execute_batch("BEGIN IMMEDIATE; INSERT INTO name_owner VALUES ('a', 'a', 1)").unwrap();
    let facts = copied(&path).facts().unwrap();
    assert_eq!(facts.rows["name_owner"], 0);
    writer.execute_batch("COMMIT").unwrap();
}

/// The copy is of before it, and a copy of after it is made as soon as it is committed.
#[test]
fn a_copy_while_the_schema_changes_is_of_one_schema() {
    let (_directory, path, writer) = store(2);
    let pending = pending_migration(&path).unwrap();
    assert_eq!(pending, Some(PendingMigration { from: 2, to: 3 }));
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    writer.execute_batch(include_str!("../migrations/0003_recovery.sql")).unwrap();
    writer.pragma_update(None, "user_version", 3).unwrap();
    let before = copied(&path);
    assert_eq!((before.faults().unwrap(), before.facts().unwrap().schema), (Vec::new(), 2));
    assert_eq!(pending_migration(&path).unwrap(), pending);
    writer.execute_batch("COMMIT").unwrap();
    std::fs::remove_file(path.with_file_name("copy ?#%.db")).unwrap();
    let after = copied(&path);
    assert_eq!((after.faults().unwrap(), after.facts().unwrap().schema), (Vec::new(), 3));
    assert_eq!(pending_migration(&path).unwrap(), None);
    assert_eq!(pending_migration(&path.with_file_name("none.db")).unwrap(), None);
}

#[test]
fn another_schema_and_loose_references_are_faults() {
    let (_directory, path, connection) = store(2);
    connection.pragma_update(None, "foreign_keys", false).unwrap();
    connection.execute("INSERT INTO ca_count (ca) VALUES (7)", ()).unwrap();
    assert_eq!(
        copied(&path).faults().unwrap(),
        ["a row of ca_count refers to a row of ca that is not there"]
    );
    for made in ["CREATE TABLE more (a)", "DROP INDEX token_by_san", "CREATE VIEW v AS SELECT 1"] {
        let (_directory, path, connection) = store(2);
        connection.execute_batch(made).unwrap();
        let faults = copied(&path).faults().unwrap();
        assert_eq!(faults, ["its schema is not the one that this program makes"], "{made}");
    }
}

#[test]
fn copying_ends_when_it_is_told_to() {
    let (_directory, path, _open) = store(2);
    let copy = path.with_file_name("copy");
    assert!(!copy_store(&path, &copy, &mut |_| false).unwrap());
    assert!(copy_store(&path, &copy, &mut |_| true).is_err(), "nothing is written over");
}
