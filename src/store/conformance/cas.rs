//! CAs after the first ones: published, activated, retired, revoked, expired.

use super::fixture::*;
use crate::{
    identity::{CaRole, KeyId},
    store::{
        AuditQuery, CaRow, CertificateStatus, KeyRole, KeyRowState, MadeKey, RecordOutcome, RevocationReason,
        Store, StoreError,
    },
};
use std::sync::Arc;

pub(super) async fn run(make: &impl AsyncFn() -> Arc<dyn Store>) {
    a_second_ca_waits_for_its_activation(make().await.as_ref()).await;
    a_superseded_ca_retires_when_its_certificates_have_ended(make().await.as_ref()).await;
    an_unused_ca_can_be_retired(make().await.as_ref()).await;
    a_cas_key_may_move_but_never_change(make().await.as_ref()).await;
    a_revoked_ca_is_out_of_everything(make().await.as_ref()).await;
    what_is_no_ca_is_not_found(make().await.as_ref()).await;
    an_expired_ca_raises_the_bundle_once(make().await.as_ref()).await;
    versions_rise_even_when_the_clock_does_not(make().await.as_ref()).await;
}

async fn second(world: &World<'_>, when: i64) -> KeyId {
    let ca = signed_ca(world.store, CaRole::Services, 2, Some(&world.root), when).await;
    world.store.record_intermediate(&ca, &stamp(when)).await.unwrap();
    ca.ski
}

async fn row(store: &dyn Store, ski: KeyId) -> CaRow {
    let hierarchy = store.hierarchy().await.unwrap();
    hierarchy.cas.into_iter().find(|ca| ca.certificate.ski == ski).unwrap()
}

async fn a_second_ca_waits_for_its_activation(store: &dyn Store) {
    let world = World::new(store).await;
    let ca = signed_ca(store, CaRole::Services, 2, Some(&world.root), 100).await;
    store.record_intermediate(&ca, &stamp(100)).await.unwrap();
    store.record_intermediate(&ca, &stamp(101)).await.unwrap();
    let waiting = row(store, ca.ski).await;
    assert_eq!((waiting.key.state, waiting.activated_at), (KeyRowState::Certified, None));
    assert_eq!(waiting.published_at, at(100));
    let version = store.hierarchy().await.unwrap().bundle_version;
    assert_eq!(version, at(100).seconds());
    let third = store.intend_key(&intention(KeyRole::Ca(CaRole::Services), 3), &stamp(110)).await;
    assert!(matches!(third, Err(StoreError::Conflict(_))), "{third:?}");

    store.activate_ca(ca.ski, &stamp(200)).await.unwrap();
    let (new, old) = (row(store, ca.ski).await, row(store, world.services.ski).await);
    assert!(new.is_active() && !old.is_active());
    assert_eq!((new.activated_at, old.activated_at), (Some(at(200)), Some(at(0))));
    assert!(old.is_live(at(200)), "a superseded CA stays in the bundle");
    assert_eq!(store.hierarchy().await.unwrap().bundle_version, version, "the live CAs are the same");
    let refused = world.outcome(world.record("n1", 210), 210).await;
    assert!(matches!(refused, RecordOutcome::IssuerGone), "{refused:?}");
    // And back again: when it first became active does not change.
    store.activate_ca(world.services.ski, &stamp(300)).await.unwrap();
    assert_eq!(row(store, world.services.ski).await.activated_at, Some(at(0)));
    world.issue("n1", 310).await;
}

async fn a_superseded_ca_retires_when_its_certificates_have_ended(store: &dyn Store) {
    let world = World::new(store).await;
    let issued = world.issue("n1", 10).await;
    let active = store.retire_ca(world.services.ski, &stamp(20)).await;
    assert!(matches!(active, Err(StoreError::Conflict(_))), "{active:?}");
    let next = second(&world, 20).await;
    store.activate_ca(next, &stamp(30)).await.unwrap();
    let lives = store.retire_ca(world.services.ski, &stamp(40)).await;
    let Err(StoreError::Conflict(sentence)) = lives else { panic!("{lives:?}") };
    assert!(sentence.contains("(1 in all)"), "{sentence}");
    let end = issued.record().not_after.seconds_since(START);
    store.retire_ca(world.services.ski, &stamp(end)).await.unwrap();
    store.retire_ca(world.services.ski, &stamp(end + 1)).await.unwrap();
    let old = row(store, world.services.ski).await;
    assert!(old.key.state == KeyRowState::Retired && !old.is_live(at(end)));
    assert_eq!(store.hierarchy().await.unwrap().bundle_version, at(end).seconds());
    let back = store.activate_ca(world.services.ski, &stamp(end + 2)).await;
    assert!(matches!(back, Err(StoreError::Conflict(_))), "{back:?}");
}

async fn an_unused_ca_can_be_retired(store: &dyn Store) {
    let world = World::new(store).await;
    let next = second(&world, 20).await;
    store.retire_ca(next, &stamp(30)).await.unwrap();
    store.intend_key(&intention(KeyRole::Ca(CaRole::Services), 3), &stamp(40)).await.unwrap();
}

async fn a_cas_key_may_move_but_never_change(store: &dyn Store) {
    let world = World::new(store).await;
    let (ca, own) = (world.services.ski, made(KeyRole::Ca(CaRole::Services), 1));
    let version = store.hierarchy().await.unwrap().bundle_version;
    let moved = MadeKey { uri: "local:elsewhere-1".to_owned(), ..own.clone() };
    for when in [10, 20] {
        store.repin_ca(ca, "hsm", "elsewhere-1", &moved, &stamp(when)).await.unwrap();
    }
    let row = row(store, ca).await;
    assert_eq!((&row.key.made, row.key.state), (&Some(moved.clone()), KeyRowState::Active));
    assert_eq!(
        (&*row.key.intention.backend, row.key.intention.reference.as_deref()),
        ("hsm", Some("elsewhere-1"))
    );
    let query = AuditQuery { action: Some("ca.repinned".to_owned()), limit: 10, ..AuditQuery::default() };
    let records = store.audit(&query).await.unwrap();
    assert_eq!(records.len(), 1, "the same once more is no change: {records:?}");
    assert!(records[0].detail.contains(&own.uri) && records[0].detail.contains(&moved.uri), "{records:?}");
    let detail = &records[0].detail;
    assert!(detail.contains("fromBackend") && detail.contains("\"backend\":\"hsm\""), "{detail}");

    let other = made(KeyRole::Ca(CaRole::Transport), 1);
    let refused = store.repin_ca(ca, "hsm", "other", &other, &stamp(30)).await;
    assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
    assert_eq!(store.hierarchy().await.unwrap().bundle_version, version, "the certificates are the same");
    let nobody = store.repin_ca(ski(CaRole::Services, 99), "hsm", "x", &own, &stamp(40)).await;
    assert!(matches!(nobody, Err(StoreError::NotFound(_))), "{nobody:?}");
}

async fn a_revoked_ca_is_out_of_everything(store: &dyn Store) {
    let world = World::new(store).await;
    let version = store.hierarchy().await.unwrap().bundle_version;
    store.revoke_ca(world.services.ski, RevocationReason::CaCompromise, &stamp(50)).await.unwrap();
    store.revoke_ca(world.services.ski, RevocationReason::Superseded, &stamp(60)).await.unwrap();
    let revoked = row(store, world.services.ski).await;
    assert_eq!(revoked.revoked_at, Some(at(50)));
    assert!(!revoked.is_active() && !revoked.is_live(at(50)));
    let hierarchy = store.hierarchy().await.unwrap();
    assert!(hierarchy.bundle_version > version);
    assert_eq!(hierarchy.spiffe_sequence, at(0).seconds());
    let refused = world.outcome(world.record("n1", 60), 60).await;
    assert!(matches!(refused, RecordOutcome::IssuerGone), "{refused:?}");
    let status = store.certificate(world.services.serial, at(60)).await.unwrap().unwrap().status;
    assert_eq!(status, CertificateStatus::Revoked);

    let crls = store.crls().await.unwrap();
    assert!(crls.iter().all(|crl| crl.pending == (crl.issuer == world.root.ski)), "{crls:?}");
    let crl = store.reserve_crl(world.root.ski, &stamp(70)).await.unwrap();
    assert_eq!(crl.entries.len(), 1);
    assert_eq!(crl.entries[0].serial, world.services.serial);
    assert_eq!((crl.entries[0].revoked_at, crl.entries[0].reason), (at(50), RevocationReason::CaCompromise));

    let back = store.activate_ca(world.services.ski, &stamp(80)).await;
    assert!(matches!(back, Err(StoreError::Conflict(_))), "{back:?}");
    let root = store.revoke_ca(world.root.ski, RevocationReason::CaCompromise, &stamp(80)).await;
    assert!(matches!(root, Err(StoreError::Conflict(_))), "{root:?}");
}

async fn what_is_no_ca_is_not_found(store: &dyn Store) {
    World::new(store).await;
    let nobody = ski(CaRole::Services, 99);
    let reason = RevocationReason::Unspecified;
    for answer in [
        store.activate_ca(nobody, &stamp(1)).await,
        store.retire_ca(nobody, &stamp(1)).await,
        store.revoke_ca(nobody, reason, &stamp(1)).await,
        store.reserve_crl(nobody, &stamp(1)).await.map(|_| ()),
    ] {
        assert!(matches!(answer, Err(StoreError::NotFound(_))), "{answer:?}");
    }
}

async fn an_expired_ca_raises_the_bundle_once(store: &dyn Store) {
    let world = World::new(store).await;
    let end = world.services.not_after.seconds_since(START);
    assert!(!store.refresh_bundle(at(end - 1)).await.unwrap());
    assert!(store.refresh_bundle(at(end)).await.unwrap());
    let hierarchy = store.hierarchy().await.unwrap();
    assert_eq!(hierarchy.bundle_version, at(end).seconds());
    assert_eq!(hierarchy.spiffe_sequence, at(0).seconds());
    assert!(!store.refresh_bundle(at(end + 1)).await.unwrap());
    let expired = store.activate_ca(world.services.ski, &stamp(end)).await;
    assert!(matches!(expired, Err(StoreError::Conflict(_))), "{expired:?}");
    let root_end = world.root.not_after.seconds_since(START);
    assert!(store.refresh_bundle(at(root_end)).await.unwrap());
    assert_eq!(store.hierarchy().await.unwrap().spiffe_sequence, at(root_end).seconds());
}

async fn versions_rise_even_when_the_clock_does_not(store: &dyn Store) {
    let world = World::new(store).await;
    let before = store.hierarchy().await.unwrap().bundle_version;
    second(&world, -100).await;
    assert_eq!(store.hierarchy().await.unwrap().bundle_version, before + 1);
    let number = store.reserve_crl(world.root.ski, &stamp(0)).await.unwrap().number;
    assert_eq!(number, at(0).seconds());
    assert_eq!(store.reserve_crl(world.root.ski, &stamp(-100)).await.unwrap().number, number + 1);
}
