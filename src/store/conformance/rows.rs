//! Certificates as rows: lists, counts, and what a purge leaves.

use super::fixture::*;
use crate::store::{CertificateQuery, CertificateRow, CertificateStatus, RevocationReason, Store, Summary};
use std::sync::Arc;

pub(super) async fn run(make: &impl AsyncFn() -> Arc<dyn Store>) {
    lists_are_paged_newest_first(make().await.as_ref()).await;
    lists_are_filtered_by_status_and_identity(make().await.as_ref()).await;
    expired_ones_are_paged_by_their_end(make().await.as_ref()).await;
    status_follows_the_clock(make().await.as_ref()).await;
    the_summary_counts_what_is_valid_to_the_millisecond(make().await.as_ref()).await;
    a_purge_takes_expired_end_entities_in_batches(make().await.as_ref()).await;
    numbers_rise_over_a_purge(make().await.as_ref()).await;
}

async fn list(store: &dyn Store, query: CertificateQuery, when: i64) -> Vec<CertificateRow> {
    store.certificates(&query, at(when)).await.unwrap()
}

fn names(rows: &[CertificateRow]) -> Vec<&str> {
    rows.iter().map(|row| row.common_name.as_str()).collect()
}

async fn lists_are_paged_newest_first(store: &dyn Store) {
    let world = World::new(store).await;
    for number in 0..7 {
        world.issue(&format!("n{number}"), number).await;
    }
    let mut query = CertificateQuery { limit: 4, ..Default::default() };
    let first = list(store, query.clone(), 10).await;
    assert_eq!(names(&first), ["n6", "n5", "n4", "n3"]);
    query.before = first.last().map(|row| row.id);
    let second = list(store, query.clone(), 10).await;
    assert_eq!(names(&second)[..3], ["n2", "n1", "n0"]);
    query.before = second.last().map(|row| row.id);
    let third = list(store, query.clone(), 10).await;
    assert_eq!(third.len(), 2, "ten in all, the three CAs included: {third:?}");
    query.before = third.last().map(|row| row.id);
    assert_eq!(list(store, query, 10).await, []);
}

async fn lists_are_filtered_by_status_and_identity(store: &dyn Store) {
    let world = World::new(store).await;
    world.issue("expired", 0).await;
    let revoked = world.issue("revoked", 10).await;
    world.issue("held", 20).await;
    let now = HOUR + 5;
    world.issue("held", now).await;
    world.issue("valid", now).await;
    store
        .revoke_certificate(revoked.record().serial, RevocationReason::Superseded, &stamp(30))
        .await
        .unwrap();
    store.deny_identity(&spiffe("held"), "out", false, &stamp(now)).await.unwrap();
    let of = async |status, name: Option<&str>| {
        let query = CertificateQuery { limit: 100, before: None, status, spiffe_id: name.map(spiffe) };
        let rows = list(store, query, now).await;
        assert!(rows.iter().all(|row| status.is_none_or(|status| row.status == status)), "{rows:?}");
        names(&rows).into_iter().filter(|name| !name.contains("CA")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(of(None, None).await, ["valid", "held", "held", "revoked", "expired"]);
    assert_eq!(of(Some(CertificateStatus::Active), None).await, ["valid"]);
    // The first one of `held` lives still, as far as the clock goes.
    assert_eq!(of(Some(CertificateStatus::Held), None).await, ["held", "held"]);
    assert_eq!(of(Some(CertificateStatus::Revoked), None).await, ["revoked"]);
    assert_eq!(of(Some(CertificateStatus::Expired), None).await, ["expired"]);
    assert_eq!(of(None, Some("held")).await, ["held", "held"]);
    assert_eq!(of(Some(CertificateStatus::Held), Some("held")).await, ["held", "held"]);
    assert_eq!(of(Some(CertificateStatus::Active), Some("held")).await, [] as [&str; 0]);
    assert_eq!(of(None, Some("nobody")).await, [] as [&str; 0]);
}

async fn expired_ones_are_paged_by_their_end(store: &dyn Store) {
    let world = World::new(store).await;
    // Recorded in another order than they end in; two end together.
    for (name, end) in [("n0", 50), ("n1", 20), ("n2", 40), ("n3", 20), ("n4", 10), ("n5", HOUR), ("n6", 30)]
    {
        let mut record = world.record(name, 0);
        record.not_after = at(end);
        world.issue_record(record, 0).await;
    }
    let mut query =
        CertificateQuery { limit: 3, status: Some(CertificateStatus::Expired), ..Default::default() };
    let mut pages = Vec::new();
    loop {
        let page = list(store, query.clone(), 50).await;
        let Some(last) = page.last() else { break };
        query.before = Some(last.id);
        pages.push(names(&page).join(" "));
    }
    assert_eq!(pages, ["n0 n2 n6", "n3 n1 n4"]);
    // A page after one that was purged is the end.
    let second = list(store, CertificateQuery { limit: 1, before: None, ..query.clone() }, 30).await;
    assert_eq!(names(&second), ["n6"]);
    query.before = Some(second[0].id);
    store.purge_expired(at(35), 10, &stamp(40)).await.unwrap();
    assert_eq!(list(store, query, 50).await, []);
}

async fn status_follows_the_clock(store: &dyn Store) {
    let world = World::new(store).await;
    let plain = world.issue("n1", 0).await.record().serial;
    let held = world.issue("n2", 0).await.record().serial;
    let revoked = world.issue("n3", 0).await.record().serial;
    store.deny_identity(&spiffe("n2"), "out", false, &stamp(1)).await.unwrap();
    store.revoke_certificate(revoked, RevocationReason::Superseded, &stamp(1)).await.unwrap();
    let status = async |serial, when| store.certificate(serial, at(when)).await.unwrap().unwrap().status;
    use CertificateStatus::{Active, Expired, Held, Revoked};
    for (serial, before, after) in
        [(plain, Active, Expired), (held, Held, Expired), (revoked, Revoked, Revoked)]
    {
        assert_eq!(status(serial, HOUR - 1).await, before);
        assert_eq!(status(serial, HOUR).await, after);
    }
}

async fn the_summary_counts_what_is_valid_to_the_millisecond(store: &dyn Store) {
    let world = World::new(store).await;
    // Ends spread over a minute and beyond, and one of another length.
    for (number, end) in [HOUR, HOUR + 1, HOUR + 59, HOUR + 60, HOUR + 61, 2 * HOUR].into_iter().enumerate() {
        let mut record = world.record(&format!("n{number}"), 0);
        record.not_after = at(end);
        world.issue_record(record, 0).await;
    }
    let active = async |when| store.summary(at(when)).await.unwrap().active_certificates;
    for (when, count) in
        [(1, 6), (HOUR - 1, 6), (HOUR, 5), (HOUR + 1, 4), (HOUR + 30, 4), (HOUR + 59, 3), (HOUR + 60, 2)]
    {
        assert_eq!(active(when).await, count, "at {when}");
    }
    assert_eq!(active(2 * HOUR).await, 0);
    store.deny_identity(&spiffe("n5"), "out", false, &stamp(10)).await.unwrap();
    store.deny_identity(&spiffe("n4"), "out", true, &stamp(10)).await.unwrap();
    assert_eq!(
        store.summary(at(20)).await.unwrap(),
        Summary { active_certificates: 4, denied_identities: 2 }
    );
    store.allow_identity(&spiffe("n5"), &stamp(30)).await.unwrap();
    store.allow_identity(&spiffe("n4"), &stamp(30)).await.unwrap();
    assert_eq!(
        store.summary(at(40)).await.unwrap(),
        Summary { active_certificates: 5, denied_identities: 0 }
    );
}

async fn a_purge_takes_expired_end_entities_in_batches(store: &dyn Store) {
    let world = World::new(store).await;
    for number in 0..5 {
        world.issue(&format!("n{number}"), number).await;
    }
    let revoked = world.issue("n5", 5).await.record().serial;
    store.revoke_certificate(revoked, RevocationReason::KeyCompromise, &stamp(6)).await.unwrap();
    let lasting = world.issue("n6", HOUR).await.record().serial;
    let entries = store.reserve_crl(world.services.ski, &stamp(7)).await.unwrap().entries;
    let records = store.audit_head().await.unwrap().seq;
    let later = HOUR + 100;
    assert_eq!(store.purge_expired(at(later), 4, &stamp(later)).await.unwrap(), 4);
    assert_eq!(store.purge_expired(at(later), 4, &stamp(later)).await.unwrap(), 2);
    assert_eq!(store.purge_expired(at(later), 4, &stamp(later)).await.unwrap(), 0);
    let rest = list(store, CertificateQuery { limit: 100, ..Default::default() }, later).await;
    assert_eq!(rest.len(), 4, "one lives, three are CAs");
    assert_eq!(rest[0].serial, lasting);
    assert_eq!(store.summary(at(later)).await.unwrap().active_certificates, 1);
    let left = store.reserve_crl(world.services.ski, &stamp(later)).await.unwrap().entries;
    assert_eq!(left, entries, "the CRL's lines outlive the rows");
    assert_eq!(store.name_owner(&dns("n0")).await.unwrap(), Some(instance("n0")));
    assert!(store.audit_head().await.unwrap().seq > records);
    // CAs are never purged.
    let end = world.root.not_after.plus_seconds(1);
    store.purge_expired(end, 100, &stamp(later)).await.unwrap();
    assert!(store.certificate(world.root.serial, end).await.unwrap().is_some());
}

async fn numbers_rise_over_a_purge(store: &dyn Store) {
    let world = World::new(store).await;
    let first = world.issue("n1", 0).await.record().serial;
    let number = store.certificate(first, at(1)).await.unwrap().unwrap().id;
    store.purge_expired(at(2 * HOUR), 10, &stamp(2 * HOUR)).await.unwrap();
    let second = world.issue("n1", 2 * HOUR).await.record().serial;
    assert!(store.certificate(second, at(2 * HOUR)).await.unwrap().unwrap().id > number);
}
