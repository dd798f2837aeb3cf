//! Issuance: what is recorded, and what is refused.

use super::fixture::*;
use crate::{
    identity::{CaRole, SpkiHash},
    store::{
        CertificateStatus, IssuanceLimit, KeyRefusal, KeyRole, RecordOutcome, RevocationReason, Store,
        StoreError,
    },
};
use std::sync::Arc;

pub(super) async fn run(make: &impl AsyncFn() -> Arc<dyn Store>) {
    what_is_recorded_is_found_again(make().await.as_ref()).await;
    a_serial_number_is_recorded_once(make().await.as_ref()).await;
    a_key_of_the_house_is_refused(make().await.as_ref()).await;
    the_key_of_a_revoked_certificate_is_refused_for_ever(make().await.as_ref()).await;
    a_live_key_belongs_to_one_identity(make().await.as_ref()).await;
    a_name_belongs_to_its_first_claimant(make().await.as_ref()).await;
    a_refusal_claims_no_name(make().await.as_ref()).await;
    the_limit_counts_recent_certificates_of_the_identity(make().await.as_ref()).await;
    a_clock_far_behind_issues_nothing(make().await.as_ref()).await;
    a_certificate_of_a_foreign_issuer_is_not_recorded(make().await.as_ref()).await;
    preflight_says_what_record_would(make().await.as_ref()).await;
}

async fn what_is_recorded_is_found_again(store: &dyn Store) {
    let world = World::new(store).await;
    let mut record = world.record("n1", 10);
    record.common_name = None;
    let issued = world.issue_record(record, 10).await;
    let row = store.certificate(issued.record().serial, at(20)).await.unwrap().unwrap();
    assert_eq!(row.serial, issued.record().serial);
    assert_eq!(row.fingerprint, issued.fingerprint());
    assert_eq!(row.spiffe_id, Some(spiffe("n1")));
    assert_eq!((row.common_name.as_str(), row.certificate_type.as_str()), ("", "end-entity"));
    assert_eq!((row.not_before, row.not_after, row.created_at), (at(-50), at(10 + HOUR), at(10)));
    assert_eq!(row.issuer_serial, world.services.serial);
    assert_eq!((row.status, row.adopted), (CertificateStatus::Active, false));
    let by_fingerprint = store.certificate_by_fingerprint(issued.fingerprint(), at(20)).await.unwrap();
    assert_eq!(by_fingerprint.as_ref(), Some(&row));
    assert_eq!(der_of(&row.certificate_pem), issued.der());
    assert_eq!(store.certificate(serial(), at(20)).await.unwrap(), None);
    assert_eq!(store.newest_time().await.unwrap(), at(10));
    let counts: Vec<u64> = store.hierarchy().await.unwrap().cas.iter().map(|ca| ca.issued_count).collect();
    assert_eq!(counts, [2, 1, 0]);
}

/// Reads PEM as RFC 7468's strict form has it.
fn der_of(pem: &str) -> Vec<u8> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let body = pem.strip_prefix("-----BEGIN CERTIFICATE-----\n").unwrap();
    let body = body.strip_suffix("\n-----END CERTIFICATE-----\n").unwrap();
    let lines: Vec<&str> = body.split('\n').collect();
    let (last, full) = lines.split_last().unwrap();
    assert!(full.iter().all(|line| line.len() == 64) && (1..=64).contains(&last.len()));
    STANDARD.decode(lines.concat()).unwrap()
}

async fn a_serial_number_is_recorded_once(store: &dyn Store) {
    let world = World::new(store).await;
    let issued = world.issue("n1", 10).await;
    let mut again = world.record("n2", 11);
    again.serial = issued.record().serial;
    let twice = store.record_issued(signed(again), &stamp(11)).await;
    assert!(matches!(twice, Err(StoreError::Conflict(_))), "{twice:?}");
    assert_eq!(store.name_owner(&dns("n2")).await.unwrap(), None, "nothing of the step has happened");
    assert_eq!(store.summary(at(11)).await.unwrap().active_certificates, 1);
    let foreign = store.certificate(issued.record().serial, at(11)).await.unwrap().unwrap();
    assert_eq!(foreign.spiffe_id, Some(spiffe("n1")));
}

async fn a_key_of_the_house_is_refused(store: &dyn Store) {
    let world = World::new(store).await;
    store.intend_key(&intention(KeyRole::Token, 1), &stamp(1)).await.unwrap();
    store.record_key_made(KeyRole::Token, 1, &made(KeyRole::Token, 1), &stamp(1)).await.unwrap();
    for role in [KeyRole::Ca(CaRole::Root), KeyRole::Ca(CaRole::Services), KeyRole::Token] {
        let mut record = world.record("n1", 2);
        record.spki = SpkiHash::of_spki(&made(role, 1).spki);
        let refused = world.outcome(record, 2).await;
        assert!(matches!(refused, RecordOutcome::KeyRefused(KeyRefusal::CaKey)), "{refused:?}");
    }
}

async fn the_key_of_a_revoked_certificate_is_refused_for_ever(store: &dyn Store) {
    let world = World::new(store).await;
    let issued = world.issue("n1", 10).await;
    store.revoke_certificate(issued.record().serial, RevocationReason::Superseded, &stamp(20)).await.unwrap();
    let much_later = 100 * DAY;
    store.purge_expired(at(much_later), 100, &stamp(much_later)).await.unwrap();
    assert_eq!(store.certificate(issued.record().serial, at(much_later)).await.unwrap(), None);
    for name in ["n1", "n2"] {
        let mut record = world.record(name, much_later);
        record.spki = issued.record().spki;
        let refused = world.outcome(record, much_later).await;
        assert!(matches!(refused, RecordOutcome::KeyRefused(KeyRefusal::Revoked)), "{refused:?}");
    }
}

async fn a_live_key_belongs_to_one_identity(store: &dyn Store) {
    let world = World::new(store).await;
    let with_key = |name: &str, when: i64| {
        let mut record = world.record(name, when);
        record.spki = key("shared");
        record
    };
    // Two that were there before, so that the holder is neither the first nor the last identity known.
    world.issue("n0", 5).await;
    world.issue_record(with_key("n1", 10), 10).await;
    world.issue("n2", 15).await;
    world.issue_record(with_key("n1", 20), 20).await;
    for name in ["n0", "n2", "n3"] {
        let refused = world.outcome(with_key(name, 30), 30).await;
        assert!(matches!(refused, RecordOutcome::KeyRefused(KeyRefusal::InUse)), "{name}: {refused:?}");
    }
    store.deny_identity(&spiffe("n1"), "out", false, &stamp(40)).await.unwrap();
    let refused = world.outcome(with_key("n2", 50), 50).await;
    assert!(matches!(refused, RecordOutcome::KeyRefused(KeyRefusal::InUse)), "held or not: {refused:?}");
    // It is free from the moment its last certificate ends.
    let end = 20 + HOUR;
    let refused = world.outcome(with_key("n2", end - 1), end - 1).await;
    assert!(matches!(refused, RecordOutcome::KeyRefused(KeyRefusal::InUse)), "{refused:?}");
    world.issue_record(with_key("n2", end), end).await;
}

async fn a_name_belongs_to_its_first_claimant(store: &dyn Store) {
    let world = World::new(store).await;
    let named = |instance_name: &str, names: &[&str], when: i64| {
        let mut record = world.record(instance_name, when);
        record.owned_names = names.iter().map(|name| dns(name)).collect();
        record
    };
    world.issue_record(named("n1", &["n1", "orch-n1"], 10), 10).await;
    assert_eq!(store.name_owner(&dns("orch-n1")).await.unwrap(), Some(instance("n1")));
    let refused = world.outcome(named("n2", &["n2", "orch-n1"], 20), 20).await;
    let RecordOutcome::NameTaken { name, owner } = refused else { panic!("{refused:?}") };
    assert_eq!((name, owner), (dns("orch-n1"), instance("n1")));
    // The same instance under another service type shares its names.
    let mut sibling = named("n1", &["n1"], 30);
    sibling.spiffe_id = "spiffe://td.example/gateway/n1".parse().unwrap();
    world.issue_record(sibling, 30).await;
    // Kept when its certificates are gone; free only when it is released.
    let later = 30 * DAY;
    store.purge_expired(at(later), 100, &stamp(later)).await.unwrap();
    let refused = world.outcome(named("n2", &["orch-n1"], later), later).await;
    assert!(matches!(refused, RecordOutcome::NameTaken { .. }), "{refused:?}");
    assert!(store.release_name(&dns("orch-n1"), &stamp(later)).await.unwrap());
    assert!(!store.release_name(&dns("orch-n1"), &stamp(later)).await.unwrap());
    world.issue_record(named("n2", &["orch-n1"], later), later).await;
    assert_eq!(store.name_owner(&dns("orch-n1")).await.unwrap(), Some(instance("n2")));
}

async fn a_refusal_claims_no_name(store: &dyn Store) {
    let world = World::new(store).await;
    store.deny_identity(&spiffe("n1"), "out", false, &stamp(5)).await.unwrap();
    let refused = world.outcome(world.record("n1", 10), 10).await;
    assert!(matches!(refused, RecordOutcome::Denied(_)), "{refused:?}");
    assert_eq!(store.name_owner(&dns("n1")).await.unwrap(), None);
    assert_eq!(store.summary(at(10)).await.unwrap().active_certificates, 0);
}

async fn the_limit_counts_recent_certificates_of_the_identity(store: &dyn Store) {
    let world = World::new(store).await;
    let limited = |name: &str, when: i64| {
        let mut record = world.record(name, when);
        record.limit = Some(IssuanceLimit { count: 2, since: at(when - 1800) });
        record
    };
    world.issue_record(limited("n1", 100), 100).await;
    world.issue_record(limited("n1", 200), 200).await;
    let refused = world.outcome(limited("n1", 300), 300).await;
    let RecordOutcome::LimitReached { oldest } = refused else { panic!("{refused:?}") };
    assert_eq!(oldest, at(100));
    world.issue_record(limited("n2", 300), 300).await;
    let refused = world.outcome(limited("n1", 1900), 1900).await;
    assert!(matches!(refused, RecordOutcome::LimitReached { .. }), "one recorded at that very moment counts");
    world.issue_record(limited("n1", 1901), 1901).await;
}

async fn a_clock_far_behind_issues_nothing(store: &dyn Store) {
    let world = World::new(store).await;
    world.issue("n1", 1000).await;
    world.issue("n2", 700).await;
    let refused = world.outcome(world.record("n3", 699), 699).await;
    let RecordOutcome::ClockBehind { newest } = refused else { panic!("{refused:?}") };
    assert_eq!(newest, at(1000));
    // Every step moves the newest time on.
    store.deny_identity(&spiffe("n9"), "out", false, &stamp(5000)).await.unwrap();
    assert_eq!(store.newest_time().await.unwrap(), at(5000));
    let refused = world.outcome(world.record("n3", 1000), 1000).await;
    assert!(matches!(refused, RecordOutcome::ClockBehind { .. }), "{refused:?}");
}

async fn a_certificate_of_a_foreign_issuer_is_not_recorded(store: &dyn Store) {
    let world = World::new(store).await;
    let mut record = world.record("n1", 10);
    record.issuer = ski(CaRole::Services, 7);
    let refused = world.outcome(record, 10).await;
    assert!(matches!(refused, RecordOutcome::IssuerGone), "{refused:?}");
    let mut record = world.record("n1", 10);
    record.issuer_serial = serial();
    let refused = store.record_issued(signed(record), &stamp(10)).await;
    assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
    let end = world.services.not_after.seconds_since(START);
    let refused = world.outcome(world.record("n1", end), end).await;
    assert!(matches!(refused, RecordOutcome::IssuerGone), "an expired CA issues nothing: {refused:?}");
}

async fn preflight_says_what_record_would(store: &dyn Store) {
    let world = World::new(store).await;
    let issued = world.issue("n1", 10).await;
    let names = [dns("n1"), dns("free")];
    let limit = Some(IssuanceLimit { count: 1, since: at(0) });
    let clean = store.preflight(&spiffe("n2"), key("k"), &names[1..], limit, None, at(20)).await.unwrap();
    assert!(clean.denied.is_none() && clean.owners.is_empty() && clean.key.is_none());
    assert_eq!((clean.limit_reached, clean.newest), (None, Some(at(10))));

    store.deny_identity(&spiffe("n1"), "out", false, &stamp(30)).await.unwrap();
    let own =
        store.preflight(&spiffe("n1"), issued.record().spki, &names, limit, None, at(40)).await.unwrap();
    assert_eq!(own.denied.map(|denial| denial.reason).as_deref(), Some("out"));
    assert_eq!(own.owners, [(dns("n1"), instance("n1"))]);
    assert_eq!((own.key, own.limit_reached), (None, Some(at(10))));
    let other = store.preflight(&spiffe("n2"), issued.record().spki, &[], None, None, at(40)).await.unwrap();
    assert_eq!(other.key, Some(KeyRefusal::InUse));
    let house = SpkiHash::of_spki(&made(KeyRole::Ca(CaRole::Root), 1).spki);
    let house = store.preflight(&spiffe("n2"), house, &[], None, None, at(40)).await.unwrap();
    assert_eq!(house.key, Some(KeyRefusal::CaKey));
}
