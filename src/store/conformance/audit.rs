//! The audit log: every change leaves a record, and no record changes.

use super::fixture::*;
use crate::{
    identity::Actor,
    store::{AuditEntry, AuditHead, AuditQuery, AuditVerdict, RevocationReason, Stamp, Store},
};
use std::sync::Arc;

pub(super) async fn run(make: &impl AsyncFn() -> Arc<dyn Store>) {
    an_empty_log_is_whole(make().await.as_ref()).await;
    every_change_is_recorded_with_its_effect(make().await.as_ref()).await;
    a_refused_step_leaves_no_record(make().await.as_ref()).await;
    the_log_is_read_in_pages(make().await.as_ref()).await;
    who_and_what_can_be_told(make().await.as_ref()).await;
    records_are_found_by_all_that_is_asked(make().await.as_ref()).await;
    records_that_stand_for_themselves_come_together(make().await.as_ref()).await;
    other_policies_are_on_record(make().await.as_ref()).await;
}

async fn an_empty_log_is_whole(store: &dyn Store) {
    assert_eq!(store.audit_head().await.unwrap(), AuditHead::default());
    assert_eq!(store.verify_audit().await.unwrap(), AuditVerdict::Intact(AuditHead::default()));
}

async fn actions(store: &dyn Store, after: i64) -> Vec<String> {
    let records = store.audit(&AuditQuery { after, limit: 1000, ..AuditQuery::default() }).await.unwrap();
    records.into_iter().map(|record| record.action).collect()
}

async fn every_change_is_recorded_with_its_effect(store: &dyn Store) {
    let world = World::new(store).await;
    let made = actions(store, 0).await;
    for action in ["ca.planned", "key.intended", "key.made", "ca.intended", "ca.recorded", "ca.initialized"] {
        assert!(made.iter().any(|made| made == action), "{action}: {made:?}");
    }
    let before = store.audit_head().await.unwrap().seq;
    let issued = world.issue("n1", 1).await.record().serial;
    store.deny_identity(&spiffe("n1"), "out", false, &stamp(2)).await.unwrap();
    store.allow_identity(&spiffe("n1"), &stamp(3)).await.unwrap();
    store.revoke_certificate(issued, RevocationReason::Superseded, &stamp(4)).await.unwrap();
    store.reserve_crl(world.services.ski, &stamp(5)).await.unwrap();
    store.release_name(&dns("n1"), &stamp(6)).await.unwrap();
    store.preset_secret("system", &[1; 32], &stamp(7)).await.unwrap();
    store.revoke_ca(world.transport.ski, RevocationReason::Superseded, &stamp(8)).await.unwrap();
    let expected = [
        "certificate.issued",
        "identity.denied",
        "identity.allowed",
        "certificate.revoked",
        "crl.reserved",
        "name.released",
        "secret.first_seen",
        "ca.revoked",
    ];
    assert_eq!(actions(store, before).await, expected);
    let head = store.audit_head().await.unwrap();
    assert_eq!(head.seq, before + expected.len() as i64);
    assert_eq!(store.verify_audit().await.unwrap(), AuditVerdict::Intact(head));
}

async fn a_refused_step_leaves_no_record(store: &dyn Store) {
    let world = World::new(store).await;
    store.deny_identity(&spiffe("n1"), "out", false, &stamp(1)).await.unwrap();
    let head = store.audit_head().await.unwrap();
    world.outcome(world.record("n1", 2), 2).await;
    store.allow_identity(&spiffe("n2"), &stamp(2)).await.unwrap();
    store.release_name(&dns("nobodys"), &stamp(2)).await.unwrap();
    store.retire_ca(world.services.ski, &stamp(2)).await.unwrap_err();
    store.activate_ca(world.services.ski, &stamp(2)).await.unwrap();
    assert_eq!(store.audit_head().await.unwrap(), head);
    // And the chain goes on from there.
    world.issue("n3", 3).await;
    let after =
        store.audit(&AuditQuery { after: head.seq, limit: 10, ..AuditQuery::default() }).await.unwrap();
    assert_eq!((after.len(), after[0].prev_hash), (1, head.hash));
}

async fn the_log_is_read_in_pages(store: &dyn Store) {
    World::new(store).await;
    let all = store.audit(&AuditQuery { after: 0, limit: 1000, ..AuditQuery::default() }).await.unwrap();
    assert!(all.iter().enumerate().all(|(index, record)| record.seq == index as i64 + 1));
    let page = store.audit(&AuditQuery { after: 2, limit: 3, ..AuditQuery::default() }).await.unwrap();
    assert_eq!(page, all[2..5]);
    assert!(all.iter().all(|record| record.hash == record.computed_hash()));
}

async fn who_and_what_can_be_told(store: &dyn Store) {
    let world = World::new(store).await;
    let before = store.audit_head().await.unwrap().seq;
    let record = world.record("n1", 1);
    let by = Actor::Token { subject: "operator".to_owned(), jti: "jti-1".to_owned() };
    let issued = store.record_issued(signed(record.clone()), &Stamp { at: at(1), by }).await.unwrap();
    let crate::store::RecordOutcome::Recorded(issued) = issued else { panic!("{issued:?}") };
    store.deny_identity(&spiffe("n1"), "a \"quoted\"\nreason", false, &stamp(2)).await.unwrap();
    let records =
        store.audit(&AuditQuery { after: before, limit: 10, ..AuditQuery::default() }).await.unwrap();
    assert_eq!((records[0].actor.as_str(), records[0].at), ("token:operator:jti-1", at(1)));
    assert_eq!(records[0].subject, "spiffe://td.example/node/n1");
    let detail: serde_json::Value = serde_json::from_str(&records[0].detail).unwrap();
    assert_eq!(detail["serial"], record.serial.to_string());
    assert_eq!(detail["spki"], record.spki.to_string());
    assert_eq!(detail["fingerprint"], issued.fingerprint().to_string());
    assert_eq!(detail["issuer"], world.services.ski.to_string());
    let detail: serde_json::Value = serde_json::from_str(&records[1].detail).unwrap();
    assert_eq!(detail["reason"], "a \"quoted\"\nreason");
    assert_eq!(records[1].actor, "service");
}

fn entry(action: &str, subject: &str) -> AuditEntry {
    AuditEntry { action: action.to_owned(), subject: subject.to_owned(), detail: "{}".to_owned() }
}

async fn records_are_found_by_all_that_is_asked(store: &dyn Store) {
    let by = Actor::Token { subject: "operator".to_owned(), jti: "jti-1".to_owned() };
    let operator = Stamp { at: at(20), by };
    store
        .append_audit(&[entry("policy.denied", "a"), entry("policy.changed", "b")], &stamp(10))
        .await
        .unwrap();
    store.append_audit(&[entry("policy.denied", "b"), entry("policies", "a")], &operator).await.unwrap();
    store.append_audit(&[entry("token.revoked", "a")], &stamp(30)).await.unwrap();
    let found = async |query: AuditQuery| {
        let records = store.audit(&AuditQuery { limit: 10, ..query }).await.unwrap();
        records.iter().map(|record| record.seq).collect::<Vec<_>>()
    };
    let all = AuditQuery::default;
    let action = |action: &str| AuditQuery { action: Some(action.to_owned()), ..all() };
    assert_eq!(found(all()).await, [1, 2, 3, 4, 5]);
    assert_eq!(found(action("policy.denied")).await, [1, 3]);
    assert_eq!(found(action("policy.")).await, [1, 2, 3]);
    assert_eq!(found(action("policy")).await, [] as [i64; 0], "only a dot makes it a beginning");
    assert_eq!(found(AuditQuery { subject: Some("a".to_owned()), ..all() }).await, [1, 4, 5]);
    assert_eq!(found(AuditQuery { actor: Some("token:operator:jti-1".to_owned()), ..all() }).await, [3, 4]);
    assert_eq!(found(AuditQuery { since: Some(at(20)), ..all() }).await, [3, 4, 5]);
    assert_eq!(found(AuditQuery { until: Some(at(20)), ..all() }).await, [1, 2]);
    let both = AuditQuery { since: Some(at(20)), until: Some(at(30)), ..action("policy.") };
    assert_eq!(found(both).await, [3]);
    assert_eq!(found(AuditQuery { after: 1, ..action("policy.denied") }).await, [3]);
    let first = AuditQuery { limit: 1, ..action("policy.") };
    assert_eq!(store.audit(&first).await.unwrap().len(), 1);
    assert_eq!(store.audit(&AuditQuery { limit: 0, ..all() }).await.unwrap(), []);
}

async fn records_that_stand_for_themselves_come_together(store: &dyn Store) {
    store.append_audit(&[], &stamp(1)).await.unwrap();
    assert_eq!(store.audit_head().await.unwrap(), AuditHead::default());
    store.append_audit(&[entry("policy.denied", "a"), entry("policy.denied", "b")], &stamp(5)).await.unwrap();
    assert_eq!(actions(store, 0).await, ["policy.denied", "policy.denied"]);
    let head = store.audit_head().await.unwrap();
    assert_eq!(store.verify_audit().await.unwrap(), AuditVerdict::Intact(head));
    assert_eq!(store.newest_time().await.unwrap(), at(5));
}

async fn other_policies_are_on_record(store: &dyn Store) {
    for (hash, replaced) in [("one", false), ("one", false), ("two", true), ("one", true)] {
        assert_eq!(store.policies_in_force(hash, &stamp(0)).await.unwrap(), replaced, "{hash}");
    }
    let query = AuditQuery { action: Some("policy.replaced".to_owned()), limit: 9, ..AuditQuery::default() };
    let details: Vec<String> =
        store.audit(&query).await.unwrap().into_iter().map(|record| record.detail).collect();
    assert_eq!(
        details,
        [r#"{"from":null,"to":"one"}"#, r#"{"from":"one","to":"two"}"#, r#"{"from":"two","to":"one"}"#]
    );
}
