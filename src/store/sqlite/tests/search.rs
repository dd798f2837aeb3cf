//! The audit log is gone through in pieces, and may be sealed between two of them.

use super::super::{SqliteStore, audit};
use crate::store::{AuditEntry, AuditQuery, AuditVerdict, Store, conformance::fixture::stamp};

async fn fill(store: &SqliteStore, count: i64) {
    let entry = |number| AuditEntry {
        action: if number % 10_000 == 0 { "rare.one".to_owned() } else { "common".to_owned() },
        subject: format!("s{number}"),
        detail: "{}".to_owned(),
    };
    let entries: Vec<_> = (1..=count).map(entry).collect();
    store.append_audit(&entries, &stamp(1)).await.unwrap();
}

async fn found(store: &SqliteStore, action: &str, after: i64, limit: u32) -> Vec<i64> {
    let query = AuditQuery { action: Some(action.to_owned()), after, limit, ..AuditQuery::default() };
    store.audit(&query).await.unwrap().iter().map(|record| record.seq).collect()
}

#[tokio::test]
async fn a_search_goes_on_from_piece_to_piece() {
    let store = SqliteStore::in_memory().unwrap();
    fill(&store, 50_000).await;
    assert_eq!(found(&store, "rare.", 0, 10).await, [10_000, 20_000, 30_000, 40_000, 50_000]);
    assert_eq!(found(&store, "rare.one", 10_000, 3).await, [20_000, 30_000, 40_000]);
    assert_eq!(found(&store, "nothing", 0, 10).await, [] as [i64; 0]);
    assert_eq!(found(&store, "common", 0, 45_000).await.len(), 45_000);
    assert_eq!(found(&store, "common", 49_998, 10).await, [49_999]);
    assert_eq!(found(&store, "common", i64::MAX, 10).await, [] as [i64; 0]);
    assert_eq!(found(&store, "rare.", i64::MIN, 1).await, [10_000]);
}

/// One look of a check.
async fn look(store: &SqliteStore, check: audit::Check) -> audit::Check {
    store.read(move |connection| audit::verify_some(connection, check)).await.unwrap()
}

#[tokio::test]
async fn a_check_goes_on_while_the_log_is_sealed() {
    let store = SqliteStore::in_memory().unwrap();
    fill(&store, 4_000).await;
    // Up to 1000; then everything up to 2500 goes.
    let mut check = look(&store, audit::Check::default()).await;
    let query = AuditQuery { after: 2_499, limit: 1, ..AuditQuery::default() };
    let sealed = store.audit(&query).await.unwrap()[0].head();
    store.drop_sealed_audit(sealed, "sealed", &stamp(1)).await.unwrap();
    while check.verdict.is_none() {
        check = look(&store, check).await;
    }
    assert_eq!(check.verdict, Some(AuditVerdict::Intact(store.audit_head().await.unwrap())));
}
