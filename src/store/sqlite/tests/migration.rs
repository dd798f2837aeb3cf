//! A database of an earlier version is brought to this one's schema, and nothing in it is lost.

use super::{super::file::APPLICATION_ID, in_file, place};
use crate::store::{
    KeyRole, KeyRowState, TokenQuery, TokenRecord, TokenSelector,
    conformance::fixture::{START, World, at, intention, made, stamp, token},
};
use rusqlite::Connection;
use std::path::Path;

/// What the first version wrote: two tokens, and a token key that was superseded at `START`.
fn first_version(path: &Path) {
    let connection = Connection::open(path).unwrap();
    connection.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
    connection.execute_batch(include_str!("../migrations/0001_store.sql")).unwrap();
    connection.pragma_update(None, "user_version", 1).unwrap();
    let (start, end) = (at(0).millis(), at(86_400).millis());
    let rows = format!(
        r#"INSERT INTO deployment (one, id, audit_hash, newest_time) VALUES (1, '00000000000000ab', zeroblob(32), {start});
        INSERT INTO token VALUES ('one', 'n1', 'CATALYST::NODE', '{{"id":"n1"}}', {start}, {end}, NULL);
        INSERT INTO token VALUES ('two', 'n1', 'CATALYST::NODE', '{{"id":"n1"}}', {start}, {end}, {start} + 1000);
        INSERT INTO ca_key VALUES ('token', 1, 'EC-P384', 'local', NULL, zeroblob(16), 'local:token-1', x'01', x'01',
            'retired', {start});
        INSERT INTO ca_key VALUES ('token', 2, 'EC-P384', 'local', NULL, zeroblob(16), 'local:token-2', x'02', x'02',
            'active', {start});"#
    );
    connection.execute_batch(&rows).unwrap();
}

#[tokio::test]
async fn a_database_of_the_first_version_is_read_on() {
    let (_dir, path) = place();
    first_version(&path);
    let store = in_file(&path);
    assert_eq!(store.deployment().await.unwrap().id, "00000000000000ab");
    let two = TokenRecord { revoked_at: Some(at(1)), ..token("two") };
    let rows = store.tokens(&TokenQuery { limit: 10, ..TokenQuery::default() }).await.unwrap();
    let records: Vec<_> = rows.into_iter().map(|row| row.record).collect();
    assert_eq!(records, [two, token("one")]);
    assert_eq!(store.revoked_tokens(at(2)).await.unwrap(), ["two"]);
    let keys = store.hierarchy().await.unwrap().keys;
    let keys: Vec<_> = keys.iter().map(|key| (key.state, key.verifies_until)).collect();
    assert_eq!(keys, [(KeyRowState::Retired, Some(START)), (KeyRowState::Active, None)]);
    // And on from there.
    World::new(store.as_ref()).await.issue("n1", 1).await;
    store.revoke_tokens(&TokenSelector::Jti("one".to_owned()), &stamp(3)).await.unwrap();
    store.intend_key(&intention(KeyRole::Token, 3), &stamp(4)).await.unwrap();
    store.record_key_made(KeyRole::Token, 3, &made(KeyRole::Token, 3), &stamp(4)).await.unwrap();
    store.activate_token_key(3, at(100), Some(&token("system")), &stamp(5)).await.unwrap();
    let keys = store.hierarchy().await.unwrap().keys;
    let until: Vec<_> = keys.iter().filter(|key| key.intention.role == KeyRole::Token).collect();
    assert_eq!((until[0].verifies_until, until[1].verifies_until), (Some(START), Some(at(100))));
    drop(store);
    let connection = Connection::open(&path).unwrap();
    let left: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema WHERE name LIKE '%before%'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(left, 0);
}
