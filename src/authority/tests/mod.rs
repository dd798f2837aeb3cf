//! The CA core with a key store that fails on command.

mod again;
mod flaky;
mod hostile;
mod named;
mod own;
mod retry;
mod unclaimed;
mod watched;

use super::{x509::VerifiedCsr, *};
use crate::{
    identity::{Actor, CaRole, ServiceType, SystemClock, Workload},
    store::{KeyRefusal, SqliteStore},
};
use aws_lc_rs::{
    encoding::AsDer,
    signature::{ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair},
};
use catalyst_signing::{Guard, KeyPin, KeyUri, SignatureAlgorithm, SigningBackend};
use der::{Decode, Encode, asn1::BitString};
use flaky::Flaky;
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use std::time::Duration;
use x509_cert::request::{CertReq, CertReqInfo};

async fn authority(store: &Arc<dyn Store>, keys: &Flaky) -> Arc<Authority> {
    limited_authority(store, keys, None).await
}

async fn limited_authority(store: &Arc<dyn Store>, keys: &Flaky, issue_limit: Option<u32>) -> Arc<Authority> {
    configured_authority(store, keys, |config| config.issue_limit = issue_limit).await
}

async fn configured_authority(
    store: &Arc<dyn Store>,
    keys: &Flaky,
    configure: impl FnOnce(&mut Config),
) -> Arc<Authority> {
    let mut config = Config::new("example.org".parse().unwrap());
    config.issue_limit = None;
    config.signing_deadline = Duration::from_millis(300);
    configure(&mut config);
    let backend: Arc<dyn SigningBackend> = Arc::new(keys.clone());
    let key_stores =
        KeyStores::new(Guard::new(Arc::new(catalyst_signing::NoObserver)), [("local".to_owned(), backend)]);
    let clock = Arc::new(SystemClock);
    Authority::open(config, store.clone(), Arc::new(key_stores), clock, Arc::new(NoObserver)).await.unwrap()
}

fn store() -> Arc<dyn Store> {
    Arc::new(SqliteStore::in_memory().unwrap())
}

fn workload(authority: &Authority, instance: &str) -> Workload {
    Workload::new(authority.trust_domain(), ServiceType::Node, instance.parse().unwrap()).unwrap()
}

/// A CSR of nothing but a key, signed by whoever holds it.
async fn csr<F: Future<Output = Vec<u8>>>(spki: &[u8], sign: impl FnOnce(Vec<u8>) -> F) -> VerifiedCsr {
    let info = CertReqInfo {
        version: x509_cert::request::Version::V1,
        subject: x509_cert::name::Name::default(),
        public_key: SubjectPublicKeyInfoOwned::from_der(spki).unwrap(),
        attributes: der::asn1::SetOfVec::default(),
    };
    let signature = sign(info.to_der().unwrap()).await;
    VerifiedCsr::from_der(&framed(info, &signature)).unwrap()
}

fn framed(info: CertReqInfo, signature: &[u8]) -> Vec<u8> {
    let algorithm = AlgorithmIdentifierOwned::from_der(SignatureAlgorithm::EcP384.identifier_der()).unwrap();
    let request = CertReq { info, algorithm, signature: BitString::from_bytes(signature).unwrap() };
    request.to_der().unwrap()
}

async fn own_csr() -> VerifiedCsr {
    let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).unwrap();
    let spki: aws_lc_rs::encoding::PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
    let random = aws_lc_rs::rand::SystemRandom::new();
    csr(spki.as_ref(), async |info| pair.sign(&random, &info).unwrap().as_ref().to_vec()).await
}

fn request(csr: VerifiedCsr, workload: Workload) -> IssueRequest {
    IssueRequest { csr, workload, ttl: None, uri_may_be_missing: true, ticket: None }
}

#[tokio::test]
async fn the_key_of_a_ca_is_never_certified_for_a_service() {
    let (store, keys) = (store(), Flaky::default());
    let ca = authority(&store, &keys).await;
    ca.initialize(InitRequest::default(), Actor::Service).await.unwrap();
    ca.token_key().await.unwrap();
    for key in store.hierarchy().await.unwrap().keys {
        let made = key.made.unwrap();
        let pin = KeyPin {
            uri: KeyUri::parse(&made.uri).unwrap(),
            algorithm: SignatureAlgorithm::EcP384,
            spki: made.spki.clone(),
        };
        let open = keys.open(&pin).await.unwrap();
        let csr = csr(&made.spki, async |info| open.sign(&info).await.unwrap()).await;
        let refused = ca.issue(request(csr, workload(&ca, "n1")), Actor::Service).await;
        assert!(matches!(refused, Err(AuthorityError::Key(KeyRefusal::CaKey))), "{}: {refused:?}", made.uri);
    }
}

#[tokio::test]
async fn whatever_step_the_key_store_fails_at_the_next_try_finishes_the_same_hierarchy() {
    for step in 0.. {
        let (store, keys) = (store(), Flaky::default());
        keys.refuse_call(step);
        let first = authority(&store, &keys).await;
        let failed = first.initialize(InitRequest::default(), Actor::Service).await.is_err();
        assert_eq!(first.bundle().is_err(), failed, "step {step}: half a hierarchy is served");
        let planned = store.hierarchy().await.unwrap();
        drop(first);
        keys.fail_none();

        let second = authority(&store, &keys).await;
        let resumed = second.resume_initialization().await.unwrap();
        assert_eq!(resumed, failed, "step {step}");
        let bundle = second.bundle().unwrap();
        assert_eq!(bundle.pem().matches("BEGIN CERTIFICATE").count(), 3, "step {step}");
        let hierarchy = store.hierarchy().await.unwrap();
        assert_eq!((hierarchy.keys.len(), keys.created()), (3, 3), "step {step}: a key too many or too few");
        for key in planned.keys {
            let now = hierarchy.keys.iter().find(|now| now.intention.role == key.intention.role).unwrap();
            assert_eq!(now.intention, key.intention, "step {step}: another intent");
        }
        second.sign_due_crls().await;
        assert!(second.crl_of_role(CaRole::Root).is_ok(), "step {step}");
        assert!(
            second.issue(request(own_csr().await, workload(&second, "n1")), Actor::Service).await.is_ok()
        );
        if !failed && keys.calls_of_first_run() <= step {
            return;
        }
    }
}

#[tokio::test]
async fn an_interrupted_intermediate_is_finished_as_it_was_meant_whatever_the_next_request_says() {
    let asked = |name: &str| IntermediateRequest {
        common_name: name.into(),
        role: Some(CaRole::Services),
        ..IntermediateRequest::default()
    };
    let mut finished = Vec::new();
    for step in 0.. {
        let (store, keys) = (store(), Flaky::default());
        let first = authority(&store, &keys).await;
        first.initialize(InitRequest::default(), Actor::Service).await.unwrap();
        // Keys that open in the background would be counted as steps.
        while first.signing_trouble().is_some() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        keys.refuse_call(keys.calls() + step);
        let failed = first.create_intermediate(asked("First"), Actor::Service).await.is_err();
        drop(first);
        keys.fail_none();
        if !failed {
            break;
        }
        let second = authority(&store, &keys).await;
        let row = second.create_intermediate(asked("Second"), Actor::Service).await.unwrap();
        finished.push(row.certificate.common_name);
        assert_eq!((second.status().await.unwrap().cas.len(), keys.created()), (4, 4), "step {step}");
    }
    // What failed before its certificate was meant is made as asked; what failed after, as it was meant.
    finished.dedup();
    assert_eq!(finished, ["Second", "First"]);
}

#[tokio::test]
async fn no_two_cas_share_a_name() {
    let (store, keys) = (store(), Flaky::default());
    let ca = authority(&store, &keys).await;
    ca.initialize(InitRequest::default(), Actor::Service).await.unwrap();
    for name in ["Catalyst Root CA", "Catalyst Services CA", "Catalyst Transport CA"] {
        let request = IntermediateRequest {
            common_name: name.into(),
            role: Some(CaRole::Services),
            ..IntermediateRequest::default()
        };
        let refused = ca.create_intermediate(request, Actor::Service).await;
        assert!(matches!(refused, Err(AuthorityError::Conflict(_))), "{refused:?}");
    }
    // The refusals have made no key and left no intention behind.
    assert_eq!(keys.created(), 3);
}

#[tokio::test]
async fn a_denial_holds_while_the_key_store_is_away_and_its_crl_follows() {
    let (store, keys) = (store(), Flaky::default());
    let ca = authority(&store, &keys).await;
    ca.initialize(InitRequest::default(), Actor::Service).await.unwrap();
    let node = workload(&ca, "n1");
    let svid = ca.issue(request(own_csr().await, node.clone()), Actor::Service).await.unwrap();

    keys.fail_all();
    let denied = ca.deny(&node, "incident", false, Actor::Service).await.unwrap();
    assert!(denied.crl_pending);
    assert_eq!(denied.expiring.iter().map(|held| held.serial).collect::<Vec<_>>(), [svid.serial]);
    let refused = ca.issue(request(own_csr().await, node.clone()), Actor::Service).await;
    assert!(matches!(refused, Err(AuthorityError::Denied(_))), "{refused:?}");
    assert!(ca.status().await.unwrap().warnings.iter().any(|warning| warning.contains("waits for its CRL")));

    keys.fail_none();
    ca.sign_wanted_crls().await;
    let crl = ca.crl_of_role(CaRole::Services).unwrap();
    assert!(!crl.pending);
    let der = &crl.published.as_ref().unwrap().der;
    assert!(der.windows(16).any(|octets| octets == svid.serial.as_bytes()), "the CRL names the certificate");
}

#[tokio::test]
async fn a_key_store_that_is_away_costs_no_bundle_and_comes_back_by_itself() {
    let (store, keys) = (store(), Flaky::default());
    authority(&store, &keys).await.initialize(InitRequest::default(), Actor::Service).await.unwrap();

    keys.fail_all();
    let ca = authority(&store, &keys).await;
    assert!(ca.bundle().is_ok() && ca.crl_of_role(CaRole::Services).is_ok());
    let refused = ca.issue(request(own_csr().await, workload(&ca, "n1")), Actor::Service).await;
    assert!(matches!(&refused, Err(AuthorityError::KeyStore(error)) if error.is_transient()), "{refused:?}");
    assert_eq!(ca.status().await.unwrap().health, Health::Degraded);

    keys.fail_none();
    tokio::time::pause(); // the slots try again after some seconds
    tokio::time::sleep(Duration::from_secs(30)).await;
    tokio::time::resume();
    assert!(ca.issue(request(own_csr().await, workload(&ca, "n1")), Actor::Service).await.is_ok());
    assert_eq!(ca.status().await.unwrap().health, Health::Healthy);
}

#[tokio::test]
async fn a_key_that_is_not_the_pinned_one_keeps_its_own_ca_down_and_no_other() {
    let (store, keys) = (store(), Flaky::default());
    authority(&store, &keys).await.initialize(InitRequest::default(), Actor::Service).await.unwrap();

    keys.swap("local:services-1", "local:transport-1");
    let ca = authority(&store, &keys).await;
    let node = ca.issue(request(own_csr().await, workload(&ca, "n1")), Actor::Service).await;
    assert!(
        matches!(&node, Err(AuthorityError::KeyStore(error)) if error.code() == "key_integrity"),
        "{node:?}"
    );
    let envoy = Workload::new(ca.trust_domain(), ServiceType::EnvoyApp, "n1".parse().unwrap()).unwrap();
    assert!(ca.issue(request(own_csr().await, envoy), Actor::Service).await.is_ok());
    let warnings = ca.status().await.unwrap().warnings;
    assert!(warnings.iter().any(|warning| warning.contains("local:services-1")), "{warnings:?}");
}
