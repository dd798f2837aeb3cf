//! The client under certificates that this CA itself makes.

use super::{
    JSON, KEYS, asked,
    fake::{Fake, Identity},
    pin, token_was_sent,
};
use crate::{
    EphemeralCa,
    client::{Kind, Trust},
    identity::{ServiceType, Workload},
};
use rcgen::KeyPair;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

/// A service that shows its certificate and that of the issuing CA, as ours does; and the root's certificate.
async fn service(ca: &EphemeralCa, service_type: ServiceType) -> (Fake, CertificateDer<'static>) {
    let workload = Workload::new(ca.trust_domain(), service_type, "auth-1".parse().unwrap()).unwrap();
    let (key, svid) = ca.issue(workload).await.unwrap();
    let chain = vec![der(&svid.certificate_pem), der(&svid.chain[0])];
    let identity = Identity { chain, key: KeyPair::from_pem(&key).unwrap() };
    let bundle = ca.bundle_pem().unwrap();
    let answer = move |target: &str| match target {
        "/pki/ca/bundle" => (200, "application/x-pem-file", bundle.clone()),
        _ => (200, JSON, KEYS.into()),
    };
    (Fake::tls(identity, answer).await, der(&svid.chain[1]))
}

#[tokio::test]
async fn the_cas_own_certificate_is_accepted_and_no_other_that_it_made() {
    let ca = EphemeralCa::new("example.org".parse().unwrap()).await.unwrap();
    let (fake, root) = service(&ca, ServiceType::Auth).await;
    asked(&fake, Trust::Root(pin(&root))).await.unwrap();
    for other in [ServiceType::Node, ServiceType::Orchestrator, ServiceType::EnvoyApp] {
        let (fake, root) = service(&ca, other).await;
        let error = asked(&fake, Trust::Root(pin(&root))).await.unwrap_err();
        assert_eq!(error.kind, Kind::Unreachable);
        assert!(error.message.contains("it is spiffe://example.org/"), "{error}");
        assert!(!token_was_sent(&fake));
    }
}

#[tokio::test]
async fn the_leafs_own_pin_needs_no_bundle() {
    let ca = EphemeralCa::new("example.org".parse().unwrap()).await.unwrap();
    let workload = Workload::new(ca.trust_domain(), ServiceType::Auth, "auth-1".parse().unwrap()).unwrap();
    let (key, svid) = ca.issue(workload).await.unwrap();
    let leaf = der(&svid.certificate_pem);
    let identity = Identity { chain: vec![leaf.clone()], key: KeyPair::from_pem(&key).unwrap() };
    let fake = Fake::tls(identity, |_| (200, JSON, KEYS.into())).await;
    asked(&fake, Trust::Server(pin(&leaf))).await.unwrap();
    assert_eq!(fake.seen().len(), 1);
}
