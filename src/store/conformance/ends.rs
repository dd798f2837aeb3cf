//! Whatever ends a credential is counted before its caller is answered; nothing else is.

use super::fixture::*;
use crate::store::{
    IssuedCertificate, KeyRole, RevocationReason, Store, StoreError, TokenRecord, TokenSelector,
};
use std::sync::Arc;
use tokio::task::JoinSet;

pub(super) async fn run(make: &impl AsyncFn() -> Arc<dyn Store>) {
    each_end_is_counted(make().await.as_ref()).await;
    nothing_else_is_counted(make().await.as_ref()).await;
    an_end_is_counted_before_it_is_answered(make().await).await;
}

async fn bound(store: &dyn Store, jti: &str, to: &IssuedCertificate) {
    let token = TokenRecord { certificate_fingerprint: Some(to.fingerprint()), ..token(jti) };
    store.record_token(&token, &stamp(0)).await.unwrap();
}

async fn token_key(store: &dyn Store, generation: u32) {
    store.intend_key(&intention(KeyRole::Token, generation), &stamp(0)).await.unwrap();
    let key = made(KeyRole::Token, generation);
    store.record_key_made(KeyRole::Token, generation, &key, &stamp(0)).await.unwrap();
}

async fn each_end_is_counted(store: &dyn Store) {
    let world = World::new(store).await;
    let mut count = store.revocations();
    let mut raised = |what: &str| {
        assert!(store.revocations() > count, "{what}");
        count = store.revocations();
    };
    store.record_token(&token("t"), &stamp(0)).await.unwrap();
    store.preset_secret("system", &[1; 32], &stamp(0)).await.unwrap();
    let first = world.issue("n1", 0).await;
    let second = world.issue("n2", 0).await;
    bound(store, "bound", &second).await;
    store.revoke_tokens(&TokenSelector::Jti("t".to_owned()), &stamp(1)).await.unwrap();
    raised("a token");
    store.revoke_preset_secret("system", &[1; 32], &stamp(1)).await.unwrap();
    raised("a preset secret");
    store.revoke_certificate(first.record().serial, RevocationReason::Superseded, &stamp(1)).await.unwrap();
    raised("a certificate");
    bound(store, "late", &first).await;
    store.revoke_certificate(first.record().serial, RevocationReason::Superseded, &stamp(1)).await.unwrap();
    raised("a token of a certificate that was revoked before");
    store.deny_identity(&spiffe("n2"), "out", false, &stamp(2)).await.unwrap();
    raised("a hold");
    store.deny_identity(&spiffe("n2"), "out", true, &stamp(3)).await.unwrap();
    raised("a hold for good");
    store.revoke_ca(world.transport.ski, RevocationReason::CaCompromise, &stamp(4)).await.unwrap();
    raised("a CA");
    for generation in 1..=2 {
        token_key(store, generation).await;
        store.activate_token_key(generation, at(5), None, &stamp(5)).await.unwrap();
        raised("a token key");
    }
}

async fn nothing_else_is_counted(store: &dyn Store) {
    let world = World::new(store).await;
    let count = store.revocations();
    let issued = world.issue("n1", 0).await;
    bound(store, "t", &issued).await;
    store.preset_secret("system", &[1; 32], &stamp(0)).await.unwrap();
    store.reserve_crl(world.services.ski, &stamp(0)).await.unwrap();
    store.allow_identity(&spiffe("n1"), &stamp(1)).await.unwrap();
    store.revoke_tokens(&TokenSelector::Jti("unknown".to_owned()), &stamp(1)).await.unwrap();
    store.revoke_preset_secret("system", &[2; 32], &stamp(1)).await.unwrap();
    store.revoke_certificate(serial(), RevocationReason::Superseded, &stamp(1)).await.unwrap();
    let root = store.revoke_ca(world.root.ski, RevocationReason::Superseded, &stamp(1)).await;
    assert!(matches!(root, Err(StoreError::Conflict(_))), "{root:?}");
    store.purge_expired(at(2 * HOUR), 10, &stamp(2 * HOUR)).await.unwrap();
    assert_eq!(store.revocations(), count);
}

/// Beside steps that fail in the same batch, which is then run twice.
async fn an_end_is_counted_before_it_is_answered(store: Arc<dyn Store>) {
    World::new(store.as_ref()).await;
    let mut tasks = JoinSet::new();
    for task in 0..64 {
        let store = store.clone();
        tasks.spawn(async move {
            if task % 4 == 0 {
                let again = store.record_token(&token("t1"), &stamp(0)).await;
                assert!(again.is_ok() || matches!(again, Err(StoreError::Conflict(_))), "{again:?}");
                return;
            }
            let jti = format!("t{task}");
            // Some are recorded twice: by this task and by one above.
            let _ = store.record_token(&token(&jti), &stamp(0)).await;
            let before = store.revocations();
            assert_eq!(store.revoke_tokens(&TokenSelector::Jti(jti), &stamp(1)).await.unwrap().len(), 1);
            assert!(store.revocations() > before);
        });
    }
    tasks.join_all().await;
}
