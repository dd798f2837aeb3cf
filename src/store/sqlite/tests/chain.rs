//! The audit log under the hands of somebody who writes into the file.

use super::{in_file, place};
use crate::store::{
    AuditQuery, AuditVerdict,
    conformance::fixture::{World, stamp},
};
use rusqlite::Connection;

async fn verdict_after(change: &str) -> AuditVerdict {
    verdict_of(change, 0).await
}

/// The same for a log of which so many records were sealed and dropped.
async fn verdict_of(change: &str, sealed: i64) -> AuditVerdict {
    let (_dir, path) = place();
    let store = in_file(&path);
    let world = World::new(store.as_ref()).await;
    while store.audit_head().await.unwrap().seq < 20 {
        world.issue("n1", 1).await;
    }
    if sealed > 0 {
        let query = AuditQuery { after: sealed - 1, limit: 1, ..AuditQuery::default() };
        let last = store.audit(&query).await.unwrap()[0].head();
        store.drop_sealed_audit(last, "sealed", &stamp(1)).await.unwrap();
    }
    store.close().await.unwrap();
    drop(store);
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch(change).unwrap();
    drop(connection);
    in_file(&path).verify_audit().await.unwrap()
}

#[tokio::test]
async fn no_record_is_altered_removed_or_added_unseen() {
    for (change, seq) in [
        ("UPDATE audit SET actor = 'somebody else' WHERE seq = 7", 7),
        ("UPDATE audit SET at = at + 1 WHERE seq = 8", 8),
        ("UPDATE audit SET action = action || 'subject', subject = '' WHERE seq = 9", 9),
        ("UPDATE audit SET hash = zeroblob(32) WHERE seq = 10", 10),
        ("DELETE FROM audit WHERE seq = 11", 11),
        ("DELETE FROM audit WHERE seq = 12; UPDATE audit SET seq = seq - 1 WHERE seq > 12", 12),
        ("DELETE FROM audit WHERE seq = 20", 20),
        ("DELETE FROM audit", 1),
        (
            "INSERT INTO audit SELECT 21, at, actor, action, subject, detail, prev_hash, hash FROM audit WHERE seq = 20",
            21,
        ),
        (
            "INSERT INTO audit SELECT 0, at, actor, action, subject, detail, prev_hash, hash FROM audit WHERE seq = 1",
            1,
        ),
    ] {
        assert_eq!(verdict_after(change).await, AuditVerdict::Broken { seq }, "{change}");
    }
    assert!(matches!(verdict_after("VACUUM").await, AuditVerdict::Intact(head) if head.seq == 20));
}

#[tokio::test]
async fn what_is_left_of_the_log_continues_from_what_was_sealed() {
    for (change, seq) in [
        ("UPDATE audit_file SET last_hash = zeroblob(32)", 11),
        ("UPDATE audit_file SET last_seq = 9", 10),
        ("DELETE FROM audit_file", 1),
        ("DELETE FROM audit WHERE seq = 11", 11),
        ("UPDATE audit SET actor = 'somebody else' WHERE seq = 12", 12),
        ("DELETE FROM audit", 11),
        (
            "INSERT INTO audit SELECT 10, at, actor, action, subject, detail, prev_hash, hash FROM audit WHERE seq = 11",
            11,
        ),
    ] {
        assert_eq!(verdict_of(change, 10).await, AuditVerdict::Broken { seq }, "{change}");
    }
    assert!(matches!(verdict_of("VACUUM", 10).await, AuditVerdict::Intact(head) if head.seq == 21));
}
