//! What an attacker or an accident would try on the CA core.

use super::*;
use crate::authority::x509::CsrError;
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
