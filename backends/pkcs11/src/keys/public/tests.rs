//! Decoders of what tokens tell, with keys of aws-lc.

use super::*;
use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
        KeyPair, ML_DSA_65_SIGNING, ML_DSA_87_SIGNING, PqdsaKeyPair, RsaKeyPair,
    },
};
use der::asn1::OctetString;
use proptest::{collection::vec, option, prelude::*};
use std::sync::LazyLock;

struct Sample {
    algorithms: &'static [Algorithm],
    parts: Parts,
    spki: Vec<u8>,
}

fn der(key: &impl AsDer<PublicKeyX509Der<'static>>) -> Vec<u8> {
    key.as_der().unwrap().as_ref().to_vec()
}

/// A key of each kind, told as plainly as tokens tell it.
static SAMPLES: LazyLock<Vec<Sample>> = LazyLock::new(|| {
    let ec = |algorithm, params: &[u8], algorithms| {
        let key = EcdsaKeyPair::generate(algorithm).unwrap();
        let (params, point) = (Some(params.to_vec()), Some(key.public_key().as_ref().to_vec()));
        let parts = Parts { kind: Some(KeyType::EC), params, point, ..Parts::default() };
        Sample { algorithms, parts, spki: der(key.public_key()) }
    };
    let rsa = |size, algorithms| {
        let key = RsaKeyPair::generate(size).unwrap();
        let numbers = RsaPublicKey::from_der(key.public_key().as_ref()).unwrap();
        let modulus = Some(numbers.modulus.as_bytes().to_vec());
        let exponent = Some(numbers.public_exponent.as_bytes().to_vec());
        let parts = Parts { kind: Some(KeyType::RSA), modulus, exponent, ..Parts::default() };
        Sample { algorithms, parts, spki: der(key.public_key()) }
    };
    let ml_dsa = |algorithm, set, algorithms| {
        let key = PqdsaKeyPair::generate(algorithm).unwrap();
        let value = Some(key.public_key().as_ref().to_vec());
        let parts = Parts { kind: Some(KeyType::ML_DSA), set: Some(set), value, ..Parts::default() };
        Sample { algorithms, parts, spki: der(key.public_key()) }
    };
    let ed25519 = Ed25519KeyPair::generate().unwrap();
    let point = Some(ed25519.public_key().as_ref().to_vec());
    let params = Some(ED25519_OID.to_vec());
    let parts = Parts { kind: Some(KeyType::EC_EDWARDS), params, point, ..Parts::default() };
    vec![
        ec(&ECDSA_P384_SHA384_ASN1_SIGNING, P384_PARAMS, &[Algorithm::EcP384]),
        ec(&ECDSA_P256_SHA256_ASN1_SIGNING, P256_PARAMS, &[Algorithm::EcP256]),
        rsa(KeySize::Rsa3072, &[Algorithm::Rsa3072, Algorithm::Rsa3072Pss]),
        rsa(KeySize::Rsa4096, &[Algorithm::Rsa4096, Algorithm::Rsa4096Pss]),
        Sample { algorithms: &[Algorithm::Ed25519], parts, spki: der(ed25519.public_key()) },
        ml_dsa(&ML_DSA_65_SIGNING, Set::ML_DSA_65, &[Algorithm::MlDsa65]),
        ml_dsa(&ML_DSA_87_SIGNING, Set::ML_DSA_87, &[Algorithm::MlDsa87]),
    ]
});

#[test]
fn every_kind_of_key_is_read_and_is_of_its_algorithms_alone() {
    for sample in &*SAMPLES {
        assert_eq!(sample.parts.spki(), Ok(sample.spki.clone()), "{}", sample.parts);
        for algorithm in Algorithm::ALL {
            let its = sample.algorithms.contains(algorithm);
            assert_eq!(sample.parts.may_be(*algorithm), its, "{algorithm}: {}", sample.parts);
            assert_eq!(algorithm.verifier(&sample.spki).is_some(), its, "{algorithm}: {}", sample.parts);
        }
    }
}

#[test]
fn a_point_is_taken_bare_or_in_an_octet_string_and_in_no_other_form() {
    for sample in SAMPLES.iter().filter(|sample| sample.parts.point.is_some()) {
        let bare = sample.parts.point.clone().unwrap();
        let with = |point: Vec<u8>| Parts { point: Some(point), ..sample.parts.clone() };
        let wrapped = OctetString::new(&bare[..]).unwrap().to_der().unwrap();
        assert_eq!(with(wrapped.clone()).spki(), Ok(sample.spki.clone()));
        let longer = |octets: &[u8]| [octets, &[0]].concat();
        for wrong in [longer(&bare), longer(&wrapped), bare[1..].to_vec(), wrapped[1..].to_vec()] {
            assert!(with(wrong.clone()).spki().is_err(), "{wrong:02x?}");
        }
        if sample.parts.kind == Some(KeyType::EC) {
            let mut compressed = bare[..=bare.len() / 2].to_vec();
            compressed[0] = 2;
            assert!(with(compressed).spki().is_err());
            let mut mislabelled = bare.clone();
            mislabelled[0] = 2;
            assert_eq!(with(mislabelled).spki(), Err(Unreadable("its CKA_EC_POINT is not uncompressed")));
        }
    }
}

#[test]
fn ed25519_is_known_by_all_its_names() {
    let sample = SAMPLES.iter().find(|s| s.algorithms == [Algorithm::Ed25519]).unwrap();
    for params in [ED25519_NAME, ED25519_OID, ED25519_OLD_OID] {
        let parts = Parts { params: Some(params.to_vec()), ..sample.parts.clone() };
        assert_eq!(parts.spki(), Ok(sample.spki.clone()));
        assert!(parts.may_be(Algorithm::Ed25519));
    }
    for params in [&b"\x13\x0aedwards448"[..], b"\x06\x03\x2b\x65\x71", b"", b"edwards25519"] {
        let parts = Parts { params: Some(params.to_vec()), ..sample.parts.clone() };
        assert!(parts.spki().is_err() && !parts.may_be(Algorithm::Ed25519), "{params:02x?}");
        assert_eq!(parts.to_string(), "an Edwards key on another curve than edwards25519");
    }
}

#[test]
fn zeros_before_a_number_change_nothing() {
    for sample in SAMPLES.iter().filter(|sample| sample.parts.modulus.is_some()) {
        let padded = |number: &Option<Vec<u8>>| number.as_ref().map(|n| [&[0, 0][..], n].concat());
        let (modulus, exponent) = (padded(&sample.parts.modulus), padded(&sample.parts.exponent));
        let parts = Parts { modulus, exponent, ..sample.parts.clone() };
        assert_eq!(parts.spki(), Ok(sample.spki.clone()));
        assert_eq!(parts.to_string(), sample.parts.to_string());
        assert!(parts.may_be(sample.algorithms[0]));
    }
}

#[test]
fn what_the_token_gives_whole_serves_where_the_parts_are_missing() {
    for sample in &*SAMPLES {
        let Parts { kind, .. } = sample.parts;
        let parts = Parts { kind, info: Some(sample.spki.clone()), ..Parts::default() };
        assert_eq!(parts.spki(), Ok(sample.spki.clone()));
        let torn = Parts { info: Some(sample.spki[1..].to_vec()), ..parts };
        assert_eq!(torn.spki(), Err(Unreadable("its CKA_PUBLIC_KEY_INFO is no SubjectPublicKeyInfo")));
    }
}

#[test]
fn keys_of_no_use_are_named_for_what_they_are() {
    let kind = |kind| Parts { kind: Some(kind), ..Parts::default() };
    let with = |params: &[u8]| Parts { params: Some(params.to_vec()), ..kind(KeyType::EC) };
    let rsa = Parts { modulus: Some([&[0, 0x40][..], &[1; 255]].concat()), ..kind(KeyType::RSA) };
    for (parts, name) in [
        (with(b"\x06\x05\x2b\x81\x04\x00\x0a"), "an EC key on the curve 1.3.132.0.10"),
        (with(b"\x30\x00"), "an EC key on an unnamed curve"),
        (with(P256_PARAMS), "an EC key on P-256"),
        (rsa, "an RSA key of 2047 bits"),
        (kind(KeyType::RSA), "an RSA key"),
        (kind(KeyType::ML_DSA), "an ML-DSA key of an unknown parameter set"),
        (Parts { set: Some(Set::ML_DSA_44), ..kind(KeyType::ML_DSA) }, "an ML-DSA-44 key"),
        (kind(KeyType::AES), "a key of type CKK_AES"),
        (Parts::default(), "a key of an unknown type"),
    ] {
        assert_eq!(parts.to_string(), name);
        assert!(parts.spki().is_err(), "{name}");
    }
}

fn octets() -> impl Strategy<Value = Option<Vec<u8>>> {
    let known = prop_oneof![
        Just(P256_PARAMS.to_vec()),
        Just(P384_PARAMS.to_vec()),
        Just(ED25519_NAME.to_vec()),
        Just(ED25519_OID.to_vec()),
        vec(any::<u8>(), 0..120),
        (0..7_usize).prop_map(|i| SAMPLES[i].spki.clone()),
    ];
    option::of(known)
}

fn kinds() -> impl Strategy<Value = Option<KeyType>> {
    option::of(prop_oneof![
        Just(KeyType::EC),
        Just(KeyType::EC_EDWARDS),
        Just(KeyType::RSA),
        Just(KeyType::ML_DSA),
        Just(KeyType::AES),
    ])
}

fn sets() -> impl Strategy<Value = Option<Set>> {
    option::of(prop_oneof![Just(Set::ML_DSA_44), Just(Set::ML_DSA_65), Just(Set::ML_DSA_87)])
}

proptest! {
    /// Whatever a token tells, nothing panics, and what comes out is a SubjectPublicKeyInfo.
    #[test]
    fn anything_is_read_or_refused(
        kind in kinds(),
        set in sets(),
        params in octets(),
        point in octets(),
        modulus in octets(),
        exponent in octets(),
        value in octets(),
        info in octets(),
    ) {
        let parts = Parts { kind, params, point, modulus, exponent, set, value, info };
        prop_assert!(!parts.to_string().is_empty());
        if let Ok(spki) = parts.spki() {
            prop_assert!(SubjectPublicKeyInfoRef::from_der(&spki).is_ok());
        }
        for algorithm in Algorithm::ALL {
            parts.may_be(*algorithm);
        }
    }

    /// A point of the right length is framed as it is, whether or not it lies on its curve.
    #[test]
    fn a_point_is_framed_unchanged(x in vec(any::<u8>(), 96), wide: bool) {
        let (params, length) = if wide { (P384_PARAMS, 96) } else { (P256_PARAMS, 64) };
        let point = [&[4], &x[..length]].concat();
        let (params, given) = (Some(params.to_vec()), Some(point.clone()));
        let parts = Parts { kind: Some(KeyType::EC), params, point: given, ..Parts::default() };
        let spki = parts.spki().unwrap();
        prop_assert!(spki.ends_with(&point));
    }
}
