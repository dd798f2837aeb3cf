//! What stands behind a CSR's signature: attributes of any content, properly signed, so that they are read.
#![no_main]

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use catalyst_pki::authority::x509::VerifiedCsr;
use der::{Encode as _, asn1::BitString};
use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;

/// `SEQUENCE { ecdsa-with-SHA256 }`
const ALGORITHM: [u8; 12] = [0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];

struct Signer {
    key: EcdsaKeyPair,
    spki: Vec<u8>,
}

fn signer() -> &'static Signer {
    static SIGNER: OnceLock<Signer> = OnceLock::new();
    SIGNER.get_or_init(|| {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let der: PublicKeyX509Der<'_> = key.public_key().as_der().unwrap();
        let spki = der.as_ref().to_vec();
        Signer { key, spki }
    })
}

fn framed(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut out = vec![tag];
    let length = content.len();
    match length {
        ..0x80 => out.push(length as u8),
        0x80..0x100 => out.extend([0x81, length as u8]),
        _ => out.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    out.extend(content);
    out
}

fuzz_target!(|attributes: &[u8]| {
    if attributes.len() > 8192 {
        return;
    }
    let Signer { key, spki } = signer();
    // Version 0, an empty subject, the key, and `[0]` with the attributes.
    let info = framed(0x30, &[&[2, 1, 0], &[0x30, 0], spki, &framed(0xa0, &[attributes])]);
    let signature = key.sign(&SystemRandom::new(), &info).unwrap();
    let signature = BitString::from_bytes(signature.as_ref()).unwrap().to_der().unwrap();
    if let Ok(csr) = VerifiedCsr::from_der(&framed(0x30, &[&info, &ALGORITHM, &signature])) {
        assert_eq!(csr.spki(), spki);
    }
});
