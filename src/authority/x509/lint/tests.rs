//! Whatever single bit of the bytes is wrong, the lint sees it.

use super::*;
use crate::{
    authority::x509::{self, Signer},
    identity::{Serial, SpiffeId},
    store::{CrlEntry, RevocationReason},
};
use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    signature::{ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair},
};
use catalyst_signing::{KeyPin, KeyUri, SignatureAlgorithm};

const NOT_BEFORE: Timestamp = Timestamp::from_seconds(1_800_000_000);
const NOT_AFTER: Timestamp = Timestamp::from_seconds(1_900_000_000);

fn spki() -> Vec<u8> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).unwrap();
    let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
    spki.as_ref().to_vec()
}

fn pin() -> KeyPin {
    KeyPin {
        uri: KeyUri::parse("local:root-1").unwrap(),
        algorithm: SignatureAlgorithm::EcP384,
        spki: spki(),
    }
}

fn root_content(pin: &KeyPin) -> CaContent<'_> {
    CaContent {
        serial: Serial::random().unwrap(),
        common_name: "Root",
        spki: &pin.spki,
        path_length: 1,
        not_before: NOT_BEFORE,
        not_after: NOT_AFTER,
    }
}

/// A root certificate; its signature is never looked at here.
fn root(pin: &KeyPin) -> CaCertificate {
    let tbs = x509::ca_tbs(Signer { pin, certificate: None }, &root_content(pin)).unwrap();
    let algorithm = pin.algorithm.identifier_der();
    let body = [&tbs, algorithm, &[3, 2, 0, 0]].concat();
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    CaCertificate::from_der(&[&[0x30, 0x82, length[0], length[1]], body.as_slice()].concat()).unwrap()
}

/// Every copy of the bytes with one bit changed.
fn with_one_bit_flipped(bytes: &[u8]) -> impl Iterator<Item = (usize, Vec<u8>)> + '_ {
    (0..bytes.len() * 8).map(|bit| {
        let mut copy = bytes.to_vec();
        copy[bit / 8] ^= 1 << (bit % 8);
        (bit, copy)
    })
}

#[test]
fn no_altered_ca_tbs_passes() {
    let pin = pin();
    let content = root_content(&pin);
    let tbs = x509::ca_tbs(Signer { pin: &pin, certificate: None }, &content).unwrap();
    assert_eq!(ca_tbs(&tbs, &content, None, &pin), Ok(()));
    for (bit, altered) in with_one_bit_flipped(&tbs) {
        assert!(ca_tbs(&altered, &content, None, &pin).is_err(), "bit {bit}");
    }
}

#[test]
fn no_altered_svid_tbs_passes() {
    let (pin, key) = (pin(), spki());
    let root = root(&pin);
    let spiffe_id: SpiffeId = "spiffe://example.org/node/n1".parse().unwrap();
    let dns_names = ["n1".parse().unwrap()];
    let addresses = ["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
    for (common_name, ip_addresses) in [(Some("n1"), &addresses[..]), (Some("n1"), &[]), (None, &[])] {
        let content = SvidContent {
            serial: Serial::random().unwrap(),
            spiffe_id: &spiffe_id,
            common_name,
            dns_names: &dns_names,
            ip_addresses,
            spki: &key,
            not_before: NOT_BEFORE,
            not_after: NOT_BEFORE.plus_seconds(3600),
        };
        let tbs = x509::svid_tbs(Signer { pin: &pin, certificate: Some(&root) }, &content).unwrap();
        assert_eq!(svid_tbs(&tbs, &content, &root, &pin), Ok(()));
        for (bit, altered) in with_one_bit_flipped(&tbs) {
            assert!(svid_tbs(&altered, &content, &root, &pin).is_err(), "bit {bit}");
        }
        for others in [&addresses[..1], &[addresses[1], addresses[0]], &["192.0.2.2".parse().unwrap()]] {
            let content = SvidContent { ip_addresses: others, ..content };
            let expected = Err(LintError("other IP addresses".into()));
            assert_eq!(svid_tbs(&tbs, &content, &root, &pin), expected);
        }
        let later = SvidContent { not_after: NOT_AFTER.plus_seconds(1), ..content };
        let tbs = x509::svid_tbs(Signer { pin: &pin, certificate: Some(&root) }, &later).unwrap();
        assert_eq!(svid_tbs(&tbs, &later, &root, &pin), Err(LintError("outlives its issuer".into())));
    }
}

#[test]
fn no_altered_crl_tbs_passes() {
    let pin = pin();
    let root = root(&pin);
    let entry = |reason| CrlEntry { serial: Serial::random().unwrap(), revoked_at: NOT_BEFORE, reason };
    let entries = [entry(RevocationReason::CertificateHold), entry(RevocationReason::Unspecified)];
    for entries in [&entries[..], &[]] {
        let content = CrlContent {
            number: 1_800_000_001,
            this_update: NOT_BEFORE.plus_seconds(1),
            next_update: NOT_BEFORE.plus_seconds(86_400),
            entries,
        };
        let tbs = x509::crl_tbs(&root, pin.algorithm, &content).unwrap();
        assert_eq!(crl_tbs(&tbs, &content, &root, &pin), Ok(()));
        for (bit, altered) in with_one_bit_flipped(&tbs) {
            assert!(crl_tbs(&altered, &content, &root, &pin).is_err(), "bit {bit}");
        }
    }
}

#[test]
fn times_from_2050_are_generalized() {
    let pin = pin();
    let content = CaContent { not_after: Timestamp::from_seconds(2_600_000_000), ..root_content(&pin) };
    let tbs = x509::ca_tbs(Signer { pin: &pin, certificate: None }, &content).unwrap();
    assert_eq!(ca_tbs(&tbs, &content, None, &pin), Ok(()));
    assert!(tbs.windows(2).any(|tag| tag == [0x18, 15]), "a GeneralizedTime of 15 octets");
}
