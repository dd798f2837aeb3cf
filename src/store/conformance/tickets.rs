//! What an issuance rests on is used up in the step that records the certificate, or not at all.

use super::fixture::*;
use crate::{
    identity::{Fingerprint, Serial, SpkiHash},
    store::{
        AuditQuery, BootstrapUse, IssuanceRecord, IssuedCertificate, KeyRefusal, Preflight, RecordOutcome,
        RenewalUse, RevocationReason, Store, StoreError, Ticket, TicketRefusal, TokenSelector,
    },
};
use std::sync::Arc;
use tokio::task::JoinSet;

pub(super) async fn run(make: &impl AsyncFn() -> Arc<dyn Store>) {
    a_bound_credential_brings_one_certificate(make().await.as_ref()).await;
    the_same_key_gets_the_same_certificate_while_it_is_active(make().await.as_ref()).await;
    an_unbound_credential_brings_nothing_to_an_identity_that_exists(make().await.as_ref()).await;
    a_credential_serves_as_often_as_it_says(make().await.as_ref()).await;
    a_revoked_credential_serves_nobody(make().await.as_ref()).await;
    a_preset_credential_serves_until_it_is_revoked(make().await.as_ref()).await;
    what_is_refused_uses_nothing_up(make().await.as_ref()).await;
    a_spent_credential_stays_spent_after_a_purge(make().await.as_ref()).await;
    a_renewal_rests_on_an_active_certificate_of_the_identity(make().await.as_ref()).await;
    a_proof_serves_once(make().await.as_ref()).await;
    old_proofs_go_and_young_ones_stay(make().await.as_ref()).await;
    a_denial_comes_before_the_ticket(make().await.as_ref()).await;
    preflight_uses_nothing_up(make().await.as_ref()).await;
    the_last_use_is_had_by_one(make().await).await;
    one_key_at_once_gets_one_certificate(make().await).await;
    three_uses_are_had_by_three(make().await).await;
    one_proof_at_once_serves_one(make().await).await;
}

fn bound(credential: &str) -> Ticket {
    Ticket::Bootstrap(BootstrapUse {
        credential: credential.to_owned(),
        uses: Some(1),
        refuse_existing: false,
        warn_existing: false,
    })
}

fn unbound(credential: &str, uses: Option<u32>) -> Ticket {
    Ticket::Bootstrap(BootstrapUse {
        credential: credential.to_owned(),
        uses,
        refuse_existing: true,
        warn_existing: false,
    })
}

fn renewal(certificate: Fingerprint, proof: Option<u8>) -> Ticket {
    Ticket::Renewal(RenewalUse { certificate, proof: proof.map(|octet| ([octet; 32], at(60))) })
}

fn with(world: &World<'_>, name: &str, ticket: Ticket, when: i64) -> IssuanceRecord {
    IssuanceRecord { ticket: Some(ticket), ..world.record(name, when) }
}

async fn issue(world: &World<'_>, name: &str, ticket: Ticket, when: i64) -> IssuedCertificate {
    world.issue_record(with(world, name, ticket, when), when).await
}

/// That preflight and record refuse the ticket alike.
async fn refused(world: &World<'_>, name: &str, ticket: Ticket, when: i64, why: TicketRefusal) {
    let record = with(world, name, ticket, when);
    assert_eq!(preflight(world, &record, when).await.ticket_refused, Some(why));
    let head = world.store.audit_head().await.unwrap();
    match world.outcome(record, when).await {
        RecordOutcome::TicketRefused(refusal) => assert_eq!(refusal, why),
        other => panic!("{other:?}"),
    }
    assert_eq!(world.store.audit_head().await.unwrap(), head);
}

async fn preflight(world: &World<'_>, record: &IssuanceRecord, when: i64) -> Preflight {
    let names = &record.owned_names;
    let ticket = record.ticket.as_ref();
    world
        .store
        .preflight(&record.spiffe_id, record.spki, names, record.limit, ticket, at(when))
        .await
        .unwrap()
}

/// The serial number of the certificate that preflight and record both point to.
async fn issued_before(
    world: &World<'_>,
    name: &str,
    ticket: Ticket,
    spki: SpkiHash,
    when: i64,
) -> Option<Serial> {
    let mut record = with(world, name, ticket, when);
    record.spki = spki;
    let early = preflight(world, &record, when).await.issued_before.map(|row| row.serial);
    let head = world.store.audit_head().await.unwrap();
    let late = match world.outcome(record, when).await {
        RecordOutcome::IssuedBefore(row) => Some(row.serial),
        _ => None,
    };
    assert_eq!(early, late);
    assert!(late.is_none() || world.store.audit_head().await.unwrap() == head);
    late
}

async fn a_bound_credential_brings_one_certificate(store: &dyn Store) {
    let world = World::new(store).await;
    // It names the identity, so that a certificate which that holds already is no obstacle.
    world.issue("n1", 0).await;
    let issued = issue(&world, "n1", bound("jti-1"), 1).await;
    refused(&world, "n1", bound("jti-1"), 2, TicketRefusal::Spent).await;
    refused(&world, "n2", bound("jti-1"), 2, TicketRefusal::Spent).await;
    issue(&world, "n1", bound("jti-2"), 3).await;
    let records =
        AuditQuery { limit: 10, action: Some("certificate.issued".to_owned()), ..AuditQuery::default() };
    let records = store.audit(&records).await.unwrap();
    let detail: serde_json::Value = serde_json::from_str(&records[1].detail).unwrap();
    assert_eq!(
        (&detail["bootstrap"], &detail["serial"]),
        (&"jti-1".into(), &issued.record().serial.to_string().into())
    );
    // Any credential's name makes a record that can be read.
    issue(&world, "n3", bound("a \"quoted\"\\\n name"), 4).await;
    let last = store.audit(&AuditQuery { limit: 100, ..AuditQuery::default() }).await.unwrap().pop().unwrap();
    let detail: serde_json::Value = serde_json::from_str(&last.detail).unwrap();
    assert_eq!(detail["bootstrap"], "a \"quoted\"\\\n name");
}

async fn the_same_key_gets_the_same_certificate_while_it_is_active(store: &dyn Store) {
    let world = World::new(store).await;
    let ticket = || bound("jti-1");
    let issued = issue(&world, "n1", ticket(), 0).await;
    let (own, key) = (Some(issued.record().serial), issued.record().spki);
    assert_eq!(issued_before(&world, "n1", ticket(), key, 1).await, own);
    assert_eq!(issued_before(&world, "n1", ticket(), key, HOUR - 1).await, own, "again and again");
    // For another identity it is no certificate to be had.
    let mut other = with(&world, "n2", ticket(), 1);
    other.spki = key;
    assert!(matches!(world.outcome(other, 1).await, RecordOutcome::TicketRefused(TicketRefusal::Spent)));
    // Expired, held or revoked it is not handed out, and the credential is spent.
    refused_again(&world, "n1", bound("jti-1"), key, HOUR).await;
    let second = issue(&world, "n2", bound("jti-2"), HOUR).await;
    let (own, key) = (Some(second.record().serial), second.record().spki);
    store.deny_identity(&spiffe("n2"), "out", false, &stamp(HOUR)).await.unwrap();
    let held = IssuanceRecord { spki: key, ..with(&world, "n2", bound("jti-2"), HOUR) };
    assert_eq!(preflight(&world, &held, HOUR).await.ticket_refused, Some(TicketRefusal::Spent));
    store.allow_identity(&spiffe("n2"), &stamp(HOUR)).await.unwrap();
    assert_eq!(issued_before(&world, "n2", bound("jti-2"), key, HOUR).await, own);
    let serial = second.record().serial;
    store.revoke_certificate(serial, RevocationReason::Superseded, &stamp(HOUR)).await.unwrap();
    refused_again(&world, "n2", bound("jti-2"), key, HOUR).await;
    // Nor is one whose CA was revoked.
    let mut third = with(&world, "n3", bound("jti-3"), HOUR);
    (third.issuer, third.issuer_serial) = (world.transport.ski, world.transport.serial);
    let key = world.issue_record(third, HOUR).await.record().spki;
    store.revoke_ca(world.transport.ski, RevocationReason::CaCompromise, &stamp(HOUR)).await.unwrap();
    refused_again(&world, "n3", bound("jti-3"), key, HOUR).await;
}

/// That the credential is spent, and the key changes nothing about it.
async fn refused_again(world: &World<'_>, name: &str, ticket: Ticket, key: SpkiHash, when: i64) {
    let record = IssuanceRecord { spki: key, ..with(world, name, ticket, when) };
    let early = preflight(world, &record, when).await;
    assert!(early.issued_before.is_none());
    assert_eq!(early.ticket_refused, Some(TicketRefusal::Spent));
    let outcome = world.outcome(record, when).await;
    assert!(matches!(outcome, RecordOutcome::TicketRefused(TicketRefusal::Spent)), "{outcome:?}");
}

async fn an_unbound_credential_brings_nothing_to_an_identity_that_exists(store: &dyn Store) {
    let world = World::new(store).await;
    let first = world.issue("n1", 0).await;
    refused(&world, "n1", unbound("jti-1", Some(5)), 1, TicketRefusal::IdentityExists).await;
    // Held: still there. The denial itself comes first, so that it shows only to preflight.
    store.deny_identity(&spiffe("n1"), "out", false, &stamp(2)).await.unwrap();
    let record = with(&world, "n1", unbound("jti-1", Some(5)), 3);
    assert_eq!(preflight(&world, &record, 3).await.ticket_refused, Some(TicketRefusal::IdentityExists));
    store.allow_identity(&spiffe("n1"), &stamp(4)).await.unwrap();
    // Revoked for good or expired, it is no obstacle.
    store.revoke_certificate(first.record().serial, RevocationReason::Superseded, &stamp(5)).await.unwrap();
    issue(&world, "n1", unbound("jti-1", Some(5)), 6).await;
    refused(&world, "n1", unbound("jti-1", Some(5)), HOUR + 5, TicketRefusal::IdentityExists).await;
    issue(&world, "n1", unbound("jti-1", Some(5)), HOUR + 6).await;
    // Where it is allowed, it is said.
    let lenient = BootstrapUse {
        credential: "jti-2".to_owned(),
        uses: None,
        refuse_existing: false,
        warn_existing: false,
    };
    let lenient = |name| with(&world, name, Ticket::Bootstrap(lenient.clone()), HOUR + 7);
    assert!(preflight(&world, &lenient("n1"), HOUR + 7).await.holds_certificate);
    assert!(!preflight(&world, &lenient("n2"), HOUR + 7).await.holds_certificate);
    let plain = IssuanceRecord { ticket: None, ..lenient("n1") };
    assert!(!preflight(&world, &plain, HOUR + 7).await.holds_certificate, "not looked up");
}

async fn a_credential_serves_as_often_as_it_says(store: &dyn Store) {
    let world = World::new(store).await;
    for number in 0..3 {
        let issued = issue(&world, &format!("n{number}"), unbound("three", Some(3)), 1).await;
        // The lost answer is had again without a use.
        let (serial, key) = (issued.record().serial, issued.record().spki);
        let again = issued_before(&world, &format!("n{number}"), unbound("three", Some(3)), key, 2).await;
        assert_eq!(again, Some(serial));
    }
    refused(&world, "n3", unbound("three", Some(3)), 3, TicketRefusal::Spent).await;
    refused(&world, "n3", unbound("none", Some(0)), 3, TicketRefusal::Spent).await;
    for number in 10..20 {
        issue(&world, &format!("n{number}"), unbound("any", None), 4).await;
    }
}

async fn a_revoked_credential_serves_nobody(store: &dyn Store) {
    let world = World::new(store).await;
    store.record_token(&token("jti-1"), &stamp(0)).await.unwrap();
    let issued = issue(&world, "n1", unbound("jti-1", Some(5)), 1).await;
    store.revoke_tokens(&TokenSelector::Jti("jti-1".to_owned()), &stamp(2)).await.unwrap();
    refused(&world, "n2", unbound("jti-1", Some(5)), 3, TicketRefusal::Spent).await;
    // The certificate that it has brought is not handed out again either.
    assert_eq!(issued_before(&world, "n1", unbound("jti-1", Some(5)), issued.record().spki, 3).await, None);
}

async fn a_preset_credential_serves_until_it_is_revoked(store: &dyn Store) {
    let world = World::new(store).await;
    let hash = [5; 32];
    let credential = format!("preset:{}", Fingerprint::from(hash));
    store.preset_secret("bootstrap", &hash, &stamp(0)).await.unwrap();
    store.preset_secret("system", &hash, &stamp(0)).await.unwrap();
    issue(&world, "n1", unbound(&credential, None), 1).await;
    store.revoke_preset_secret("system", &hash, &stamp(2)).await.unwrap();
    issue(&world, "n2", unbound(&credential, None), 2).await;
    store.revoke_preset_secret("bootstrap", &hash, &stamp(3)).await.unwrap();
    refused(&world, "n3", unbound(&credential, None), 4, TicketRefusal::Spent).await;
    let garbled =
        store.record_issued(signed(with(&world, "n4", unbound("preset:x", None), 4)), &stamp(4)).await;
    assert!(matches!(garbled, Err(StoreError::Conflict(_))), "{garbled:?}");
}

async fn what_is_refused_uses_nothing_up(store: &dyn Store) {
    let world = World::new(store).await;
    let owner = world.issue("n1", 0).await;
    // Refused for its name, for its key, and failed.
    let mut name = with(&world, "n2", bound("jti-1"), 1);
    name.owned_names = vec![dns("n1")];
    assert!(matches!(world.outcome(name, 1).await, RecordOutcome::NameTaken { .. }));
    let mut key = with(&world, "n2", bound("jti-1"), 1);
    key.spki = owner.record().spki;
    assert!(matches!(world.outcome(key, 1).await, RecordOutcome::KeyRefused(KeyRefusal::InUse)));
    let mut serial = with(&world, "n2", bound("jti-1"), 1);
    serial.serial = owner.record().serial;
    assert!(store.record_issued(signed(serial), &stamp(1)).await.is_err());
    let mut name = with(&world, "n1", renewal(owner.fingerprint(), Some(1)), 1);
    name.issuer = world.root.ski;
    name.issuer_serial = world.root.serial;
    name.spki = SpkiHash::of_spki(&made(crate::store::KeyRole::Ca(crate::identity::CaRole::Root), 1).spki);
    assert!(matches!(world.outcome(name, 1).await, RecordOutcome::KeyRefused(KeyRefusal::CaKey)));
    issue(&world, "n2", bound("jti-1"), 2).await;
    issue(&world, "n1", renewal(owner.fingerprint(), Some(1)), 2).await;
}

async fn a_spent_credential_stays_spent_after_a_purge(store: &dyn Store) {
    let world = World::new(store).await;
    let issued = issue(&world, "n1", bound("jti-1"), 0).await;
    let later = 2 * HOUR;
    assert_eq!(store.purge_expired(at(later), 10, &stamp(later)).await.unwrap(), 1);
    refused(&world, "n1", bound("jti-1"), later, TicketRefusal::Spent).await;
    assert_eq!(issued_before(&world, "n1", bound("jti-1"), issued.record().spki, later).await, None);
}

async fn a_renewal_rests_on_an_active_certificate_of_the_identity(store: &dyn Store) {
    let world = World::new(store).await;
    let gone = TicketRefusal::CertificateGone;
    let own = world.issue("n1", 0).await;
    let proof = |certificate: &IssuedCertificate| renewal(certificate.fingerprint(), None);
    issue(&world, "n1", proof(&own), 1).await;
    issue(&world, "n1", proof(&own), 1).await;
    refused(&world, "n2", proof(&own), 1, gone).await;
    refused(&world, "n1", renewal(Fingerprint::of_certificate(b"unknown"), None), 1, gone).await;
    let ca = store.certificate(world.services.serial, at(1)).await.unwrap().unwrap().fingerprint;
    refused(&world, "never-seen", renewal(ca, None), 1, gone).await;
    refused(&world, "n1", proof(&own), HOUR, gone).await;
    let held = world.issue("n3", 2).await;
    store.deny_identity(&spiffe("n3"), "out", false, &stamp(3)).await.unwrap();
    let record = with(&world, "n3", proof(&held), 4);
    assert_eq!(preflight(&world, &record, 4).await.ticket_refused, Some(gone));
    store.allow_identity(&spiffe("n3"), &stamp(5)).await.unwrap();
    issue(&world, "n3", proof(&held), 6).await;
    store.deny_identity(&spiffe("n3"), "stolen", true, &stamp(7)).await.unwrap();
    store.allow_identity(&spiffe("n3"), &stamp(8)).await.unwrap();
    refused(&world, "n3", proof(&held), 9, gone).await;
    let mut of_transport = world.record("n4", 9);
    (of_transport.issuer, of_transport.issuer_serial) = (world.transport.ski, world.transport.serial);
    let of_transport = world.issue_record(of_transport, 9).await;
    issue(&world, "n4", proof(&of_transport), 9).await;
    store.revoke_ca(world.transport.ski, RevocationReason::CaCompromise, &stamp(10)).await.unwrap();
    refused(&world, "n4", proof(&of_transport), 11, gone).await;
}

async fn a_proof_serves_once(store: &dyn Store) {
    let world = World::new(store).await;
    let own = world.issue("n1", 0).await;
    issue(&world, "n1", renewal(own.fingerprint(), Some(1)), 1).await;
    refused(&world, "n1", renewal(own.fingerprint(), Some(1)), 2, TicketRefusal::ProofUsed).await;
    issue(&world, "n1", renewal(own.fingerprint(), Some(2)), 3).await;
    issue(&world, "n1", renewal(own.fingerprint(), None), 4).await;
}

async fn old_proofs_go_and_young_ones_stay(store: &dyn Store) {
    let world = World::new(store).await;
    let own = world.issue("n1", 0).await;
    for octet in 0..10 {
        issue(&world, "n1", renewal(own.fingerprint(), Some(octet)), 1).await;
    }
    // The clock may go back by five minutes and on: what has just ended is kept.
    issue(&world, "n1", renewal(own.fingerprint(), Some(100)), 5 * 60).await;
    for octet in 0..10 {
        refused(&world, "n1", renewal(own.fingerprint(), Some(octet)), 10, TicketRefusal::ProofUsed).await;
    }
    // Long after, they have gone as others came; nobody would take them any more.
    for octet in 101..110 {
        issue(&world, "n1", renewal(own.fingerprint(), Some(octet)), HOUR - 1).await;
    }
    issue(&world, "n1", renewal(own.fingerprint(), Some(0)), HOUR - 1).await;
}

async fn a_denial_comes_before_the_ticket(store: &dyn Store) {
    let world = World::new(store).await;
    let issued = issue(&world, "n1", bound("jti-1"), 0).await;
    store.deny_identity(&spiffe("n1"), "out", false, &stamp(1)).await.unwrap();
    let mut again = with(&world, "n1", bound("jti-1"), 2);
    again.spki = issued.record().spki;
    assert!(matches!(world.outcome(again, 2).await, RecordOutcome::Denied(_)));
    let mut early = with(&world, "n2", bound("jti-1"), -HOUR);
    early.not_after = at(HOUR);
    assert!(
        matches!(world.outcome(early, -HOUR).await, RecordOutcome::ClockBehind { .. }),
        "the clock is first of all"
    );
}

async fn preflight_uses_nothing_up(store: &dyn Store) {
    let world = World::new(store).await;
    let own = world.issue("n1", 0).await;
    for ticket in [bound("jti-1"), renewal(own.fingerprint(), Some(1))] {
        let record = with(&world, "n1", ticket.clone(), 1);
        for _ in 0..3 {
            let clean = preflight(&world, &record, 1).await;
            assert!(clean.ticket_refused.is_none() && clean.issued_before.is_none());
        }
        world.issue_record(record, 1).await;
    }
}

/// Records them all at once.
async fn at_once(store: &Arc<dyn Store>, records: Vec<IssuanceRecord>) -> Vec<RecordOutcome> {
    let mut tasks = JoinSet::new();
    for record in records {
        let store = store.clone();
        tasks.spawn(async move { store.record_issued(signed(record), &stamp(1)).await.unwrap() });
    }
    tasks.join_all().await
}

fn recorded(outcomes: &[RecordOutcome]) -> Vec<Serial> {
    let serial = |outcome: &RecordOutcome| match outcome {
        RecordOutcome::Recorded(issued) => Some(issued.record().serial),
        _ => None,
    };
    outcomes.iter().filter_map(serial).collect()
}

fn spent(outcomes: &[RecordOutcome], why: TicketRefusal) -> usize {
    outcomes
        .iter()
        .filter(|outcome| matches!(outcome, RecordOutcome::TicketRefused(found) if *found == why))
        .count()
}

async fn the_last_use_is_had_by_one(store: Arc<dyn Store>) {
    let world = World::new(store.as_ref()).await;
    for round in 0..50 {
        let ticket = || bound(&format!("jti-{round}"));
        let records = (0..2).map(|_| with(&world, "n1", ticket(), 1)).collect();
        let outcomes = at_once(&store, records).await;
        assert_eq!(
            (recorded(&outcomes).len(), spent(&outcomes, TicketRefusal::Spent)),
            (1, 1),
            "{outcomes:?}"
        );
    }
}

async fn one_key_at_once_gets_one_certificate(store: Arc<dyn Store>) {
    let world = World::new(store.as_ref()).await;
    for round in 0..50 {
        let ticket = || bound(&format!("jti-{round}"));
        let one = with(&world, "n1", ticket(), 1);
        let other = IssuanceRecord { spki: one.spki, ..with(&world, "n1", ticket(), 1) };
        let outcomes = at_once(&store, vec![one, other]).await;
        let before = outcomes.iter().find_map(|outcome| match outcome {
            RecordOutcome::IssuedBefore(row) => Some(row.serial),
            _ => None,
        });
        assert_eq!((recorded(&outcomes).len(), before), (1, recorded(&outcomes).pop()), "{outcomes:?}");
    }
}

async fn three_uses_are_had_by_three(store: Arc<dyn Store>) {
    let world = World::new(store.as_ref()).await;
    let record = |number| with(&world, &format!("n{number}"), unbound("three", Some(3)), 1);
    let outcomes = at_once(&store, (0..10).map(record).collect()).await;
    assert_eq!((recorded(&outcomes).len(), spent(&outcomes, TicketRefusal::Spent)), (3, 7), "{outcomes:?}");
}

async fn one_proof_at_once_serves_one(store: Arc<dyn Store>) {
    let world = World::new(store.as_ref()).await;
    let own = world.issue("n1", 0).await;
    let record = |_| with(&world, "n1", renewal(own.fingerprint(), Some(1)), 1);
    let outcomes = at_once(&store, (0..10).map(record).collect()).await;
    assert_eq!(
        (recorded(&outcomes).len(), spent(&outcomes, TicketRefusal::ProofUsed)),
        (1, 9),
        "{outcomes:?}"
    );
}
