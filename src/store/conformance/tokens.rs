//! Records of tokens and preset secrets: what was made, and what of it was revoked.

use super::fixture::*;
use crate::{
    identity::Fingerprint,
    store::{
        AuditQuery, BootstrapGrant, PresetSecret, Stamp, Store, StoreError, TokenQuery, TokenRecord,
        TokenSelector,
    },
};
use std::sync::Arc;

pub(super) async fn run(make: &impl AsyncFn() -> Arc<dyn Store>) {
    a_token_is_recorded_once(make().await.as_ref()).await;
    a_token_is_read_as_it_was_recorded(make().await.as_ref()).await;
    tokens_are_paged_newest_first(make().await.as_ref()).await;
    tokens_are_revoked_by_any_of_their_names(make().await.as_ref()).await;
    what_is_over_is_not_revoked(make().await.as_ref()).await;
    what_ended_long_ago_is_purged(make().await.as_ref()).await;
    a_preset_secret_is_remembered_from_its_first_sight(make().await.as_ref()).await;
    a_preset_secret_is_revoked_for_good(make().await.as_ref()).await;
}

async fn a_token_is_recorded_once(store: &dyn Store) {
    let token = token("jti-1");
    store.record_token(&token, &stamp(0)).await.unwrap();
    assert_eq!(store.token("jti-1").await.unwrap(), Some(token.clone()));
    assert_eq!(store.token("jti-2").await.unwrap(), None);
    let again = store.record_token(&token, &stamp(1)).await;
    assert!(matches!(again, Err(StoreError::Conflict(_))), "{again:?}");
}

async fn a_token_is_read_as_it_was_recorded(store: &dyn Store) {
    let certificate_fingerprint = Some(Fingerprint::of_certificate(b"one"));
    let sans = vec!["z.example".to_owned(), "a.example".to_owned()];
    let bound = TokenRecord { sans, certificate_fingerprint, ..token("bound") };
    let spiffe_id = Some(spiffe("n1"));
    let one = TokenRecord { bootstrap: Some(BootstrapGrant { spiffe_id, uses: 1 }), ..token("one") };
    let any = TokenRecord { bootstrap: Some(BootstrapGrant { spiffe_id: None, uses: 7 }), ..token("any") };
    for token in [bound, one, any] {
        store.record_token(&token, &stamp(0)).await.unwrap();
        assert_eq!(store.token(&token.jti).await.unwrap(), Some(token));
    }
}

async fn what_ended_long_ago_is_purged(store: &dyn Store) {
    for (jti, end) in [("old-1", 10), ("old-2", 20), ("old-3", 30), ("young", 100)] {
        let sans = vec!["all".to_owned()];
        let token = TokenRecord { expires_at: at(end), sans, ..token(jti) };
        store.record_token(&token, &stamp(0)).await.unwrap();
    }
    store.revoke_tokens(&TokenSelector::Jti("old-2".to_owned()), &stamp(1)).await.unwrap();
    assert_eq!(store.purge_tokens(at(30), 1).await.unwrap(), 2);
    assert_eq!(store.purge_tokens(at(30), 1).await.unwrap(), 0);
    let all = TokenQuery { san: Some("all".to_owned()), limit: 9, ..TokenQuery::default() };
    assert_eq!(listed(store, &all).await, ["young", "old-3"]);
    assert_eq!(store.purge_tokens(at(99), 9).await.unwrap(), 1);
    assert_eq!(store.token("old-3").await.unwrap(), None);
}

async fn listed(store: &dyn Store, query: &TokenQuery) -> Vec<String> {
    store.tokens(query).await.unwrap().into_iter().map(|row| row.record.jti).collect()
}

async fn tokens_are_paged_newest_first(store: &dyn Store) {
    let certificate = |number: u32| Some(Fingerprint::of_certificate(&[(number % 2) as u8]));
    for number in 0..9 {
        // Each is of one of three names and bound to one of two certificates; "all" is on every one, twice.
        let sans = vec!["all".to_owned(), format!("san-{}", number % 3), "all".to_owned()];
        let jti = format!("t{number}");
        let token = TokenRecord { sans, certificate_fingerprint: certificate(number), ..token(&jti) };
        store.record_token(&token, &stamp(0)).await.unwrap();
    }
    let query = |san: Option<&str>, certificate_fingerprint| TokenQuery {
        san: san.map(str::to_owned),
        certificate_fingerprint,
        before: None,
        limit: 100,
    };
    assert_eq!(listed(store, &query(None, None)).await.len(), 9);
    assert_eq!(listed(store, &query(Some("all"), None)).await.len(), 9);
    assert_eq!(listed(store, &query(Some("san-1"), None)).await, ["t7", "t4", "t1"]);
    assert_eq!(listed(store, &query(None, certificate(1))).await, ["t7", "t5", "t3", "t1"]);
    assert_eq!(listed(store, &query(Some("san-1"), certificate(1))).await, ["t7", "t1"]);
    assert_eq!(listed(store, &query(Some("nobody"), None)).await, [] as [&str; 0]);
    for filter in [query(None, None), query(Some("all"), None)] {
        let mut page = TokenQuery { limit: 4, ..filter };
        let first = store.tokens(&page).await.unwrap();
        assert_eq!(
            first.iter().map(|row| row.record.jti.as_str()).collect::<Vec<_>>(),
            ["t8", "t7", "t6", "t5"]
        );
        assert_eq!(first[0].record.sans, ["all", "san-2"]);
        page.before = first.last().map(|row| row.id);
        assert_eq!(listed(store, &page).await, ["t4", "t3", "t2", "t1"]);
    }
    let mut page = TokenQuery { limit: 2, ..query(None, certificate(0)) };
    page.before = store.tokens(&page).await.unwrap().last().map(|row| row.id);
    assert_eq!(listed(store, &page).await, ["t4", "t2"]);
}

async fn tokens_are_revoked_by_any_of_their_names(store: &dyn Store) {
    let certificate = Fingerprint::of_certificate(b"one");
    for (jti, san, bound) in [
        ("by-jti", "other", None),
        ("by-san-1", "wanted", None),
        ("by-san-2", "wanted", Some(certificate)),
        ("by-certificate", "other", Some(certificate)),
        ("stays", "other", None),
    ] {
        let token = TokenRecord { sans: vec![san.to_owned()], certificate_fingerprint: bound, ..token(jti) };
        store.record_token(&token, &stamp(0)).await.unwrap();
    }
    let head = store.audit_head().await.unwrap().seq;
    let revoke = async |which: TokenSelector, when| {
        let mut revoked = store.revoke_tokens(&which, &stamp(when)).await.unwrap();
        assert!(revoked.iter().all(|token| token.revoked_at == Some(at(when))));
        revoked.sort_by(|one, other| one.jti.cmp(&other.jti));
        revoked.into_iter().map(|token| token.jti).collect::<Vec<_>>()
    };
    let nothing = [] as [&str; 0];
    assert_eq!(revoke(TokenSelector::Jti("unknown".to_owned()), 1).await, nothing);
    assert_eq!(revoke(TokenSelector::Jti("by-jti".to_owned()), 2).await, ["by-jti"]);
    assert_eq!(revoke(TokenSelector::Jti("by-jti".to_owned()), 3).await, nothing, "once");
    assert_eq!(revoke(TokenSelector::San("wanted".to_owned()), 4).await, ["by-san-1", "by-san-2"]);
    assert_eq!(revoke(TokenSelector::Certificate(certificate), 5).await, ["by-certificate"]);
    assert_eq!(store.token("by-jti").await.unwrap().unwrap().revoked_at, Some(at(2)));
    assert_eq!(store.token("stays").await.unwrap().unwrap().revoked_at, None);
    let expected = ["by-certificate", "by-jti", "by-san-1", "by-san-2"];
    assert_eq!(store.revoked_tokens(at(5)).await.unwrap(), expected);
    assert_eq!(store.revoked_tokens(at(DAY)).await.unwrap(), nothing, "what has expired needs no list");
    let records = AuditQuery { after: head, limit: 10, ..AuditQuery::default() };
    let records = store.audit(&records).await.unwrap();
    let mut subjects: Vec<_> = records.iter().map(|record| record.subject.as_str()).collect();
    subjects.sort_unstable();
    assert!(records.iter().all(|record| record.action == "token.revoked"));
    assert_eq!(subjects, expected);
}

async fn what_is_over_is_not_revoked(store: &dyn Store) {
    store.record_token(&token("t"), &stamp(0)).await.unwrap();
    let head = store.audit_head().await.unwrap();
    assert_eq!(store.revoke_tokens(&TokenSelector::Jti("t".to_owned()), &stamp(DAY)).await.unwrap(), []);
    assert_eq!(store.audit_head().await.unwrap(), head);
    let last = Stamp { at: at(DAY).plus_seconds(-1), ..stamp(0) };
    assert_eq!(store.revoke_tokens(&TokenSelector::Jti("t".to_owned()), &last).await.unwrap().len(), 1);
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

async fn a_preset_secret_is_revoked_for_good(store: &dyn Store) {
    assert!(!store.revoke_preset_secret("system", &[1; 32], &stamp(1)).await.unwrap(), "unknown");
    store.preset_secret("system", &[1; 32], &stamp(2)).await.unwrap();
    store.preset_secret("bootstrap", &[1; 32], &stamp(2)).await.unwrap();
    assert!(store.revoke_preset_secret("system", &[1; 32], &stamp(3)).await.unwrap());
    assert!(!store.revoke_preset_secret("system", &[1; 32], &stamp(4)).await.unwrap(), "once");
    let revoked = PresetSecret { first_seen: at(2), revoked_at: Some(at(3)) };
    assert_eq!(store.preset_secret("system", &[1; 32], &stamp(5)).await.unwrap(), revoked);
    let other = store.preset_secret("bootstrap", &[1; 32], &stamp(5)).await.unwrap();
    assert_eq!(other.revoked_at, None, "of another kind");
    let records =
        AuditQuery { limit: 10, action: Some("secret.revoked".to_owned()), ..AuditQuery::default() };
    assert_eq!(store.audit(&records).await.unwrap().len(), 1);
}
