//! What was used up or ended is so after a restart too.

use super::{in_file, place};
use crate::store::{
    AuditQuery, BootstrapUse, IssuanceRecord, RecordOutcome, RenewalUse, Ticket, TicketRefusal, TokenRecord,
    TokenSelector,
    conformance::fixture::{World, at, stamp, token},
};

#[tokio::test]
async fn what_is_spent_stays_spent() {
    let (_dir, path) = place();
    let store = in_file(&path);
    let world = World::new(store.as_ref()).await;
    let own = world.issue("n1", 0).await;
    let bootstrap = BootstrapUse {
        credential: "jti-1".to_owned(),
        uses: Some(1),
        refuse_existing: false,
        warn_existing: false,
    };
    let bootstrap = Ticket::Bootstrap(bootstrap);
    let renewal =
        Ticket::Renewal(RenewalUse { certificate: own.fingerprint(), proof: Some(([1; 32], at(60))) });
    let mut first = None;
    for ticket in [&bootstrap, &renewal] {
        let record = IssuanceRecord { ticket: Some(ticket.clone()), ..world.record("n1", 1) };
        first = first.or(Some(world.issue_record(record, 1).await));
    }
    let first = first.unwrap();
    let bound = TokenRecord {
        sans: vec!["a".to_owned()],
        certificate_fingerprint: Some(own.fingerprint()),
        ..token("t")
    };
    store.record_token(&bound, &stamp(1)).await.unwrap();
    store.revoke_tokens(&TokenSelector::San("a".to_owned()), &stamp(2)).await.unwrap();
    store.preset_secret("system", &[1; 32], &stamp(2)).await.unwrap();
    store.revoke_preset_secret("system", &[1; 32], &stamp(3)).await.unwrap();
    let query = AuditQuery { after: 4, limit: 1, ..AuditQuery::default() };
    let sealed = store.audit(&query).await.unwrap()[0].head();
    store.drop_sealed_audit(sealed, "sealed", &stamp(3)).await.unwrap();
    let head = store.audit_head().await.unwrap();
    store.close().await.unwrap();

    let reopened = in_file(&path);
    let store = reopened.as_ref();
    let world = World { store, ..world };
    for (ticket, why) in [(bootstrap.clone(), TicketRefusal::Spent), (renewal, TicketRefusal::ProofUsed)] {
        let record = IssuanceRecord { ticket: Some(ticket), ..world.record("n1", 4) };
        let outcome = world.outcome(record, 4).await;
        assert!(matches!(outcome, RecordOutcome::TicketRefused(found) if found == why), "{outcome:?}");
    }
    let spki = first.record().spki;
    let again = IssuanceRecord { ticket: Some(bootstrap), spki, ..world.record("n1", 4) };
    let outcome = world.outcome(again, 4).await;
    assert!(
        matches!(&outcome, RecordOutcome::IssuedBefore(row) if row.fingerprint == first.fingerprint()),
        "{outcome:?}"
    );
    assert_eq!(store.token("t").await.unwrap(), Some(TokenRecord { revoked_at: Some(at(2)), ..bound }));
    assert_eq!(store.revoked_tokens(at(4)).await.unwrap(), ["t"]);
    let secret = store.preset_secret("system", &[1; 32], &stamp(5)).await.unwrap();
    assert_eq!(secret.revoked_at, Some(at(3)));
    assert_eq!((store.audit_base().await.unwrap(), store.audit_head().await.unwrap()), (sealed, head));
}
