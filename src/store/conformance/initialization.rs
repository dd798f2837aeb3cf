//! A hierarchy is planned, then complete; nothing between is seen.

use super::fixture::*;
use crate::{
    identity::{CaRole, Timestamp},
    store::{AuditQuery, KeyRole, KeyRowState, Store, StoreError},
};
use std::sync::Arc;

pub(super) async fn run(make: &impl AsyncFn() -> Arc<dyn Store>) {
    a_new_store_belongs_to_nobody(make().await.as_ref()).await;
    the_newest_verified_backup_is_kept(make().await.as_ref()).await;
    two_stores_are_two_deployments(make().await.as_ref(), make().await.as_ref()).await;
    the_first_plan_stands(make().await.as_ref()).await;
    another_trust_domain_is_refused_with_both_names(make().await.as_ref()).await;
    nothing_is_there_until_all_of_it_is(make().await.as_ref()).await;
    half_a_hierarchy_is_refused(make().await.as_ref()).await;
    what_is_completed_is_active_at_once(make().await.as_ref()).await;
    a_root_alone_is_a_hierarchy_too(make().await.as_ref()).await;
}

async fn a_new_store_belongs_to_nobody(store: &dyn Store) {
    let deployment = store.deployment().await.unwrap();
    assert_eq!(deployment.trust_domain, None);
    assert_eq!(deployment.id.len(), 16);
    assert!(deployment.id.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase()));
    assert_eq!(store.deployment().await.unwrap(), deployment);
    assert_eq!(store.newest_time().await.unwrap(), Timestamp::from_millis(0));
    assert_eq!(store.restoration().await.unwrap(), None);
    assert!(!store.confirm_restoration(&stamp(0)).await.unwrap(), "there is nothing to confirm");
    assert_eq!(store.verified_backup().await.unwrap(), None);
    let hierarchy = store.hierarchy().await.unwrap();
    assert!(hierarchy.plan.is_none() && hierarchy.keys.is_empty() && hierarchy.cas.is_empty());
    assert_eq!(store.crls().await.unwrap(), []);
    assert_eq!(store.summary(START).await.unwrap(), crate::store::Summary::default());
}

/// Of several the one that was made last counts, whenever it was reported.
async fn the_newest_verified_backup_is_kept(store: &dyn Store) {
    for (made_at, reported_at, wanted) in
        [(10, 20, (10, 20)), (5, 30, (10, 20)), (10, 40, (10, 40)), (11, 50, (11, 50))]
    {
        let sha256 = [u8::try_from(made_at).unwrap(); 32];
        store.record_verified_backup(at(made_at), sha256, &stamp(reported_at)).await.unwrap();
        let kept = store.verified_backup().await.unwrap().unwrap();
        assert_eq!((kept.created_at, kept.verified_at), (at(wanted.0), at(wanted.1)));
        assert_eq!(i64::from(kept.manifest_sha256[0]), wanted.0);
        let newest =
            store.audit(&AuditQuery { limit: 100, ..AuditQuery::default() }).await.unwrap().pop().unwrap();
        assert_eq!((newest.action.as_str(), newest.subject.len()), ("backup.verified", 64));
    }
}

async fn two_stores_are_two_deployments(one: &dyn Store, other: &dyn Store) {
    assert_ne!(one.deployment().await.unwrap().id, other.deployment().await.unwrap().id);
}

async fn the_first_plan_stands(store: &dyn Store) {
    let first = plan(&CaRole::ALL);
    assert_eq!(store.begin_initialization(&first, &stamp(0)).await.unwrap(), first);
    let later = plan(&[CaRole::Root]);
    assert_eq!(store.begin_initialization(&later, &stamp(1)).await.unwrap(), first);
    assert_eq!(store.hierarchy().await.unwrap().plan, Some(first));
    assert_eq!(store.deployment().await.unwrap().trust_domain, Some("td.example".parse().unwrap()));
    assert_eq!(store.newest_time().await.unwrap(), at(0));
}

async fn another_trust_domain_is_refused_with_both_names(store: &dyn Store) {
    store.begin_initialization(&plan(&CaRole::ALL), &stamp(0)).await.unwrap();
    let mut other = plan(&CaRole::ALL);
    other.trust_domain = "other.example".to_owned();
    let error = store.begin_initialization(&other, &stamp(1)).await.unwrap_err();
    let StoreError::Conflict(sentence) = error else { panic!("{error}") };
    assert!(sentence.contains("'td.example'") && sentence.contains("'other.example'"), "{sentence}");
}

async fn nothing_is_there_until_all_of_it_is(store: &dyn Store) {
    store.begin_initialization(&plan(&CaRole::ALL), &stamp(0)).await.unwrap();
    let root = signed_ca(store, CaRole::Root, 1, None, 0).await;
    signed_ca(store, CaRole::Services, 1, Some(&root), 0).await;
    let hierarchy = store.hierarchy().await.unwrap();
    assert_eq!(hierarchy.cas, []);
    assert_eq!(hierarchy.initialized_at, None);
    assert_eq!(hierarchy.keys.len(), 2);
    assert!(hierarchy.keys.iter().all(|key| key.state == KeyRowState::Made));
}

async fn half_a_hierarchy_is_refused(store: &dyn Store) {
    let unplanned = store.complete_initialization(&[], &stamp(0)).await;
    assert!(matches!(unplanned, Err(StoreError::Conflict(_))), "{unplanned:?}");
    store.begin_initialization(&plan(&CaRole::ALL), &stamp(0)).await.unwrap();
    let root = signed_ca(store, CaRole::Root, 1, None, 0).await;
    let services = signed_ca(store, CaRole::Services, 1, Some(&root), 0).await;
    let half = store.complete_initialization(&[root.clone(), services.clone()], &stamp(1)).await;
    assert!(matches!(half, Err(StoreError::Conflict(_))), "{half:?}");
    let mut transport = signed_ca(store, CaRole::Transport, 1, Some(&root), 0).await;
    let meant = transport.serial;
    transport.serial = serial();
    let other =
        store.complete_initialization(&[root.clone(), services.clone(), transport.clone()], &stamp(1)).await;
    assert!(matches!(other, Err(StoreError::Conflict(_))), "{other:?}");
    // Nothing of the refused steps has stayed.
    assert_eq!(store.hierarchy().await.unwrap().cas, []);
    transport.serial = meant;
    store.complete_initialization(&[root, services, transport], &stamp(2)).await.unwrap();
}

async fn what_is_completed_is_active_at_once(store: &dyn Store) {
    let world = World::new(store).await;
    let hierarchy = store.hierarchy().await.unwrap();
    assert_eq!(hierarchy.initialized_at, Some(at(0)));
    assert_eq!(hierarchy.bundle_version, at(0).seconds());
    assert_eq!(hierarchy.spiffe_sequence, at(0).seconds());
    let roles: Vec<_> = hierarchy.cas.iter().map(|ca| ca.certificate.role).collect();
    assert_eq!(roles, CaRole::ALL);
    for (row, signed) in hierarchy.cas.iter().zip([&world.root, &world.services, &world.transport]) {
        assert_eq!(row.certificate, *signed);
        assert!(row.is_active() && row.is_live(at(0)));
        assert_eq!((row.published_at, row.activated_at, row.revoked_at), (at(0), Some(at(0)), None));
    }
    assert_eq!(hierarchy.cas[0].issued_count, 2);
    // Again is no error, and changes nothing.
    let cas = [world.root.clone(), world.services.clone(), world.transport.clone()];
    store.complete_initialization(&cas, &stamp(9)).await.unwrap();
    assert_eq!(store.hierarchy().await.unwrap().initialized_at, Some(at(0)));
    let row = store.certificate(world.root.serial, at(0)).await.unwrap().unwrap();
    assert_eq!((row.certificate_type.as_str(), row.common_name.as_str()), ("root-ca", "Catalyst Root CA"));
    assert_eq!((row.issuer_serial, row.spiffe_id), (world.root.serial, None));
    assert_eq!(store.summary(at(0)).await.unwrap().active_certificates, 0);
}

async fn a_root_alone_is_a_hierarchy_too(store: &dyn Store) {
    store.begin_initialization(&plan(&[CaRole::Root]), &stamp(0)).await.unwrap();
    let root = signed_ca(store, CaRole::Root, 1, None, 0).await;
    store.complete_initialization(std::slice::from_ref(&root), &stamp(0)).await.unwrap();
    let services = signed_ca(store, CaRole::Services, 1, Some(&root), 5).await;
    store.record_intermediate(&services, &stamp(5)).await.unwrap();
    let hierarchy = store.hierarchy().await.unwrap();
    assert!(hierarchy.cas[1].is_active(), "the first of a role signs at once");
    assert_eq!(hierarchy.bundle_version, at(5).seconds());
    assert_eq!(hierarchy.spiffe_sequence, at(0).seconds(), "no root has changed");
    assert_eq!(hierarchy.keys[0].intention.role, KeyRole::Ca(CaRole::Root));
}
