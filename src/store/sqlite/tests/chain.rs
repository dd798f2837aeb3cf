//! The audit log under the hands of somebody who writes into the file.

use super::{in_file, place};
use crate::store::{AuditVerdict, conformance::fixture::World};
use rusqlite::Connection;

async fn verdict_after(change: &str) -> AuditVerdict {
    let (_dir, path) = place();
    let store = in_file(&path);
    let world = World::new(store.as_ref()).await;
    while store.audit_head().await.unwrap().seq < 20 {
        world.issue("n1", 1).await;
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
