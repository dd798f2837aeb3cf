//! A store in whose place another is put: what was taken away in it counts.

use super::{
    restore::{Lost, NOW, denied, entries, plan},
    *,
};
use crate::{
    identity::CaRole,
    store::{RestorePlan, RevocationReason, Standing, StoreError, TokenSelector, standing},
};
use conformance::fixture::*;

fn of(lost: &Lost) -> Standing {
    standing(&lost.directory.path().join("certs.db"), at(NOW)).unwrap()
}

#[tokio::test]
async fn what_was_taken_away_in_the_store_of_before_is_gone() {
    let lost = Lost::new(
        async |world| {
            for name in ["n1", "n2"] {
                world.issue(name, 10).await;
            }
            world.store.record_token(&token("t1"), &stamp(10)).await.unwrap();
        },
        async |world| {
            let store = world.store;
            store.deny_identity(&spiffe("n1"), "stolen", true, &stamp(1100)).await.unwrap();
            store.deny_identity(&spiffe("n2"), "why", false, &stamp(1200)).await.unwrap();
            let late = world.issue("n4", 1400).await;
            store
                .revoke_certificate(late.record().serial, RevocationReason::KeyCompromise, &stamp(1500))
                .await
                .unwrap();
            store.revoke_tokens(&TokenSelector::Jti("t1".into()), &stamp(1700)).await.unwrap();
            store.preset_secret("system", &[9; 32], &stamp(1710)).await.unwrap();
            store.revoke_preset_secret("system", &[9; 32], &stamp(1720)).await.unwrap();
        },
    )
    .await;
    // Anybody may have written a journal.
    let mut journal = lost.journal().await;
    let mut lifting = journal[0].clone();
    (lifting.action, lifting.seq, lifting.at) = ("identity.allowed".into(), 4711, at(1900).millis());
    journal.push(lifting);
    for journal in [Vec::new(), journal] {
        let keep = RestorePlan { keep_tokens: true, standing: Some(of(&lost)), ..plan(journal) };
        let (restored, _directory, store) = lost.restored(&keep);
        let did = (restored.denied, restored.revoked, restored.tokens, restored.secrets);
        assert_eq!(did, (2, 1, 1, 1));
        assert_eq!(denied(&store).await, [spiffe("n1"), spiffe("n2")].map(|id| id.to_string()));
        assert_eq!(restored.notes.len(), usize::from(!keep.journal.is_empty()), "{restored:?}");
        let mut on_crl: Vec<_> = entries(&store).await.into_iter().map(|entry| entry.reason.code()).collect();
        on_crl.sort_unstable();
        assert_eq!(on_crl, [1, 1, 6]);
        store.close().await.unwrap();
    }
}

/// The clock is behind what verifiers have seen of it.
#[tokio::test]
async fn numbers_are_above_those_of_the_store_of_before() {
    let lost = Lost::new(async |_| {}, async |_| {}).await;
    let (services, late) = (ski(CaRole::Services, 1), at(NOW).seconds() + 1_000_000);
    let seen = Standing {
        bundle_version: late,
        spiffe_sequence: late,
        crl_numbers: vec![(services, late)],
        ..Standing::default()
    };
    let (_, _directory, store) = lost.restored(&RestorePlan { standing: Some(seen), ..plan(Vec::new()) });
    let hierarchy = store.hierarchy().await.unwrap();
    assert!(hierarchy.bundle_version > late && hierarchy.spiffe_sequence > late);
    assert_eq!(store.reserve_crl(services, &stamp(NOW)).await.unwrap().number, late + 1);
}

/// As one is that came out of an earlier backup than the one that takes its place.
#[tokio::test]
async fn an_earlier_store_makes_no_denial_anew_that_the_backup_knows_the_end_of() {
    let lost = Lost::new(
        async |world| {
            world.store.deny_identity(&spiffe("n1"), "stolen", true, &stamp(20)).await.unwrap();
        },
        async |_| {},
    )
    .await;
    let earlier = of(&lost);
    let later = Lost::new(
        async |world| {
            world.store.deny_identity(&spiffe("n1"), "stolen", true, &stamp(20)).await.unwrap();
            world.store.allow_identity(&spiffe("n1"), &stamp(30)).await.unwrap();
        },
        async |_| {},
    )
    .await;
    let (restored, _directory, store) =
        later.restored(&RestorePlan { standing: Some(earlier), ..plan(Vec::new()) });
    assert_eq!((restored.denied, denied(&store).await.len()), (0, 0));
}

#[tokio::test]
async fn a_store_of_another_schema_or_none_is_told() {
    let lost = Lost::new(async |_| {}, async |_| {}).await;
    let path = lost.directory.path().join("certs.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 9_999).unwrap();
    drop(connection);
    assert!(matches!(standing(&path, at(NOW)), Err(StoreError::NewerSchema { .. })));
    std::fs::write(&path, "no store").unwrap();
    standing(&path, at(NOW)).unwrap_err();
    assert!(lost.backup.exists());
}
