//! What a CSR must not be, and what it gets: a status, a code, a sentence, and nothing recorded.

use crate::{
    csr::{self, Openssl},
    pki::{DOMAIN, Pki, refused, spiffe_id},
};
use rcgen::KeyPair;
use serde_json::json;

fn p384() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap()
}

#[test]
fn what_is_no_csr_is_malformed() {
    let pki = Pki::dev();
    let good = csr::of(&p384(), &[&spiffe_id("node", "n1")], &[]);
    let der = csr::der(&good);
    let (half, longer) = (csr::pem(&der[..der.len() / 2]), csr::pem(&[der.as_slice(), &[0]].concat()));
    let huge = csr::pem(&vec![0x30; 20 * 1024]);
    for text in [
        "",
        "garbage",
        "-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n",
        "-----BEGIN CERTIFICATE REQUEST-----\nnot base64!\n-----END CERTIFICATE REQUEST-----\n",
        &good.replace("CERTIFICATE REQUEST", "CERTIFICATE"),
        &good.replace("CERTIFICATE REQUEST", "PRIVATE KEY"),
        &good[..good.len() / 2],
        &half,
        &longer,
        &huge,
    ] {
        refused(&pki.sign("node", "n1", text), 400, "csr_malformed");
    }
    let sentence = refused(&pki.sign("node", "n1", &csr::broken(&good)), 400, "csr_proof_of_possession");
    assert!(sentence.contains("sign it with the key"), "{sentence}");
    assert_eq!(pki.recorded(), 0);
    pki.still_works();
}

#[test]
fn a_request_that_was_altered_after_signing_proves_nothing() {
    let pki = Pki::dev();
    // Another identity of the same length in the place of the one that was signed.
    let der = csr::der(&csr::of(&p384(), &[&spiffe_id("node", "n1")], &[]));
    let at = der.windows(7).position(|window| window == b"/node/n").unwrap();
    let mut altered = der.clone();
    altered[at + 7] = b'2';
    refused(&pki.sign("node", "n2", &csr::pem(&altered)), 400, "csr_proof_of_possession");
    // A CA's public key in the place of the requester's own: nobody can sign for it.
    let ca = crate::x509::Certificate::all(&pki.bundle()).remove(1).spki();
    let own = p384();
    let mut der = csr::der(&csr::of(&own, &[&spiffe_id("node", "n1")], &[]));
    let spki = rcgen::PublicKeyData::subject_public_key_info(&own);
    let at = der.windows(spki.len()).position(|window| window == spki).unwrap();
    der[at..at + spki.len()].copy_from_slice(&ca);
    refused(&pki.sign("node", "n1", &csr::pem(&der)), 400, "csr_proof_of_possession");
    assert_eq!(pki.recorded(), 0);
    pki.still_works();
}

#[test]
fn only_keys_on_p_384_and_p_256_are_certified() {
    let pki = Pki::dev();
    let uri = format!("URI:{}", spiffe_id("node", "n1"));
    for kind in ["RSA", "ED25519", "EC:P-521", "EC:secp256k1", "EC:P-224", "EC:brainpoolP384r1"] {
        let digest = if kind == "ED25519" { "-sha512" } else { "-sha256" };
        let csr = Openssl::new(kind).digest(digest).names(&[&uri]).pem();
        let sentence = refused(&pki.sign("node", "n1", &csr), 422, "key_type_not_allowed");
        assert!(sentence.contains("P-384 or P-256"), "{kind}: {sentence}");
    }
    let sha1 = Openssl::new("EC:P-384").digest("-sha1").names(&[&uri]).pem();
    refused(&pki.sign("node", "n1", &sha1), 422, "csr_signature_algorithm");
    let sha224 = Openssl::new("EC:P-256").digest("-sha224").names(&[&uri]).pem();
    refused(&pki.sign("node", "n1", &sha224), 422, "csr_signature_algorithm");
    assert_eq!(pki.recorded(), 0);
    pki.still_works();
}

#[test]
fn a_csr_must_name_exactly_the_identity_that_is_asked_for() {
    let pki = Pki::dev();
    let ask = |uris: &[&str]| pki.sign("node", "n1", &csr::of(&p384(), uris, &[]));
    let own = spiffe_id("node", "n1");
    for uri in [
        "spiffe://other.example.com/node/n1".to_owned(),
        spiffe_id("node", "n2"),
        spiffe_id("gateway", "n1"),
        spiffe_id("envoy/app", "n1"),
        spiffe_id("node", "../node/n1"),
        spiffe_id("node", "./n1"),
        spiffe_id("node", "%6e1"),
        spiffe_id("node", "n1%00"),
        spiffe_id("node", "N1"),
        spiffe_id("Node", "n1"),
        own.to_uppercase(),
        own.replace("spiffe:", "SPIFFE:"),
        own.replace("spiffe:", "https:"),
        own.replace(DOMAIN, "catalyst.example.com:443"),
        own.replace(DOMAIN, "user@catalyst.example.com"),
        own.replace(DOMAIN, "CATALYST.example.com"),
        format!("{own}/"),
        format!("{own}?x=1"),
        format!("{own}#x"),
        format!("{own}/{}", "a".repeat(4000)),
        String::new(),
    ] {
        let sentence = refused(&ask(&[&uri]), 422, "uri_mismatch");
        assert!(sentence.contains(&own) && sentence.len() < 4096, "{sentence}");
    }
    refused(&ask(&[&own, &spiffe_id("node", "n2")]), 422, "uri_not_single");
    refused(&ask(&[&own, &own]), 422, "uri_not_single");
    refused(&ask(&[&own, "https://example.org/"]), 422, "uri_not_single");
    assert_eq!(pki.recorded(), 0);
    pki.still_works();
}

#[test]
fn only_names_of_the_identity_are_given() {
    let pki = Pki::dev();
    pki.issue("node", "taken.example.org");
    let ask = |service_type: &str, names: &[&str]| {
        let uri = format!("URI:{}", spiffe_id(service_type, "n1"));
        let names: Vec<_> = std::iter::once(uri.as_str()).chain(names.iter().copied()).collect();
        pki.sign(service_type, "n1", &Openssl::new("EC:P-384").names(&names).pem())
    };
    for name in [
        "DNS:taken.example.org",
        "DNS:example.org",
        "DNS:*.example.org",
        "DNS:*",
        "DNS:n1.",
        "DNS:N1",
        "DNS:localhost",
        "DNS:auth",
        "DNS:orch-n1",
        "DNS:127.0.0.1",
        "IP:127.0.0.1",
        "IP:::1",
        "email:a@example.org",
        "RID:1.2.3.4",
        "otherName:1.2.3.4;UTF8:x",
    ] {
        refused(&ask("node", &[name]), 422, "name_not_allowed");
    }
    refused(&ask("gateway", &["DNS:envoy-proxy-n1"]), 422, "name_not_allowed");
    assert_eq!(pki.recorded(), 1);
    pki.still_works();
}

#[test]
fn a_name_belongs_to_one_instance_id_of_whatever_type() {
    let pki = Pki::dev();
    // An instance is one name for all its types …
    pki.issue("node", "shared.example.org");
    pki.issue("gateway", "shared.example.org");
    // … and no second instance comes to it through an alias: `orch-a` is reserved as an instance id.
    pki.issue("orchestrator", "a.example.org");
    for instance in ["orch-a", "orch-a.example.org", "envoy-proxy-a", "auth", "localhost"] {
        let csr = csr::of(&p384(), &[&spiffe_id("node", instance)], &[]);
        let sentence = refused(&pki.sign("node", instance, &csr), 422, "identity_not_allowed");
        assert!(sentence.contains("reserved"), "{sentence}");
    }
    pki.still_works();
}

#[test]
fn identities_that_the_rules_do_not_know_are_refused() {
    let pki = Pki::dev();
    let csr = csr::of(&p384(), &[&spiffe_id("node", "n1")], &[]);
    for (service_type, instance) in [
        ("", "n1"),
        ("Node", "n1"),
        ("envoy", "n1"),
        ("envoy/app/", "n1"),
        ("node/../auth", "n1"),
        ("root", "n1"),
        ("node", ""),
        ("node", "N1"),
        ("node", "n_1"),
        ("node", "n1."),
        ("node", "a..b"),
        ("node", "../auth/n1"),
        ("node", "n1/x"),
        ("node", "%6e1"),
        ("node", "10.0.0.1"),
        ("node", "-n1"),
        ("node", "é"),
        ("node", "n1\0"),
        ("node", " n1"),
    ] {
        refused(&pki.sign(service_type, instance, &csr), 422, "identity_not_allowed");
        let body = json!({"serviceType": service_type, "instanceId": instance});
        refused(&pki.post("/pki/keypair", &body), 422, "identity_not_allowed");
    }
    let sentence = refused(&pki.sign("node", &"a".repeat(60_000), &csr), 422, "identity_not_allowed");
    assert!(sentence.len() < 1024, "an error repeats {} bytes of the request", sentence.len());
    assert_eq!(pki.recorded(), 0);
    pki.still_works();
}

#[test]
fn the_key_of_a_ca_or_of_tokens_is_never_certified() {
    let pki = Pki::dev();
    let uri = format!("URI:{}", spiffe_id("node", "n1"));
    for key in ["root-1.pem", "services-1.pem", "transport-1.pem", "token-1.pem"] {
        let csr = Openssl::with_key(&crate::credentials::stolen(&pki, key)).names(&[&uri]).pem();
        refused(&pki.sign("node", "n1", &csr), 422, "key_is_ca_key");
    }
    assert_eq!(pki.recorded(), 0);
    pki.still_works();
}

#[test]
fn a_key_serves_one_identity_and_never_again_after_its_revocation() {
    let pki = Pki::dev();
    let ask = |key: &KeyPair, instance: &str| {
        pki.sign("node", instance, &csr::of(key, &[&spiffe_id("node", instance)], &[]))
    };
    let live = pki.issue("node", "live");
    refused(&ask(&live.key, "thief"), 422, "key_in_use");
    let other_type = csr::of(&live.key, &[&spiffe_id("gateway", "live")], &[]);
    refused(&pki.sign("gateway", "live", &other_type), 422, "key_in_use");
    // A denied identity's key, by itself and by another.
    let denied = pki.issue("node", "denied");
    pki.deny(&spiffe_id("node", "denied"), false);
    assert_eq!(
        refused(&ask(&denied.key, "denied"), 403, "identity_denied"),
        format!("Identity denied: {}", spiffe_id("node", "denied"))
    );
    refused(&ask(&denied.key, "thief"), 422, "key_in_use");
    // A revoked certificate's key, by anybody and for ever.
    let revoked = pki.issue("node", "revoked");
    let path = format!("/pki/certificates/{}/revoke", revoked.serial());
    crate::pki::ok(&pki.post(&path, &json!({"reason": "superseded"})));
    refused(&ask(&revoked.key, "revoked"), 422, "key_revoked");
    refused(&ask(&revoked.key, "thief"), 422, "key_revoked");
    assert_eq!(pki.recorded(), 3);
    pki.still_works();
}
