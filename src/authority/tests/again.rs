//! The same bootstrap credential with the same key: the certificate that it has brought already.

use super::*;
use crate::store::{BootstrapUse, Ticket, TicketRefusal};

#[tokio::test]
async fn what_is_handed_out_again_comes_with_the_chain_of_the_ca_that_signed_it() {
    let (store, keys) = (store(), Flaky::default());
    let ca = authority(&store, &keys).await;
    ca.initialize(InitRequest::default(), Actor::Service).await.unwrap();
    let credential = BootstrapUse {
        credential: "jti-1".to_owned(),
        uses: Some(1),
        refuse_existing: false,
        warn_existing: false,
    };
    let asked = IssueRequest {
        ticket: Some(Ticket::Bootstrap(credential)),
        ..request(own_csr().await, workload(&ca, "n1"))
    };
    let first = ca.issue(asked.clone(), Actor::Service).await.unwrap();

    let role = asked.workload.service_type().issuing_role();
    let successor = IntermediateRequest {
        common_name: "Successor".into(),
        role: Some(role),
        ..IntermediateRequest::default()
    };
    let successor = ca.create_intermediate(successor, Actor::Service).await.unwrap();
    ca.activate(successor.certificate.ski, true, Actor::Service).await.unwrap();

    let again = ca.issue(asked.clone(), Actor::Service).await.unwrap();
    assert_eq!((again.serial, again.certificate_pem), (first.serial, first.certificate_pem));
    assert_eq!(again.chain, first.chain);
    let other = ca.issue(request(own_csr().await, workload(&ca, "n2")), Actor::Service).await.unwrap();
    assert_ne!(other.chain, first.chain, "another CA issues now");
    // With another key it is a second use.
    let second = IssueRequest { csr: own_csr().await, ..asked };
    let refused = ca.issue(second, Actor::Service).await;
    assert!(matches!(refused, Err(AuthorityError::Ticket(TicketRefusal::Spent))), "{refused:?}");
}
