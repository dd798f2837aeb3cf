//! Records of tokens and preset secrets.

use super::fixture::*;
use crate::store::{PresetSecret, Store, StoreError, TokenRecord};
use std::sync::Arc;

pub(super) async fn run(make: &impl AsyncFn() -> Arc<dyn Store>) {
    a_token_is_recorded_once(make().await.as_ref()).await;
    a_preset_secret_is_remembered_from_its_first_sight(make().await.as_ref()).await;
}

async fn a_token_is_recorded_once(store: &dyn Store) {
    let token = TokenRecord {
        jti: "jti-1".to_owned(),
        subject: "system".to_owned(),
        principal: "ADMIN".to_owned(),
        entity: r#"{"id":"system"}"#.to_owned(),
        sans: Vec::new(),
        certificate_fingerprint: None,
        bootstrap: None,
        issued_at: at(0),
        expires_at: at(DAY),
        revoked_at: None,
    };
    store.record_token(&token, &stamp(0)).await.unwrap();
    assert_eq!(store.token("jti-1").await.unwrap(), Some(token.clone()));
    assert_eq!(store.token("jti-2").await.unwrap(), None);
    let again = store.record_token(&token, &stamp(1)).await;
    assert!(matches!(again, Err(StoreError::Conflict(_))), "{again:?}");
}

async fn a_preset_secret_is_remembered_from_its_first_sight(store: &dyn Store) {
    let first = PresetSecret { first_seen: at(5), revoked_at: None };
    assert_eq!(store.preset_secret("system", &[1; 32], &stamp(5)).await.unwrap(), first);
    assert_eq!(store.preset_secret("system", &[1; 32], &stamp(9)).await.unwrap(), first);
    let other = store.preset_secret("system", &[2; 32], &stamp(9)).await.unwrap();
    assert_eq!(other.first_seen, at(9));
    let kind = store.preset_secret("bootstrap", &[1; 32], &stamp(10)).await.unwrap();
    assert_eq!(kind.first_seen, at(10));
}
