//! Certificates that were issued after the copy was made that a store came from.

use super::fixture::*;
use crate::{
    identity::Timestamp,
    store::{
        AdoptOutcome, AdoptRefusal, AuditQuery, CertificateRow, CertificateStatus, IssuanceRecord,
        KeyRefusal, RevocationReason, Store,
    },
};
use std::sync::Arc;

/// When the copy was made, and when it was put back, in seconds after the start.
const SNAPSHOT: i64 = 1_000;
const RESTORED: i64 = 5_000;
/// Between the two.
const LOST: i64 = 3_000;

/// Runs the suite; `make` gives a new store each time that came out of a copy of the first moment and was put back at the
/// second.
pub(crate) async fn run<F: Future<Output = Arc<dyn Store>>>(make: impl Fn(Timestamp, Timestamp) -> F) {
    let make = async || make(at(SNAPSHOT), at(RESTORED)).await;
    what_was_lost_is_taken_up_and_counts(make().await.as_ref()).await;
    only_the_time_that_was_lost_counts(make().await.as_ref()).await;
    confirming_ends_the_time(make().await.as_ref()).await;
    what_speaks_against_it_is_said(make().await.as_ref()).await;
    names_are_claimed_or_refused(make().await.as_ref()).await;
    for _ in 0..200 {
        it_is_refused_or_on_the_list(make().await).await;
    }
}

async fn adopt(store: &dyn Store, record: IssuanceRecord, when: i64) -> AdoptOutcome {
    store.adopt_certificate(signed(record), &stamp(when)).await.unwrap()
}

async fn adopted(store: &dyn Store, record: IssuanceRecord, when: i64) -> CertificateRow {
    match adopt(store, record, when).await {
        AdoptOutcome::Adopted(row) => *row,
        other => panic!("{other:?}"),
    }
}

async fn refused(store: &dyn Store, record: IssuanceRecord, when: i64) -> AdoptRefusal {
    match adopt(store, record, when).await {
        AdoptOutcome::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

async fn what_was_lost_is_taken_up_and_counts(store: &dyn Store) {
    let world = World::new(store).await;
    let lost = world.record("n1", LOST);
    let row = adopted(store, lost.clone(), RESTORED).await;
    assert!(row.adopted && row.status == CertificateStatus::Active);
    assert_eq!((row.serial, row.spiffe_id.as_ref()), (lost.serial, Some(&lost.spiffe_id)));
    assert_eq!((row.not_after, row.created_at), (lost.not_after, at(RESTORED)));
    assert_eq!(store.certificate(lost.serial, at(RESTORED)).await.unwrap(), Some(row.clone()));
    assert_eq!(store.summary(at(RESTORED)).await.unwrap().active_certificates, 1);
    let cas = store.hierarchy().await.unwrap().cas;
    let issuer = cas.iter().find(|ca| ca.certificate.ski == lost.issuer).unwrap();
    assert_eq!(issuer.issued_count, 1);
    assert_eq!(store.name_owner(&dns("n1")).await.unwrap(), Some(instance("n1")));
    let query = AuditQuery { limit: 9, action: Some("certificate.adopted".to_owned()), ..Default::default() };
    let records = store.audit(&query).await.unwrap();
    assert_eq!((records.len(), records[0].subject.as_str()), (1, lost.spiffe_id.as_str()));
    assert!(records[0].detail.contains(&lost.serial.to_string()));
    // Whoever comes again changes nothing.
    let again = adopt(store, lost, RESTORED + 1).await;
    assert!(matches!(again, AdoptOutcome::Known(known) if *known == row));
    assert_eq!(store.audit(&query).await.unwrap().len(), 1);
    // And what was adopted is revoked like any other.
    store.revoke_certificate(row.serial, RevocationReason::Superseded, &stamp(RESTORED + 2)).await.unwrap();
    assert_eq!(store.summary(at(RESTORED + 2)).await.unwrap().active_certificates, 0);
}

/// notBefore lies a minute back, on a whole second.
async fn only_the_time_that_was_lost_counts(store: &dyn Store) {
    let world = World::new(store).await;
    for (issued, now) in [(SNAPSHOT - 1, RESTORED), (RESTORED + 61, RESTORED)] {
        assert_eq!(refused(store, world.record("n1", issued), now).await, AdoptRefusal::OutsideWindow);
    }
    adopted(store, world.record("n1", SNAPSHOT), SNAPSHOT + 1).await;
    assert_eq!(refused(store, world.record("n1", LOST), LOST + HOUR).await, AdoptRefusal::Expired);
    // While nobody has confirmed, the instance of before may still issue.
    adopted(store, world.record("n1", RESTORED + 600), RESTORED + 600).await;
    let behind = refused(store, world.record("n1", LOST), LOST).await;
    assert!(
        matches!(behind, AdoptRefusal::ClockBehind { newest } if newest == at(RESTORED + 600)),
        "{behind:?}"
    );
}

async fn confirming_ends_the_time(store: &dyn Store) {
    let world = World::new(store).await;
    assert_eq!(store.restoration().await.unwrap().unwrap().confirmed_at, None);
    assert!(store.confirm_restoration(&stamp(RESTORED + 100)).await.unwrap());
    assert!(!store.confirm_restoration(&stamp(RESTORED + 200)).await.unwrap());
    let restoration = store.restoration().await.unwrap().unwrap();
    assert_eq!(restoration.confirmed_at, Some(at(RESTORED + 100)));
    adopted(store, world.record("n1", LOST), RESTORED + 300).await;
    let late = world.record("n1", RESTORED + 161);
    assert_eq!(refused(store, late, RESTORED + 300).await, AdoptRefusal::OutsideWindow);
}

async fn what_speaks_against_it_is_said(store: &dyn Store) {
    let world = World::new(store).await;
    store.deny_identity(&spiffe("denied"), "lost", false, &stamp(RESTORED)).await.unwrap();
    let denied = refused(store, world.record("denied", LOST), RESTORED).await;
    assert!(matches!(&denied, AdoptRefusal::Denied(denial) if denial.reason == "lost"), "{denied:?}");

    let known = world.issue("n1", RESTORED).await;
    let taken = IssuanceRecord { serial: known.record().serial, ..world.record("n2", LOST) };
    assert_eq!(refused(store, taken, RESTORED).await, AdoptRefusal::SerialTaken);
    let in_use = IssuanceRecord { spki: known.record().spki, ..world.record("n2", LOST) };
    assert_eq!(refused(store, in_use, RESTORED).await, AdoptRefusal::Key(KeyRefusal::InUse));
    let revoked = known.record().serial;
    store.revoke_certificate(revoked, RevocationReason::KeyCompromise, &stamp(RESTORED)).await.unwrap();
    let blocked = IssuanceRecord { spki: known.record().spki, ..world.record("n1", LOST) };
    assert_eq!(refused(store, blocked, RESTORED).await, AdoptRefusal::Key(KeyRefusal::Revoked));

    // An entry of its CRL, though its row is gone.
    store.purge_expired(known.record().not_after.plus_seconds(1), 10, &stamp(RESTORED)).await.unwrap();
    let listed = IssuanceRecord { serial: revoked, ..world.record("n2", LOST) };
    assert_eq!(refused(store, listed, RESTORED).await, AdoptRefusal::Revoked);

    let elsewhere = IssuanceRecord { issuer_serial: serial(), ..world.record("n2", LOST) };
    assert_eq!(refused(store, elsewhere, RESTORED).await, AdoptRefusal::IssuerGone);
    let by_root = IssuanceRecord {
        issuer: world.root.ski,
        issuer_serial: world.root.serial,
        ..world.record("n2", LOST)
    };
    assert_eq!(refused(store, by_root, RESTORED).await, AdoptRefusal::IssuerGone);
    store.revoke_ca(world.services.ski, RevocationReason::CaCompromise, &stamp(RESTORED)).await.unwrap();
    assert_eq!(refused(store, world.record("n2", LOST), RESTORED).await, AdoptRefusal::IssuerGone);
}

async fn names_are_claimed_or_refused(store: &dyn Store) {
    let world = World::new(store).await;
    let mut claims = world.record("n1", LOST);
    claims.owned_names.push(dns("shared.example.org"));
    adopted(store, claims.clone(), RESTORED).await;
    let mut other = world.record("n2", LOST);
    other.owned_names.push(dns("shared.example.org"));
    let refusal = refused(store, other, RESTORED).await;
    assert_eq!(refusal, AdoptRefusal::NameTaken { name: dns("shared.example.org"), owner: instance("n1") });
    assert_eq!(store.name_owner(&dns("n2")).await.unwrap(), None, "nothing is claimed by halves");
}

/// For one identity, denying and adopting are serial.
async fn it_is_refused_or_on_the_list(store: Arc<dyn Store>) {
    let world = World::new(store.as_ref()).await;
    let (ski, lost) = (world.services.ski, world.record("n1", LOST));
    let adopting = tokio::spawn({
        let (store, lost) = (store.clone(), lost.clone());
        async move { adopt(store.as_ref(), lost, RESTORED).await }
    });
    let denying = tokio::spawn({
        let store = store.clone();
        async move { store.deny_identity(&spiffe("n1"), "race", false, &stamp(RESTORED)).await.unwrap() }
    });
    let (outcome, denied) = (adopting.await.unwrap(), denying.await.unwrap());
    match outcome {
        AdoptOutcome::Refused(AdoptRefusal::Denied(_)) => assert!(denied.expiring.is_empty()),
        AdoptOutcome::Adopted(_) => {
            assert_eq!(denied.expiring.len(), 1);
            let crl = store.reserve_crl(ski, &stamp(RESTORED)).await.unwrap();
            assert!(crl.entries.iter().any(|entry| entry.serial == lost.serial));
        }
        other => panic!("{other:?}"),
    }
}
