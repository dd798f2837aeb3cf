//! The service's own certificate.

use super::*;
use crate::store::RevocationReason;
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};

async fn spki() -> Vec<u8> {
    own_csr().await.spki().to_vec()
}

fn own(authority: &Authority) -> Workload {
    Workload::new(authority.trust_domain(), ServiceType::Auth, "pki-1".parse().unwrap()).unwrap()
}

fn names() -> OwnNames {
    OwnNames {
        dns_names: ["pki.example.org", "localhost", "auth", "pki-1"]
            .map(|name| name.parse().unwrap())
            .to_vec(),
        ip_addresses: ["192.0.2.1", "2001:db8::1"].map(|address| address.parse().unwrap()).to_vec(),
    }
}

async fn made(issue_limit: Option<u32>) -> Arc<Authority> {
    let ca = limited_authority(&store(), &Flaky::default(), issue_limit).await;
    ca.initialize(InitRequest::default(), Actor::Service).await.unwrap();
    ca
}

fn holds(svid: &Svid, name: &str) -> bool {
    let der = CertificateDer::from_pem_slice(svid.certificate_pem.as_bytes()).unwrap();
    let certificate = webpki::EndEntityCert::try_from(&der).unwrap();
    certificate.verify_is_valid_for_subject_name(&ServerName::try_from(name).unwrap()).is_ok()
}

#[tokio::test]
async fn it_has_the_names_and_addresses_of_the_operator_and_owns_all_but_localhost() {
    let ca = made(Some(1)).await;
    let svid = ca.issue_own(own(&ca), spki().await, &names()).await.unwrap();
    for name in ["pki-1", "auth", "pki.example.org", "localhost", "192.0.2.1", "2001:db8::1"] {
        assert!(holds(&svid, name), "{name}");
    }
    let owner = async |name: &str| ca.store().name_owner(&name.parse().unwrap()).await.unwrap();
    assert_eq!(owner("pki.example.org").await, Some("pki-1".parse().unwrap()));
    assert_eq!(owner("pki-1").await, Some("pki-1".parse().unwrap()));
    assert_eq!((owner("localhost").await, owner("auth").await), (None, None));
    // The limit counts for everybody else.
    for _ in 0..3 {
        ca.issue_own(own(&ca), spki().await, &names()).await.unwrap();
    }
    let node = workload(&ca, "n1");
    let issued = ca.issue(request(own_csr().await, node.clone()), Actor::Service).await.unwrap();
    assert!(!holds(&issued, "192.0.2.1") && !holds(&issued, "localhost"));
    let refused = ca.issue(request(own_csr().await, node), Actor::Service).await;
    assert!(matches!(refused, Err(AuthorityError::LimitReached { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_name_of_another_instance_is_left_out_of_it() {
    let ca = made(None).await;
    let other = workload(&ca, "pki.example.org");
    ca.issue(request(own_csr().await, other), Actor::Service).await.unwrap();
    let svid = ca.issue_own(own(&ca), spki().await, &names()).await.unwrap();
    assert!(!holds(&svid, "pki.example.org") && holds(&svid, "localhost"));
}

#[tokio::test]
async fn it_is_good_until_it_or_its_ca_is_revoked_or_its_identity_denied() {
    let ca = made(None).await;
    let mut changes = ca.changes();
    let issue = async || ca.issue_own(own(&ca), spki().await, &OwnNames::default()).await.unwrap().serial;
    let stamp = || crate::store::Stamp { at: ca.clock().now(), by: Actor::Service };
    let first = issue().await;
    assert_eq!(ca.standing(first).await.unwrap(), Standing::Good);
    ca.store().revoke_certificate(first, RevocationReason::Unspecified, &stamp()).await.unwrap();
    assert_eq!(ca.standing(first).await.unwrap(), Standing::Revoked);

    let second = issue().await;
    ca.store().deny_identity(own(&ca).spiffe_id(), "test", false, &stamp()).await.unwrap();
    assert_eq!(ca.standing(second).await.unwrap(), Standing::Revoked);
    ca.store().allow_identity(own(&ca).spiffe_id(), &stamp()).await.unwrap();
    assert_eq!(ca.standing(second).await.unwrap(), Standing::Good);

    let services = ca.status().await.unwrap().active(CaRole::Services).unwrap().certificate.ski;
    assert!(!changes.has_changed().unwrap());
    ca.revoke_ca(services, RevocationReason::KeyCompromise, Actor::Service).await.unwrap();
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();
    assert_eq!(ca.standing(second).await.unwrap(), Standing::IssuerGone);
    let refused = ca.issue_own(own(&ca), spki().await, &OwnNames::default()).await;
    assert!(matches!(refused, Err(AuthorityError::NoIssuer(CaRole::Services))), "{refused:?}");
}
