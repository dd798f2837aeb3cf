//! What an attacker or an accident would try on the CA core.

use super::*;
use crate::authority::x509::CsrError;
use crate::store::RevocationReason;
use aws_lc_rs::{encoding::PublicKeyX509Der, rand::SystemRandom};

/// The key's SPKI with its point compressed and in the hybrid form (SEC 1, 2.3.3; X9.62).
fn other_forms(spki: &[u8]) -> [SubjectPublicKeyInfoOwned; 2] {
    let spki = SubjectPublicKeyInfoOwned::from_der(spki).unwrap();
    let point = spki.subject_public_key.raw_bytes().to_vec();
    let odd = point[96] & 1;
    let compressed = [&[2 | odd], &point[1..49]].concat();
    let hybrid = [&[6 | odd], &point[1..]].concat();
    [compressed, hybrid].map(|point| SubjectPublicKeyInfoOwned {
        algorithm: spki.algorithm.clone(),
        subject_public_key: BitString::from_bytes(&point).unwrap(),
    })
}

#[test]
fn a_key_does_not_come_back_in_another_form_of_its_point() {
    let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).unwrap();
    let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
    for public_key in other_forms(spki.as_ref()) {
        let info = CertReqInfo {
            version: x509_cert::request::Version::V1,
            subject: x509_cert::name::Name::default(),
            public_key,
            attributes: der::asn1::SetOfVec::default(),
        };
        let signature = pair.sign(&SystemRandom::new(), &info.to_der().unwrap()).unwrap();
        let refused = VerifiedCsr::from_der(&framed(info, signature.as_ref()));
        assert!(matches!(refused, Err(CsrError::KeyType(_))), "{refused:?}");
    }
}

/// Begins a change and hangs up, as a client does that goes away before the answer.
async fn hang_up<T>(change: impl Future<Output = T>) {
    let mut change = std::pin::pin!(change);
    std::future::poll_fn(|context| {
        assert!(change.as_mut().poll(context).is_pending(), "answered at once");
        std::task::Poll::Ready(())
    })
    .await;
}

async fn eventually(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what}: not within five seconds");
}

#[tokio::test]
async fn a_change_is_finished_for_a_client_that_hung_up() {
    let (store, keys) = (store(), Flaky::default());
    let ca = authority(&store, &keys).await;
    hang_up(ca.initialize(InitRequest::default(), Actor::Service)).await;
    eventually("the hierarchy is served", || ca.bundle().is_ok()).await;

    let node = workload(&ca, "n1");
    let svid = ca.issue(request(own_csr().await, node.clone()), Actor::Service).await.unwrap();
    hang_up(ca.deny(&node, "incident", false, Actor::Service)).await;
    let crl_names = |role, serial: crate::identity::Serial| {
        let crl = ca.crl_of_role(role).ok().and_then(|row| row.published.clone());
        crl.is_some_and(|crl| crl.der.windows(16).any(|octets| octets == serial.as_bytes()))
    };
    eventually("the certificate is on its CRL", || crl_names(CaRole::Services, svid.serial)).await;

    let services = ca.state.load().active_row(CaRole::Services).unwrap().certificate.clone();
    hang_up(ca.revoke_ca(services.ski, RevocationReason::CaCompromise, Actor::Service)).await;
    eventually("the bundle is without the CA", || ca.bundle().unwrap().services.is_empty()).await;
}

fn intermediate(name: &str) -> IntermediateRequest {
    IntermediateRequest {
        common_name: name.into(),
        role: Some(CaRole::Services),
        ..IntermediateRequest::default()
    }
}

#[tokio::test]
async fn a_request_for_a_ca_that_is_refused_does_not_bar_the_next_one() {
    let (store, keys) = (store(), Flaky::default());
    let ca = authority(&store, &keys).await;
    ca.initialize(InitRequest::default(), Actor::Service).await.unwrap();
    let make = async |request| ca.create_intermediate(request, Actor::Service).await;
    for name in ["Catalyst Root CA", "catalyst  ROOT ca"] {
        let refused = make(intermediate(name)).await;
        assert!(matches!(refused, Err(AuthorityError::Conflict(_))), "{name}: {refused:?}");
    }
    for (reference, code) in [("local:services-9", "invalid_request"), ("local:root-1", "conflict")] {
        let request =
            IntermediateRequest { key_reference: Some(reference.into()), ..intermediate("Services CA") };
        let refused = make(request).await.unwrap_err();
        assert_eq!(refused.code(), code, "{reference}: {refused}");
    }
    let made = make(intermediate("Second Services CA")).await.unwrap();
    assert_eq!(made.certificate.generation, 2);
}

#[tokio::test]
async fn a_pin_in_what_an_operator_typed_is_neither_kept_nor_repeated() {
    let (store, keys) = (store(), Flaky::default());
    let ca = authority(&store, &keys).await;
    ca.initialize(InitRequest::default(), Actor::Service).await.unwrap();
    let before = store.hierarchy().await.unwrap().keys.len();
    let services = ca.status().await.unwrap().active(CaRole::Services).unwrap().certificate.ski;
    for typed in ["pkcs11:object=a?pin-value=77553311", "pkcs11?pin%2Dsource=77553311", "PIN-VALUE=77553311"]
    {
        let some = || Some(typed.to_owned());
        let named = IntermediateRequest { key_reference: some(), ..intermediate("Services CA 2") };
        let placed = IntermediateRequest { backend: some(), ..intermediate("Services CA 2") };
        let address = |reference: &str, backend| KeyAddress { reference: reference.into(), backend };
        for refused in [
            ca.create_intermediate(named, Actor::Service).await.unwrap_err(),
            ca.create_intermediate(placed, Actor::Service).await.unwrap_err(),
            ca.repin(services, address(typed, None), Actor::Service).await.unwrap_err(),
            ca.repin(services, address("local:services-1", some()), Actor::Service).await.unwrap_err(),
        ] {
            assert!(matches!(refused, AuthorityError::Invalid(_)), "{refused:?}");
            assert!(!format!("{refused} {refused:?}").contains("77553311"), "{refused}");
        }
        let unknown = ca.retry_keys(Some(typed), Actor::Service).await.unwrap_err();
        assert!(matches!(unknown, AuthorityError::NotFound(_)), "{unknown:?}");
        assert!(!format!("{unknown} {unknown:?}").contains("77553311"), "{unknown}");
    }
    assert_eq!(store.hierarchy().await.unwrap().keys.len(), before);
}

#[tokio::test]
async fn a_ca_certificate_that_was_begun_is_finished_whatever_the_next_request_calls_it() {
    for step in 0.. {
        let (store, keys) = (store(), Flaky::default());
        let ca = authority(&store, &keys).await;
        ca.initialize(InitRequest::default(), Actor::Service).await.unwrap();
        keys.refuse_after(step);
        let failed = ca.create_intermediate(intermediate("One Services CA"), Actor::Service).await.is_err();
        keys.fail_none();
        if !failed {
            return;
        }
        let ca = authority(&store, &keys).await;
        let request = IntermediateRequest { ttl_days: Some(90), ..intermediate("Other Services CA") };
        let made = ca.create_intermediate(request, Actor::Service).await;
        assert!(made.is_ok(), "step {step}: {made:?}");
    }
}

#[tokio::test]
async fn a_ceremony_under_way_holds_up_no_crl() {
    let (store, keys) = (store(), Flaky::default());
    let ca = authority(&store, &keys).await;
    ca.initialize(InitRequest::default(), Actor::Service).await.unwrap();
    let node = workload(&ca, "n1");
    ca.issue(request(own_csr().await, node.clone()), Actor::Service).await.unwrap();
    keys.fail_all();
    assert!(ca.deny(&node, "incident", false, Actor::Service).await.unwrap().crl_pending);
    keys.fail_none();

    let _ceremony = ca.change.lock().await;
    tokio::time::timeout(Duration::from_secs(10), ca.look_after()).await.expect("upkeep goes on");
    assert!(!ca.crl_of_role(CaRole::Services).unwrap().pending);
}

#[tokio::test]
async fn retries_with_a_latched_key_use_up_no_crl_numbers() {
    let (store, keys) = (store(), Flaky::default());
    let ca = authority(&store, &keys).await;
    ca.initialize(InitRequest::default(), Actor::Service).await.unwrap();
    let node = workload(&ca, "n1");
    ca.issue(request(own_csr().await, node.clone()), Actor::Service).await.unwrap();
    keys.refuse_after(0);
    assert!(ca.deny(&node, "incident", false, Actor::Service).await.unwrap().crl_pending);
    let head = store.audit_head().await.unwrap();
    for _ in 0..5 {
        ca.sign_wanted_crls().await;
    }
    assert_eq!(store.audit_head().await.unwrap(), head, "each retry left a record");
}
