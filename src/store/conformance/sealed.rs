//! The part of the audit log that was sealed in files: dropped here, and the rest continues from it.

use super::fixture::*;
use crate::store::{AuditEntry, AuditHead, AuditQuery, AuditVerdict, Store, StoreError};
use std::sync::Arc;

pub(super) async fn run(make: &impl AsyncFn() -> Arc<dyn Store>) {
    what_was_sealed_is_dropped_and_the_rest_continues(make().await.as_ref()).await;
    only_what_is_in_the_log_is_dropped(make().await.as_ref()).await;
    a_piece_is_of_a_bounded_size(make().await.as_ref()).await;
}

/// Writes so many records; answers the heads after each.
async fn fill(store: &dyn Store, count: usize) -> Vec<AuditHead> {
    let entry = |number| AuditEntry {
        action: "policy.denied".to_owned(),
        subject: format!("s{number}"),
        detail: "{}".to_owned(),
    };
    let entries: Vec<_> = (0..count).map(entry).collect();
    store.append_audit(&entries, &stamp(1)).await.unwrap();
    let all = AuditQuery { limit: u32::MAX, ..AuditQuery::default() };
    store.audit(&all).await.unwrap().iter().map(|record| record.head()).collect()
}

async fn what_was_sealed_is_dropped_and_the_rest_continues(store: &dyn Store) {
    assert_eq!(store.audit_base().await.unwrap(), AuditHead::default());
    let heads = fill(store, 10).await;
    store.drop_sealed_audit(heads[3], "audit-1.jsonl", &stamp(2)).await.unwrap();
    assert_eq!(store.audit_base().await.unwrap(), heads[3]);
    let left = store.audit(&AuditQuery { limit: 100, ..AuditQuery::default() }).await.unwrap();
    assert_eq!((left[0].seq, left[0].prev_hash), (5, heads[3].hash));
    let sealed = left.last().unwrap();
    assert_eq!(
        (sealed.seq, sealed.action.as_str(), sealed.subject.as_str()),
        (11, "audit.sealed", "audit-1.jsonl")
    );
    let detail: serde_json::Value = serde_json::from_str(&sealed.detail).unwrap();
    assert_eq!((&detail["from"], &detail["to"]), (&1.into(), &4.into()));
    let hash: String = heads[3].hash.iter().map(|octet| format!("{octet:02x}")).collect();
    assert_eq!(detail["hash"], hash);
    let whole = AuditVerdict::Intact(store.audit_head().await.unwrap());
    assert_eq!(store.verify_audit().await.unwrap(), whole);
    // Said again after a crash: nothing changes.
    store.drop_sealed_audit(heads[3], "audit-1.jsonl", &stamp(3)).await.unwrap();
    assert_eq!(store.verify_audit().await.unwrap(), whole);
    // To the very end.
    let head = store.audit_head().await.unwrap();
    store.drop_sealed_audit(head, "audit-2.jsonl", &stamp(4)).await.unwrap();
    assert_eq!(store.audit_base().await.unwrap(), head);
    let left = store.audit(&AuditQuery { limit: 100, ..AuditQuery::default() }).await.unwrap();
    assert_eq!(left.iter().map(|record| record.seq).collect::<Vec<_>>(), [12]);
    let detail: serde_json::Value = serde_json::from_str(&left[0].detail).unwrap();
    assert_eq!((&detail["from"], &detail["to"]), (&5.into(), &11.into()));
    let head = store.audit_head().await.unwrap();
    assert_eq!(store.verify_audit().await.unwrap(), AuditVerdict::Intact(head));
}

async fn only_what_is_in_the_log_is_dropped(store: &dyn Store) {
    let heads = fill(store, 10).await;
    let head = store.audit_head().await.unwrap();
    store.drop_sealed_audit(heads[3], "first", &stamp(2)).await.unwrap();
    let beyond = AuditHead { seq: 100, hash: head.hash };
    let other = AuditHead { seq: 7, hash: heads[7].hash };
    for (sealed, name) in
        [(beyond, "x"), (other, "x"), (heads[1], "x"), (heads[3], "x"), (AuditHead::default(), "x")]
    {
        let refused = store.drop_sealed_audit(sealed, name, &stamp(3)).await;
        assert!(matches!(refused, Err(StoreError::Conflict(_))), "{sealed:?}: {refused:?}");
    }
    assert_eq!(store.audit_base().await.unwrap(), heads[3]);
    assert_eq!(store.audit_head().await.unwrap().seq, 11);
}

async fn a_piece_is_of_a_bounded_size(store: &dyn Store) {
    let heads = fill(store, 5_010).await;
    let refused = store.drop_sealed_audit(heads[5_000], "large", &stamp(2)).await;
    assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
    store.drop_sealed_audit(heads[4_999], "first", &stamp(2)).await.unwrap();
    store.drop_sealed_audit(heads[5_009], "second", &stamp(2)).await.unwrap();
    assert!(matches!(store.verify_audit().await.unwrap(), AuditVerdict::Intact(_)));
}
