//! What operators query by hand.

use super::{in_file, place};
use crate::{
    identity::{Clock, SystemClock},
    store::{RevocationReason, conformance::fixture::*},
};
use rusqlite::Connection;

/// The answer as the `sqlite3` shell prints it.
fn query(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(sql).unwrap();
    let columns = statement.column_count();
    let mut rows = statement.query([]).unwrap();
    let mut lines = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        let cells = (0..columns).map(|column| match row.get_ref(column).unwrap() {
            rusqlite::types::ValueRef::Null => String::new(),
            rusqlite::types::ValueRef::Integer(number) => number.to_string(),
            rusqlite::types::ValueRef::Text(text) => String::from_utf8(text.to_vec()).unwrap(),
            other => panic!("{other:?} is not for people"),
        });
        lines.push(cells.collect::<Vec<_>>().join("|"));
    }
    lines
}

#[tokio::test]
async fn operators_find_what_the_guide_shows() {
    let (_dir, path) = place();
    let store = in_file(&path);
    let world = World::new(store.as_ref()).await;
    let connection = Connection::open(&path).unwrap();

    let columns: Vec<String> = query(&connection, "SELECT name FROM pragma_table_info('certificate')");
    let expected = [
        "serial",
        "fingerprint",
        "type",
        "common_name",
        "spiffe_id",
        "certificate_pem",
        "issuer_serial",
        "not_before",
        "not_after",
        "status",
        "created_at",
        "adopted",
    ];
    assert_eq!(columns, expected);

    let sql = "SELECT fingerprint, common_name, type FROM certificate WHERE type LIKE '%ca%'";
    let fingerprint = store.certificate(world.root.serial, at(0)).await.unwrap().unwrap().fingerprint;
    let cas = query(&connection, sql);
    assert_eq!(cas[0], format!("{fingerprint}|Catalyst Root CA|root-ca"));
    assert_eq!(cas.len(), 3);
    assert!(cas[1].ends_with("|Catalyst Services CA|services-ca"));

    // Whether one has expired is seen by the machine's clock.
    let now = SystemClock.now().seconds_since(START);
    let serial = world.issue("n1", now).await.record().serial;
    let of_leaf = format!(
        "SELECT serial, spiffe_id, issuer_serial, status, not_after FROM certificate WHERE serial = '{serial}'"
    );
    let shown = |status: &str| {
        let end = at(now + HOUR).millis();
        [format!("{serial}|spiffe://td.example/node/n1|{}|{status}|{end}", world.services.serial)]
    };
    assert_eq!(query(&connection, &of_leaf), shown("active"));
    store.deny_identity(&spiffe("n1"), "Security incident #5678", false, &stamp(now)).await.unwrap();
    assert_eq!(query(&connection, &of_leaf), shown("held"));
    let denied = query(&connection, "SELECT spiffe_id, reason, denied_at FROM denied_identity");
    assert_eq!(denied, [format!("spiffe://td.example/node/n1|Security incident #5678|{}", at(now).millis())]);
    store.revoke_certificate(serial, RevocationReason::Superseded, &stamp(now)).await.unwrap();
    assert_eq!(query(&connection, &of_leaf), shown("revoked"));
    let mut old = world.record("n2", now);
    old.not_after = at(now - 1);
    world.issue_record(old, now).await;
    assert_eq!(query(&connection, "SELECT common_name FROM certificate WHERE status = 'expired'"), ["n2"]);

    let keys = query(
        &connection,
        "SELECT role, generation, algorithm, reference, uri, state FROM ca_key ORDER BY role",
    );
    assert_eq!(keys[0], "root|1|EC-P384||local:root-1|active");
}

#[tokio::test]
async fn every_table_keeps_to_its_types() {
    let (_dir, path) = place();
    let store = in_file(&path);
    World::new(store.as_ref()).await;
    let connection = Connection::open(&path).unwrap();
    let loose =
        "SELECT name FROM pragma_table_list WHERE type = 'table' AND strict = 0 AND name NOT LIKE 'sqlite_%'";
    assert_eq!(query(&connection, loose), [] as [&str; 0]);
    assert_eq!(query(&connection, "PRAGMA foreign_key_check"), [] as [&str; 0]);
    assert_eq!(query(&connection, "PRAGMA integrity_check"), ["ok"]);
}
