//! Denial, hold, release; revocation for good.

use super::fixture::*;
use crate::store::{
    AllowOutcome, AuditQuery, CertificateStatus, CrlEntry, Denial, ExpiringCertificate, IssuedCertificate,
    KeyRefusal, RecordOutcome, RevocationReason, Store, StoreError, TokenRecord,
};
use std::sync::Arc;

pub(super) async fn run(make: &impl AsyncFn() -> Arc<dyn Store>) {
    a_denied_identity_gets_nothing_until_it_is_allowed(make().await.as_ref()).await;
    a_denial_holds_what_lives_and_names_it(make().await.as_ref()).await;
    allowing_lifts_the_hold_and_nothing_else(make().await.as_ref()).await;
    compromised_is_for_good(make().await.as_ref()).await;
    a_hold_becomes_a_revocation(make().await.as_ref()).await;
    an_unknown_identity_can_be_denied(make().await.as_ref()).await;
    the_deny_list_is_newest_first(make().await.as_ref()).await;
    one_certificate_is_revoked_alone(make().await.as_ref()).await;
    a_denial_ends_the_tokens_bound_to_the_identity(make().await.as_ref()).await;
    a_revocation_ends_the_tokens_bound_to_the_certificate(make().await.as_ref()).await;
}

async fn entries(world: &World<'_>, when: i64) -> Vec<CrlEntry> {
    world.store.reserve_crl(world.services.ski, &stamp(when)).await.unwrap().entries
}

async fn pending(world: &World<'_>) -> bool {
    let rows = world.store.crls().await.unwrap();
    rows.iter().find(|row| row.issuer == world.services.ski).unwrap().pending
}

async fn a_denied_identity_gets_nothing_until_it_is_allowed(store: &dyn Store) {
    let world = World::new(store).await;
    store.deny_identity(&spiffe("n1"), "stolen — #12", false, &stamp(10)).await.unwrap();
    let refused = world.outcome(world.record("n1", 20), 20).await;
    let RecordOutcome::Denied(denial) = refused else { panic!("{refused:?}") };
    let expected = Denial {
        spiffe_id: spiffe("n1"),
        reason: "stolen — #12".to_owned(),
        denied_at: at(10),
        compromised: false,
    };
    assert_eq!(denial, expected);
    world.issue("n2", 20).await;
    assert!(store.allow_identity(&spiffe("n1"), &stamp(30)).await.unwrap().was_denied);
    world.issue("n1", 40).await;
}

async fn a_denial_holds_what_lives_and_names_it(store: &dyn Store) {
    let world = World::new(store).await;
    world.issue("n1", 0).await;
    let first = world.issue("n1", 100).await;
    let mut from_transport = world.record("n1", 200);
    from_transport.issuer = world.transport.ski;
    from_transport.issuer_serial = world.transport.serial;
    let second = world.issue_record(from_transport, 200).await;
    world.issue("n2", 200).await;
    let now = HOUR + 50;
    let denied = store.deny_identity(&spiffe("n1"), "out", false, &stamp(now)).await.unwrap();
    let expected: Vec<ExpiringCertificate> = [&first, &second]
        .map(|issued| ExpiringCertificate {
            serial: issued.record().serial,
            expires_at: issued.record().not_after,
        })
        .into();
    assert_eq!(denied.expiring, expected);
    assert_eq!(denied.issuers, [world.services.ski, world.transport.ski]);
    assert!(pending(&world).await);
    let held = CrlEntry {
        serial: first.record().serial,
        revoked_at: at(now),
        reason: RevocationReason::CertificateHold,
    };
    assert_eq!(entries(&world, now).await, [held]);
    let again = store.deny_identity(&spiffe("n1"), "still", false, &stamp(now + 5)).await.unwrap();
    assert_eq!(again, denied, "denying again answers the same certificates");
    assert_eq!(store.denied_identities().await.unwrap()[0].denied_at, at(now));
}

async fn allowing_lifts_the_hold_and_nothing_else(store: &dyn Store) {
    let world = World::new(store).await;
    let held = world.issue("n1", 0).await;
    let revoked = world.issue("n1", 0).await;
    store.revoke_certificate(revoked.record().serial, RevocationReason::Superseded, &stamp(1)).await.unwrap();
    store.deny_identity(&spiffe("n1"), "out", false, &stamp(2)).await.unwrap();
    assert_eq!(entries(&world, 3).await.len(), 2);
    let allowed = store.allow_identity(&spiffe("n1"), &stamp(4)).await.unwrap();
    assert_eq!(allowed, AllowOutcome { was_denied: true, issuers: vec![world.services.ski] });
    let left = entries(&world, 5).await;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].serial, revoked.record().serial);
    let status = store.certificate(held.record().serial, at(5)).await.unwrap().unwrap().status;
    assert_eq!(status, CertificateStatus::Active);
    // A key that was only held is good for a renewal.
    let mut renewal = world.record("n1", 6);
    renewal.spki = held.record().spki;
    world.issue_record(renewal, 6).await;
    let nobody = store.allow_identity(&spiffe("n1"), &stamp(7)).await.unwrap();
    assert_eq!(nobody, AllowOutcome { was_denied: false, issuers: vec![] });
}

async fn compromised_is_for_good(store: &dyn Store) {
    let world = World::new(store).await;
    let issued = world.issue("n1", 0).await;
    store.deny_identity(&spiffe("n1"), "stolen", true, &stamp(1)).await.unwrap();
    assert!(store.denied_identities().await.unwrap()[0].compromised);
    store.allow_identity(&spiffe("n1"), &stamp(2)).await.unwrap();
    let left = entries(&world, 3).await;
    assert_eq!((left.len(), left[0].reason), (1, RevocationReason::KeyCompromise));
    let status = store.certificate(issued.record().serial, at(3)).await.unwrap().unwrap().status;
    assert_eq!(status, CertificateStatus::Revoked);
    let mut renewal = world.record("n1", 4);
    renewal.spki = issued.record().spki;
    let refused = world.outcome(renewal, 4).await;
    assert!(matches!(refused, RecordOutcome::KeyRefused(KeyRefusal::Revoked)), "{refused:?}");
    world.issue("n1", 5).await;
}

async fn a_hold_becomes_a_revocation(store: &dyn Store) {
    let world = World::new(store).await;
    world.issue("n1", 0).await;
    store.deny_identity(&spiffe("n1"), "out", false, &stamp(1)).await.unwrap();
    let held = store.reserve_crl(world.services.ski, &stamp(2)).await.unwrap();
    store.deny_identity(&spiffe("n1"), "stolen", true, &stamp(3)).await.unwrap();
    let revoked = store.reserve_crl(world.services.ski, &stamp(4)).await.unwrap();
    assert!(revoked.revision > held.revision, "the change waits for a CRL of its own");
    assert_eq!(revoked.entries[0].reason, RevocationReason::KeyCompromise);
    // A milder denial takes nothing back.
    store.deny_identity(&spiffe("n1"), "out", false, &stamp(5)).await.unwrap();
    assert!(store.denied_identities().await.unwrap()[0].compromised);
    store.allow_identity(&spiffe("n1"), &stamp(6)).await.unwrap();
    assert_eq!(entries(&world, 7).await.len(), 1);
}

async fn an_unknown_identity_can_be_denied(store: &dyn Store) {
    let world = World::new(store).await;
    let denied = store.deny_identity(&spiffe("n9"), "never", false, &stamp(1)).await.unwrap();
    assert!(denied.expiring.is_empty() && denied.issuers.is_empty());
    assert!(!pending(&world).await);
    assert_eq!(store.summary(at(2)).await.unwrap().denied_identities, 1);
}

async fn the_deny_list_is_newest_first(store: &dyn Store) {
    World::new(store).await;
    for (when, name) in ["n1", "n3", "n2"].into_iter().enumerate() {
        store.deny_identity(&spiffe(name), name, false, &stamp(when as i64)).await.unwrap();
    }
    let listed = store.denied_identities().await.unwrap();
    let reasons: Vec<&str> = listed.iter().map(|denial| denial.reason.as_str()).collect();
    assert_eq!(reasons, ["n2", "n3", "n1"]);
}

async fn one_certificate_is_revoked_alone(store: &dyn Store) {
    let world = World::new(store).await;
    let issued = world.issue("n1", 0).await.record().serial;
    let other = world.issue("n1", 0).await.record().serial;
    let reason = RevocationReason::CessationOfOperation;
    assert_eq!(store.revoke_certificate(serial(), reason, &stamp(1)).await.unwrap(), None);
    for when in [1, 2] {
        let issuer = store.revoke_certificate(issued, reason, &stamp(when)).await.unwrap();
        assert_eq!(issuer, Some(world.services.ski));
    }
    // Who finds out more has to know that verifiers are told the first reason.
    let again = store.revoke_certificate(issued, RevocationReason::KeyCompromise, &stamp(3)).await;
    assert!(
        matches!(&again, Err(StoreError::Conflict(why)) if why.contains("cessationOfOperation")),
        "{again:?}"
    );
    assert_eq!(entries(&world, 3).await, [CrlEntry { serial: issued, revoked_at: at(1), reason }]);
    let status = store.certificate(other, at(3)).await.unwrap().unwrap().status;
    assert_eq!(status, CertificateStatus::Active);
    let ca = store.revoke_certificate(world.services.serial, reason, &stamp(4)).await;
    assert!(matches!(ca, Err(StoreError::Conflict(_))), "{ca:?}");
    let hold = store.revoke_certificate(other, RevocationReason::CertificateHold, &stamp(4)).await;
    assert!(matches!(hold, Err(StoreError::Conflict(_))), "{hold:?}");
    // One that has ended already needs no line, but its key is no longer welcome.
    store.revoke_certificate(other, reason, &stamp(HOUR)).await.unwrap();
    assert_eq!(entries(&world, HOUR).await.len(), 1);
}

/// Records a token that is bound to the certificate.
async fn bound(store: &dyn Store, jti: &str, to: &IssuedCertificate, expires_at: i64) {
    let certificate_fingerprint = Some(to.fingerprint());
    let token = TokenRecord { certificate_fingerprint, expires_at: at(expires_at), ..token(jti) };
    store.record_token(&token, &stamp(1)).await.unwrap();
}

async fn a_denial_ends_the_tokens_bound_to_the_identity(store: &dyn Store) {
    let world = World::new(store).await;
    let now = HOUR + 50;
    let expired = world.issue("n1", 0).await;
    let living = world.issue("n1", 100).await;
    let others = world.issue("n2", 100).await;
    bound(store, "of-expired", &expired, DAY).await;
    bound(store, "of-living", &living, DAY).await;
    bound(store, "over", &living, HOUR).await;
    bound(store, "of-other", &others, DAY).await;
    store.record_token(&token("unbound"), &stamp(1)).await.unwrap();
    store.deny_identity(&spiffe("n1"), "out", false, &stamp(now)).await.unwrap();
    assert_eq!(store.revoked_tokens(at(now)).await.unwrap(), ["of-expired", "of-living"]);
    let denied = AuditQuery { limit: 10, action: Some("identity.denied".to_owned()), ..Default::default() };
    let denied = store.audit(&denied).await.unwrap();
    let detail: serde_json::Value = serde_json::from_str(&denied[0].detail).unwrap();
    assert_eq!(detail["tokens"], 2);
    // Lifting the denial brings no token back; denying again ends what was made since.
    store.allow_identity(&spiffe("n1"), &stamp(now)).await.unwrap();
    assert_eq!(store.revoked_tokens(at(now)).await.unwrap().len(), 2);
    bound(store, "later", &living, DAY).await;
    store.deny_identity(&spiffe("n1"), "out", false, &stamp(now)).await.unwrap();
    store.deny_identity(&spiffe("n1"), "out", true, &stamp(now)).await.unwrap();
    assert_eq!(store.revoked_tokens(at(now)).await.unwrap(), ["later", "of-expired", "of-living"]);
}

async fn a_revocation_ends_the_tokens_bound_to_the_certificate(store: &dyn Store) {
    let world = World::new(store).await;
    let gone = world.issue("n1", 0).await;
    let stays = world.issue("n1", 0).await;
    bound(store, "gone", &gone, DAY).await;
    bound(store, "stays", &stays, DAY).await;
    let serial = gone.record().serial;
    store.revoke_certificate(serial, RevocationReason::Superseded, &stamp(1)).await.unwrap();
    assert_eq!(store.revoked_tokens(at(1)).await.unwrap(), ["gone"]);
    bound(store, "late", &gone, DAY).await;
    store.revoke_certificate(serial, RevocationReason::Superseded, &stamp(2)).await.unwrap();
    assert_eq!(store.revoked_tokens(at(2)).await.unwrap(), ["gone", "late"]);
}
