//! Keys that are nobody's are told from those that are somebody's.

use super::*;
use catalyst_signing::{KeyIntent, KeyLifecycle, KeyRole, Nonce};
use std::time::SystemTime;

async fn reasons(ca: &Authority) -> Vec<(String, Unclaimed)> {
    let found = ca.reconcile_keys().await.unwrap();
    assert_eq!(found.unread, []);
    found.unclaimed.into_iter().map(|found| (found.key.uri.to_string(), found.reason)).collect()
}

#[tokio::test]
async fn only_a_key_that_no_ca_has_is_nobodys() {
    let (store, keys) = (store(), Flaky::default());
    let ca = authority(&store, &keys).await;
    ca.initialize(InitRequest::default(), Actor::Service).await.unwrap();
    ca.token_key().await.unwrap();
    assert_eq!(reasons(&ca).await, []);
    let orphan = KeyIntent {
        nonce: Nonce::random().unwrap(),
        deployment: store.deployment().await.unwrap().id,
        role: KeyRole::Services,
        generation: 7,
        algorithm: SignatureAlgorithm::EcP384,
        created_at: SystemTime::now(),
    };
    keys.create(&orphan).await.unwrap();
    let elsewhere = KeyIntent { deployment: "0123456789abcdef".into(), generation: 8, ..orphan };
    keys.create(&elsewhere).await.unwrap();
    assert_eq!(reasons(&ca).await, [("local:services-7".to_owned(), Unclaimed::Unknown)]);

    keys.fail_all();
    let found = ca.reconcile_keys().await.unwrap();
    assert_eq!((found.unclaimed.len(), found.unread.len()), (0, 1));
}

#[tokio::test]
async fn a_key_that_was_meant_is_unfinished_until_its_ca_is_made() {
    let mut unfinished = 0;
    for step in 0..12 {
        let (store, keys) = (store(), Flaky::default());
        keys.refuse_call(step);
        let ca = authority(&store, &keys).await;
        let made = ca.initialize(InitRequest::default(), Actor::Service).await.is_ok();
        keys.fail_none();
        let found = reasons(&ca).await;
        assert!(found.iter().all(|(_, reason)| *reason == Unclaimed::Unfinished), "step {step}: {found:?}");
        assert!(!made || found.is_empty(), "step {step}: {found:?}");
        unfinished += found.len();
        ca.initialize(InitRequest::default(), Actor::Service).await.unwrap();
        assert_eq!(reasons(&ca).await, [], "step {step}");
    }
    assert!(unfinished > 0);
}
