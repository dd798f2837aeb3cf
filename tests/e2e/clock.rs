//! What the CA does as time passes, and when the clock is wrong.

use crate::library::{Library, issue, published, request, serials_on, workload};
use catalyst_pki::{
    authority::{Authority, AuthorityError, IntermediateRequest, Svid},
    identity::{Actor, CaRole, Timestamp},
};
use std::sync::Arc;

const HOUR: i64 = 3600;
const DAY: i64 = 86_400;
const GATEWAY: &str = "spiffe://catalyst.example.com/gateway/g.example.org";

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_issued_while_the_clock_is_behind_the_newest_record() {
    let library = Library::new();
    let authority = library.initialized().await;
    library.pass(DAY);
    let newest = library.now();
    issue(&authority, &request(GATEWAY, HOUR)).await.unwrap();
    let recorded = library.store.audit_head().await.unwrap();

    library.set(newest.plus_seconds(-301));
    let error = issue(&authority, &request(GATEWAY, HOUR)).await.unwrap_err();
    assert_eq!(error.code(), "clock_behind");
    let sentence = error.to_string();
    assert!(
        sentence.contains(&newest.to_string()) && sentence.contains("until the clock is right"),
        "{sentence}"
    );
    assert_eq!(library.store.audit_head().await.unwrap(), recorded);
    let another =
        IntermediateRequest { common_name: "Services CA 2".into(), ..IntermediateRequest::default() };
    assert_eq!(
        authority.create_intermediate(another, Actor::System).await.unwrap_err().code(),
        "clock_behind"
    );
    let warnings = authority.status().await.unwrap().warnings;
    assert!(warnings.iter().any(|warning| warning.contains("until the clock is right")), "{warnings:?}");
    // A denial does not wait for the clock.
    authority.deny(&workload(GATEWAY), "now", false, Actor::System).await.unwrap();
    authority.allow(&workload(GATEWAY), Actor::System).await.unwrap();

    library.set(newest.plus_seconds(-299));
    issue(&authority, &request(GATEWAY, HOUR)).await.unwrap();
    library.set(newest.plus_seconds(1));
    issue(&authority, &request(GATEWAY, HOUR)).await.unwrap();
}

async fn end_of(authority: &Authority, role: CaRole) -> Timestamp {
    authority.status().await.unwrap().active(role).unwrap().certificate.not_after
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_with_less_than_48_hours_left_issues_nothing_and_still_revokes() {
    let library = Library::new();
    let authority = library.initialized().await;
    let end = end_of(&authority, CaRole::Services).await;

    library.set(end.plus_seconds(-48 * HOUR));
    issue(&authority, &request(GATEWAY, DAY)).await.unwrap();
    library.pass(1);
    let error = issue(&authority, &request(GATEWAY, HOUR)).await.unwrap_err();
    assert!(matches!(error, AuthorityError::CaExpiring { role: CaRole::Services, .. }), "{error}");
    assert!(error.to_string().contains("create and activate a new one"), "{error}");
    let warnings = authority.status().await.unwrap().warnings;
    assert!(warnings.iter().any(|warning| warning.contains("issues nothing any more")), "{warnings:?}");

    let denied = authority.deny(&workload(GATEWAY), "late", false, Actor::System).await.unwrap();
    assert_eq!((denied.expiring.len(), denied.crl_pending), (1, false));
    let crl = published(&authority, CaRole::Services);
    assert!(serials_on(&crl.der).contains(&denied.expiring[0].serial));
    assert!(crl.next_update <= end);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_signs_crls_anew_when_a_quarter_of_their_time_has_passed() {
    let library = Library::new();
    let first = published(&library.initialized().await, CaRole::Services);
    assert_eq!(first.next_update.seconds_since(first.this_update), DAY);

    library.pass(6 * HOUR - 60);
    assert_eq!(published(&library.restarted().await, CaRole::Services), first);
    library.pass(120);
    let second = published(&library.restarted().await, CaRole::Services);
    assert_eq!(second.this_update, library.now().whole_seconds());
    assert!(second.number > first.number);
    // Long after it has ended, and with the clock a little back: the number rises all the same.
    library.pass(3 * DAY);
    let third = published(&library.restarted().await, CaRole::Services);
    assert_eq!(third.this_update, library.now().whole_seconds());
    assert!(third.number > second.number);
    library.pass(-HOUR);
    let authority = library.open().await;
    library.set(third.this_update.plus_seconds(-60));
    deny_one_more(&authority, 0).await;
    assert!(published(&authority, CaRole::Services).number > third.number);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_roots_crl_lasts_90_days_and_is_signed_anew_when_30_are_left() {
    let library = Library::new();
    let first = published(&library.initialized().await, CaRole::Root);
    assert_eq!(first.next_update.seconds_since(first.this_update), 90 * DAY);
    library.pass(60 * DAY - 60);
    assert_eq!(published(&library.restarted().await, CaRole::Root), first);
    library.pass(120);
    let second = published(&library.restarted().await, CaRole::Root);
    assert!(second.number > first.number);
    assert_eq!(second.this_update, library.now().whole_seconds());
}

/// Issues to an identity of its own and denies it, so that a CRL is signed.
async fn deny_one_more(authority: &Arc<Authority>, number: usize) -> Svid {
    let id = format!("spiffe://catalyst.example.com/gateway/g{number}.example.org");
    let svid = issue(authority, &request(&id, HOUR)).await.unwrap();
    authority.deny(&workload(&id), "a test", false, Actor::System).await.unwrap();
    svid
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_certificate_stays_on_one_crl_beyond_its_end_even_when_it_is_purged() {
    let library = Library::new();
    let authority = library.initialized().await;
    let serials = || serials_on(&published(&authority, CaRole::Services).der);
    let svid = deny_one_more(&authority, 1).await;
    assert!(serials().contains(&svid.serial));

    library.pass(8 * DAY);
    assert_eq!(authority.purge_expired(Actor::System).await.unwrap(), 1);
    deny_one_more(&authority, 2).await;
    assert!(serials().contains(&svid.serial), "it has to stand on one CRL beyond its end");
    deny_one_more(&authority, 3).await;
    assert!(!serials().contains(&svid.serial));
    assert_eq!(serials().len(), 2);
}
