//! Keys: intended before they are made, one at a time, never shared.

use super::fixture::*;
use crate::{
    identity::CaRole,
    store::{CaIntention, KeyRole, KeyRowState, MadeKey, Store, StoreError, TokenRecord, TokenSelector},
};
use std::sync::Arc;

pub(super) async fn run(make: &impl AsyncFn() -> Arc<dyn Store>) {
    an_intent_is_answered_as_it_was_committed(make().await.as_ref()).await;
    one_key_of_a_role_is_made_at_a_time(make().await.as_ref()).await;
    a_made_key_does_not_change(make().await.as_ref()).await;
    two_keys_never_share_a_public_key(make().await.as_ref()).await;
    the_bytes_meant_first_are_signed(make().await.as_ref()).await;
    one_token_key_signs(make().await.as_ref()).await;
    an_earlier_token_key_verifies_for_its_grace(make().await.as_ref()).await;
    a_fresh_system_token_comes_with_its_key_or_not_at_all(make().await.as_ref()).await;
}

const SERVICES: KeyRole = KeyRole::Ca(CaRole::Services);

async fn an_intent_is_answered_as_it_was_committed(store: &dyn Store) {
    let mut first = intention(SERVICES, 1);
    first.reference = Some("alias/My Key".to_owned());
    let row = store.intend_key(&first, &stamp(0)).await.unwrap();
    assert_eq!((&row.intention, row.intended_at, row.state), (&first, at(0), KeyRowState::Intended));
    let mut again = first.clone();
    again.nonce = [9; 16];
    again.algorithm = "ED25519".to_owned();
    assert_eq!(store.intend_key(&again, &stamp(5)).await.unwrap(), row);
}

async fn one_key_of_a_role_is_made_at_a_time(store: &dyn Store) {
    store.intend_key(&intention(SERVICES, 1), &stamp(0)).await.unwrap();
    let second = store.intend_key(&intention(SERVICES, 2), &stamp(1)).await;
    assert!(matches!(second, Err(StoreError::Conflict(_))), "{second:?}");
    // Another role's key is another matter.
    store.intend_key(&intention(KeyRole::Token, 1), &stamp(1)).await.unwrap();
    store.record_key_made(KeyRole::Token, 1, &made(KeyRole::Token, 1), &stamp(2)).await.unwrap();
    let second = store.intend_key(&intention(KeyRole::Token, 2), &stamp(3)).await;
    assert!(matches!(second, Err(StoreError::Conflict(_))), "{second:?}");
    store.activate_token_key(1, stamp(4).at, None, &stamp(4)).await.unwrap();
    store.intend_key(&intention(KeyRole::Token, 2), &stamp(5)).await.unwrap();
}

async fn a_made_key_does_not_change(store: &dyn Store) {
    let none = store.record_key_made(SERVICES, 1, &made(SERVICES, 1), &stamp(0)).await;
    assert!(matches!(none, Err(StoreError::NotFound(_))), "{none:?}");
    store.intend_key(&intention(SERVICES, 1), &stamp(0)).await.unwrap();
    let row = store.record_key_made(SERVICES, 1, &made(SERVICES, 1), &stamp(1)).await.unwrap();
    assert_eq!((row.state, &row.made), (KeyRowState::Made, &Some(made(SERVICES, 1))));
    assert_eq!(store.record_key_made(SERVICES, 1, &made(SERVICES, 1), &stamp(2)).await.unwrap(), row);
    let other = MadeKey { uri: "local:elsewhere-1".to_owned(), ..made(SERVICES, 1) };
    let other = store.record_key_made(SERVICES, 1, &other, &stamp(2)).await;
    assert!(matches!(other, Err(StoreError::Conflict(_))), "{other:?}");
    assert_eq!(store.hierarchy().await.unwrap().keys, [row]);
}

async fn two_keys_never_share_a_public_key(store: &dyn Store) {
    let transport = KeyRole::Ca(CaRole::Transport);
    store.intend_key(&intention(SERVICES, 1), &stamp(0)).await.unwrap();
    store.record_key_made(SERVICES, 1, &made(SERVICES, 1), &stamp(0)).await.unwrap();
    store.intend_key(&intention(transport, 1), &stamp(0)).await.unwrap();
    let same = MadeKey { uri: "local:transport-1".to_owned(), ..made(SERVICES, 1) };
    let shared = store.record_key_made(transport, 1, &same, &stamp(1)).await;
    assert!(matches!(shared, Err(StoreError::Conflict(_))), "{shared:?}");
    store.record_key_made(transport, 1, &made(transport, 1), &stamp(1)).await.unwrap();
}

async fn the_bytes_meant_first_are_signed(store: &dyn Store) {
    let role = CaRole::Services;
    let first = CaIntention { role, generation: 1, serial: serial(), tbs: b"first".to_vec() };
    let none = store.intend_ca(&first, &stamp(0)).await;
    assert!(matches!(none, Err(StoreError::NotFound(_))), "{none:?}");
    store.intend_key(&intention(SERVICES, 1), &stamp(0)).await.unwrap();
    let not_made = store.intend_ca(&first, &stamp(0)).await;
    assert!(matches!(not_made, Err(StoreError::Conflict(_))), "{not_made:?}");
    store.record_key_made(SERVICES, 1, &made(SERVICES, 1), &stamp(0)).await.unwrap();
    assert_eq!(store.intend_ca(&first, &stamp(1)).await.unwrap(), first);
    let second = CaIntention { serial: serial(), tbs: b"second".to_vec(), ..first.clone() };
    assert_eq!(store.intend_ca(&second, &stamp(2)).await.unwrap(), first);
}

async fn one_token_key_signs(store: &dyn Store) {
    let none = store.activate_token_key(1, stamp(0).at, None, &stamp(0)).await;
    assert!(matches!(none, Err(StoreError::NotFound(_))), "{none:?}");
    for generation in 1..=2 {
        store.intend_key(&intention(KeyRole::Token, generation), &stamp(0)).await.unwrap();
        let unmade = store.activate_token_key(generation, stamp(0).at, None, &stamp(0)).await;
        assert!(matches!(unmade, Err(StoreError::Conflict(_))), "{unmade:?}");
        let key = made(KeyRole::Token, generation);
        store.record_key_made(KeyRole::Token, generation, &key, &stamp(0)).await.unwrap();
        store.activate_token_key(generation, stamp(1).at, None, &stamp(1)).await.unwrap();
        store.activate_token_key(generation, stamp(1).at, None, &stamp(1)).await.unwrap();
    }
    let states: Vec<_> = store.hierarchy().await.unwrap().keys.iter().map(|key| key.state).collect();
    assert_eq!(states, [KeyRowState::Retired, KeyRowState::Active]);
    let back = store.activate_token_key(1, stamp(2).at, None, &stamp(2)).await;
    assert!(matches!(back, Err(StoreError::Conflict(_))), "{back:?}");
}

/// A token key that is ready to be activated.
async fn token_key(store: &dyn Store, generation: u32, when: i64) {
    store.intend_key(&intention(KeyRole::Token, generation), &stamp(when)).await.unwrap();
    let key = made(KeyRole::Token, generation);
    store.record_key_made(KeyRole::Token, generation, &key, &stamp(when)).await.unwrap();
}

async fn verify_until(store: &dyn Store) -> Vec<Option<i64>> {
    let keys = store.hierarchy().await.unwrap().keys;
    keys.iter().map(|key| key.verifies_until.map(|until| until.seconds_since(START))).collect()
}

async fn an_earlier_token_key_verifies_for_its_grace(store: &dyn Store) {
    token_key(store, 1, 0).await;
    assert_eq!(store.activate_token_key(1, at(0), None, &stamp(0)).await.unwrap(), 0);
    assert_eq!(verify_until(store).await, [None]);
    // A day each, an hour, and one that is revoked.
    for jti in ["long", "longer", "revoked"] {
        store.record_token(&token(jti), &stamp(1)).await.unwrap();
    }
    store.record_token(&TokenRecord { expires_at: at(HOUR), ..token("short") }, &stamp(1)).await.unwrap();
    store.revoke_tokens(&TokenSelector::Jti("revoked".to_owned()), &stamp(2)).await.unwrap();
    token_key(store, 2, 10).await;
    let fresh = token("fresh");
    let outlive = store.activate_token_key(2, at(2 * HOUR), Some(&fresh), &stamp(10)).await.unwrap();
    assert_eq!(outlive, 2, "what was recorded in the same step is of the new key");
    assert_eq!(store.token("fresh").await.unwrap(), Some(fresh));
    assert_eq!(verify_until(store).await, [Some(2 * HOUR), None]);
    // Once more: nothing changes, whatever is said.
    let again = store.activate_token_key(2, at(9 * HOUR), Some(&token("again")), &stamp(11)).await.unwrap();
    assert_eq!((again, store.token("again").await.unwrap()), (0, None));
    assert_eq!(verify_until(store).await, [Some(2 * HOUR), None]);
    // A longer grace does not lengthen the first one's.
    token_key(store, 3, 20).await;
    assert_eq!(store.activate_token_key(3, at(3 * HOUR), None, &stamp(20)).await.unwrap(), 3);
    assert_eq!(verify_until(store).await, [Some(2 * HOUR), Some(3 * HOUR), None]);
    // No grace ends them all at once; a moment that is past is no more than now.
    token_key(store, 4, 30).await;
    assert_eq!(store.activate_token_key(4, at(30), None, &stamp(30)).await.unwrap(), 4);
    assert_eq!(verify_until(store).await, [Some(30), Some(30), Some(30), None]);
}

async fn a_fresh_system_token_comes_with_its_key_or_not_at_all(store: &dyn Store) {
    store.record_token(&token("taken"), &stamp(0)).await.unwrap();
    token_key(store, 1, 0).await;
    let refused = store.activate_token_key(1, at(1), Some(&token("taken")), &stamp(1)).await;
    assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
    assert_eq!(store.hierarchy().await.unwrap().keys[0].state, KeyRowState::Made);
    store.activate_token_key(1, at(2), Some(&token("free")), &stamp(2)).await.unwrap();
}
