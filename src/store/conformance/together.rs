//! Many callers at once: for one identity, denying and recording are serial.

use super::fixture::*;
use crate::{
    identity::{KeyId, Serial, SpiffeId},
    store::{AuditVerdict, CertificateQuery, RecordOutcome, Store, StoreError},
};
use std::{collections::HashSet, sync::Arc};
use tokio::task::JoinSet;

pub(super) async fn run(make: &impl AsyncFn() -> Arc<dyn Store>) {
    a_certificate_is_refused_or_on_the_list(make().await, 200).await;
    many_record_at_once(make().await).await;
    one_refusal_takes_nobody_with_it(make().await).await;
    one_name_has_one_owner(make().await).await;
    a_closed_store_says_so(make().await).await;
}

/// What `World` knows, for tasks that outlive it.
#[derive(Clone, Copy)]
struct Issuer {
    ski: KeyId,
    serial: Serial,
}

async fn issuer(store: &dyn Store) -> Issuer {
    let world = World::new(store).await;
    Issuer { ski: world.services.ski, serial: world.services.serial }
}

async fn record(store: &dyn Store, issuer: Issuer, name: &str, when: i64) -> RecordOutcome {
    let serial = serial();
    let record = crate::store::IssuanceRecord {
        serial,
        spiffe_id: spiffe(name),
        instance_id: instance(name),
        common_name: Some(name.to_owned()),
        issuer: issuer.ski,
        issuer_serial: issuer.serial,
        spki: key(&serial.to_string()),
        not_before: at(when - 60),
        not_after: at(when + HOUR),
        owned_names: vec![dns(name)],
        limit: None,
        ticket: None,
    };
    store.record_issued(signed(record), &stamp(when)).await.unwrap()
}

/// Denies and issues one identity at the same moment, `rounds` times: the certificate is refused, or it is in the
/// denial's answer and on the CRL.
pub(crate) async fn a_certificate_is_refused_or_on_the_list(store: Arc<dyn Store>, rounds: i64) {
    let issuer = issuer(store.as_ref()).await;
    let (mut recorded, mut refused) = (0, 0);
    for round in 0..rounds {
        let who: SpiffeId = spiffe("n1");
        let issuing = tokio::spawn({
            let store = store.clone();
            async move { record(store.as_ref(), issuer, "n1", 1).await }
        });
        let denying = tokio::spawn({
            let store = store.clone();
            let who = who.clone();
            async move {
                // Sooner or later than the other, so that both orders come about.
                for _ in 0..round % 4 {
                    tokio::task::yield_now().await;
                }
                store.deny_identity(&who, "race", false, &stamp(1)).await.unwrap()
            }
        });
        let (outcome, denied) = (issuing.await.unwrap(), denying.await.unwrap());
        match outcome {
            RecordOutcome::Denied(_) => refused += 1,
            RecordOutcome::Recorded(issued) => {
                recorded += 1;
                let serial = issued.record().serial;
                assert!(
                    denied.expiring.iter().any(|certificate| certificate.serial == serial),
                    "round {round}"
                );
                assert_eq!(denied.issuers, [issuer.ski]);
                let crl = store.reserve_crl(issuer.ski, &stamp(1)).await.unwrap();
                assert!(crl.entries.iter().any(|entry| entry.serial == serial), "round {round}");
            }
            other => panic!("{other:?}"),
        }
        store.allow_identity(&who, &stamp(1)).await.unwrap();
        // Purged, so that each round has its own certificate to look for and no more.
        store.purge_expired(at(2 * HOUR), 10, &stamp(1)).await.unwrap();
    }
    assert_eq!(recorded + refused, rounds);
    assert!(recorded > 0 && refused > 0, "both orders were tried: {recorded} recorded, {refused} refused");
}

async fn many_record_at_once(store: Arc<dyn Store>) {
    let issuer = issuer(store.as_ref()).await;
    let mut tasks = JoinSet::new();
    for task in 0..64 {
        let store = store.clone();
        tasks.spawn(async move {
            let mut serials = Vec::new();
            for when in 1..=10 {
                let name = format!("n{}", task % 16);
                match record(store.as_ref(), issuer, &name, when).await {
                    RecordOutcome::Recorded(issued) => serials.push(issued.record().serial),
                    other => panic!("{other:?}"),
                }
            }
            serials
        });
    }
    let answered: HashSet<Serial> = tasks.join_all().await.into_iter().flatten().collect();
    let query = CertificateQuery { limit: 1000, ..Default::default() };
    let rows = store.certificates(&query, at(10)).await.unwrap();
    let stored: HashSet<Serial> =
        rows.iter().filter(|row| row.spiffe_id.is_some()).map(|row| row.serial).collect();
    assert_eq!(answered.len(), 640);
    assert_eq!(stored, answered);
    assert_eq!(store.summary(at(10)).await.unwrap().active_certificates, 640);
    assert_eq!(store.hierarchy().await.unwrap().cas[1].issued_count, 640);
    assert!(matches!(store.verify_audit().await.unwrap(), AuditVerdict::Intact(_)));
}

async fn one_refusal_takes_nobody_with_it(store: Arc<dyn Store>) {
    let issuer = issuer(store.as_ref()).await;
    let mut tasks = JoinSet::new();
    for task in 0..60 {
        let store = store.clone();
        tasks.spawn(async move {
            // Every third step fails after it has been queued beside the others.
            if task % 3 == 0 {
                let nobody = KeyId::of_public_key(b"nobody");
                let failed = store.reserve_crl(nobody, &stamp(1)).await;
                assert!(matches!(failed, Err(StoreError::NotFound(_))), "{failed:?}");
                return 0;
            }
            match record(store.as_ref(), issuer, &format!("n{task}"), 1).await {
                RecordOutcome::Recorded(_) => 1,
                other => panic!("{other:?}"),
            }
        });
    }
    let recorded: u64 = tasks.join_all().await.into_iter().sum();
    assert_eq!(store.summary(at(1)).await.unwrap().active_certificates, recorded);
    assert!(matches!(store.verify_audit().await.unwrap(), AuditVerdict::Intact(_)));
}

async fn one_name_has_one_owner(store: Arc<dyn Store>) {
    let world = World::new(store.as_ref()).await;
    let mut tasks = JoinSet::new();
    for task in 0..20 {
        let mut record = world.record(&format!("n{task}"), 1);
        record.owned_names = vec![dns("wanted")];
        let store = store.clone();
        tasks.spawn(async move { store.record_issued(signed(record), &stamp(1)).await.unwrap() });
    }
    let outcomes = tasks.join_all().await;
    let recorded = outcomes.iter().filter(|outcome| matches!(outcome, RecordOutcome::Recorded(_))).count();
    let taken = outcomes.iter().filter(|outcome| matches!(outcome, RecordOutcome::NameTaken { .. })).count();
    assert_eq!((recorded, taken), (1, 19));
}

async fn a_closed_store_says_so(store: Arc<dyn Store>) {
    let issuer = issuer(store.as_ref()).await;
    let mut tasks = JoinSet::new();
    for task in 0..32 {
        let store = store.clone();
        tasks.spawn(async move { record(store.as_ref(), issuer, &format!("n{task}"), 1).await });
    }
    for outcome in tasks.join_all().await {
        assert!(matches!(outcome, RecordOutcome::Recorded(_)));
    }
    store.close().await.unwrap();
    store.close().await.unwrap();
    assert_eq!(store.deployment().await, Err(StoreError::Closed));
    assert_eq!(store.release_name(&dns("n1"), &stamp(2)).await, Err(StoreError::Closed));
}
