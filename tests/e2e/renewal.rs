//! Renewal by a JWT that the certificate's key has signed for one CSR.

use crate::pki::{DOMAIN, Issued, Pki, launch_in, ok, refused, spiffe_id};
use aws_lc_rs::{
    digest,
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    },
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use catalyst_rigs::http::Response;
use rcgen::KeyPair;
use serde_json::{Value, json};
use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    time::{SystemTime, UNIX_EPOCH},
};
use tempfile::TempDir;

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

fn der(pem: &str) -> Vec<u8> {
    der::pem::decode_vec(pem.as_bytes()).unwrap().1
}

pub(crate) fn request(service_type: &str, instance: &str) -> (KeyPair, String) {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let csr = crate::csr::of(&key, &[&spiffe_id(service_type, instance)], &[]);
    (key, csr)
}

/// What a proof says of this CSR.
fn saying(csr: &str) -> Value {
    let hash = digest::digest(&digest::SHA256, &der(csr));
    let jti = URL_SAFE_NO_PAD.encode(rand());
    json!({"aud": DOMAIN, "csr": URL_SAFE_NO_PAD.encode(hash), "iat": now(), "exp": now() + 60, "jti": jti})
}

fn rand() -> [u8; 16] {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).unwrap();
    bytes
}

fn header(issued: &Issued, alg: &str) -> Value {
    let leaf = STANDARD.encode(der(issued.answer["certificatePem"].as_str().unwrap()));
    json!({"typ": "catalyst-renew+jwt", "alg": alg, "x5c": [leaf]})
}

fn signed(
    key: &KeyPair,
    algorithm: &'static EcdsaSigningAlgorithm,
    header: &Value,
    claims: &Value,
) -> String {
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let input = format!("{}.{}", part(header), part(claims));
    let key = EcdsaKeyPair::from_pkcs8(algorithm, &key.serialize_der()).unwrap();
    let signature = key.sign(&SystemRandom::new(), input.as_bytes()).unwrap();
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

pub(crate) fn proof(issued: &Issued, csr: &str) -> String {
    signed(&issued.key, &ECDSA_P384_SHA384_FIXED_SIGNING, &header(issued, "ES384"), &saying(csr))
}

pub(crate) fn renew(pki: &Pki, scheme: &str, proof: &str, instance: &str, csr: &str) -> Response {
    let body = json!({"csrPem": csr, "serviceType": "node", "instanceId": instance}).to_string();
    let header = format!("{scheme} {proof}");
    let headers = [("authorization", header.as_str())];
    pki.service.http().request("POST", "/pki/csr/sign", &headers, body.as_bytes()).unwrap()
}

pub(crate) const SCHEME: &str = "Catalyst-Renew";

/// Renews with the certificate that it has, again and again; gives the last one.
pub(crate) fn renews(
    pki: &Pki,
    first: Issued,
    instance: &str,
    count: &AtomicUsize,
    ended: &AtomicBool,
) -> Issued {
    let mut newest = first;
    while !ended.load(Relaxed) {
        let (key, csr) = request("node", instance);
        let answer = renew(pki, SCHEME, &proof(&newest, &csr), instance, &csr);
        newest = Issued::of(key, ok(&answer));
        count.fetch_add(1, Relaxed);
    }
    newest
}

/// Ends the clients, also where the test fails.
pub(crate) struct Ended<'a>(pub(crate) &'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[test]
fn a_certificate_renews_itself_and_its_successor_does() {
    let pki = Pki::dev();
    let first = pki.issue("node", "n1");
    let (key, csr) = request("node", "n1");
    let second = Issued::of(key, ok(&renew(&pki, SCHEME, &proof(&first, &csr), "n1", &csr)));
    let (_, csr) = request("node", "n1");
    ok(&renew(&pki, SCHEME, &proof(&second, &csr), "n1", &csr));
    // With the same key, if its holder keeps it; and on P-256.
    let p256 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let issued = pki.issue_for("node", "n2", p256);
    let csr = crate::csr::of(&issued.key, &[&spiffe_id("node", "n2")], &[]);
    let es256 =
        signed(&issued.key, &ECDSA_P256_SHA256_FIXED_SIGNING, &header(&issued, "ES256"), &saying(&csr));
    ok(&renew(&pki, SCHEME, &es256, "n2", &csr));
}

#[test]
fn a_proof_serves_once_for_its_csr_at_its_place() {
    let pki = Pki::dev();
    let issued = pki.issue("node", "n1");
    let (_, csr) = request("node", "n1");
    let proven = proof(&issued, &csr);
    let (_, another) = request("node", "n1");
    refused(&renew(&pki, SCHEME, &proven, "n1", &another), 401, "credential_invalid");
    let (_, other) = request("node", "n2");
    refused(&renew(&pki, SCHEME, &proof(&issued, &other), "n2", &other), 403, "permission_denied");
    // A bearer token it is nowhere.
    refused(&renew(&pki, "Bearer", &proven, "n1", &csr), 401, "credential_invalid");
    let value = format!("{SCHEME} {proven}");
    let headers = [("authorization", value.as_str())];
    for path in ["/pki/status", "/pki/certificates", "/auth/tokens", "/pki/audit"] {
        refused(&pki.service.http().request("GET", path, &headers, b"").unwrap(), 401, "credential_invalid");
    }
    let verdict = ok(&pki.post("/auth/tokens/verify", &json!({"token": proven})));
    assert_eq!(verdict["valid"], false);
    ok(&renew(&pki, SCHEME, &proven, "n1", &csr));
    refused(&renew(&pki, SCHEME, &proven, "n1", &csr), 401, "proof_used");
    // A token is no proof.
    refused(&renew(&pki, SCHEME, &pki.token, "n1", &csr), 401, "credential_invalid");
}

#[test]
fn a_proof_with_anything_wrong_is_refused() {
    let pki = Pki::dev();
    let issued = pki.issue("node", "n1");
    let stranger = pki.issue("node", "n2");
    let (_, csr) = request("node", "n1");
    let es384 = &ECDSA_P384_SHA384_FIXED_SIGNING;
    let good = header(&issued, "ES384");
    let with = |from: Value, name: &str, value: Value| {
        let mut json = from;
        json[name] = value;
        json
    };
    let saying = || saying(&csr);
    let claims = |name: &str, value: Value| signed(&issued.key, es384, &good, &with(saying(), name, value));
    let headed =
        |name: &str, value: Value| signed(&issued.key, es384, &with(good.clone(), name, value), &saying());
    let refused_as =
        |proof: &str, code: &str| drop(refused(&renew(&pki, SCHEME, proof, "n1", &csr), 401, code));
    for proof in [
        claims("aud", json!("other.example.com")),
        claims("aud", Value::Null),
        claims("csr", json!("")),
        claims("csr", json!(URL_SAFE_NO_PAD.encode([0; 32]))),
        claims("exp", json!(now() + 61 + 5)),
        claims("exp", json!(i64::MAX)),
        claims("iat", json!(now() + 3600)),
        claims("iat", json!(i64::MIN)),
        claims("jti", json!("")),
        claims("jti", json!("x".repeat(300))),
        claims("jti", Value::Null),
        headed("typ", json!("JWT")),
        headed("typ", Value::Null),
        headed("alg", json!("none")),
        headed("alg", json!("HS256")),
        headed("alg", json!("ES256")),
        headed("x5c", json!([])),
        headed("x5c", Value::Null),
        headed("x5c", json!(["AAAA"])),
        headed("x5c", header(&stranger, "ES384")["x5c"].clone()),
        // Signed by another key than the certificate's.
        signed(&stranger.key, es384, &good, &saying()),
        // A certificate that another CA made.
        {
            let other = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
            let mut params = rcgen::CertificateParams::default();
            params.subject_alt_names = vec![rcgen::SanType::URI(spiffe_id("node", "n1").try_into().unwrap())];
            let forged = params.self_signed(&other).unwrap();
            signed(
                &other,
                es384,
                &with(good.clone(), "x5c", json!([STANDARD.encode(forged.der())])),
                &saying(),
            )
        },
        "..".to_owned(),
        "x".repeat(20_000),
    ] {
        refused_as(&proof, "credential_invalid");
    }
    let expired = with(with(saying(), "iat", json!(now() - 61)), "exp", json!(now() - 1));
    refused_as(&signed(&issued.key, es384, &good, &expired), "credential_expired");
    ok(&renew(&pki, SCHEME, &proof(&issued, &csr), "n1", &csr));
}

#[test]
fn a_proof_that_served_is_used_after_a_crash_too() {
    let home = TempDir::new().unwrap();
    let mut pki = Pki::initialized(launch_in(home.path()));
    let issued = pki.issue("node", "n1");
    let (_, csr) = request("node", "n1");
    let (first, second) = (proof(&issued, &csr), proof(&issued, &csr));
    ok(&renew(&pki, SCHEME, &first, "n1", &csr));
    pki.service.kill().unwrap();
    let again = Pki::start(launch_in(home.path())).ready();
    let answer = renew(&again, SCHEME, &first, "n1", &csr);
    // Whoever is slow to start finds it expired, which is as good.
    assert!(answer.status == 401, "{}", answer.text());
    let code = answer.json().unwrap()["code"].clone();
    assert!(code == "proof_used" || code == "credential_expired", "{code}");
    let unused = renew(&again, SCHEME, &second, "n1", &csr);
    assert!(unused.status == 200 || code == "credential_expired", "{}", unused.text());
}

#[test]
fn a_revoked_or_held_certificate_proves_nothing() {
    let pki = Pki::dev();
    let (first, second) = (pki.issue("node", "n1"), pki.issue("node", "n1"));
    let (_, csr) = request("node", "n1");
    ok(&pki.post(&format!("/pki/certificates/{}/revoke", first.serial()), &json!({})));
    refused(&renew(&pki, SCHEME, &proof(&first, &csr), "n1", &csr), 401, "certificate_gone");
    pki.deny(&spiffe_id("node", "n1"), false);
    refused(&renew(&pki, SCHEME, &proof(&second, &csr), "n1", &csr), 403, "identity_denied");
    // Lifted, the next renewal succeeds.
    pki.allow(&spiffe_id("node", "n1"));
    ok(&renew(&pki, SCHEME, &proof(&second, &csr), "n1", &csr));
    // Compromised, it must bootstrap anew.
    pki.deny(&spiffe_id("node", "n1"), true);
    pki.allow(&spiffe_id("node", "n1"));
    refused(&renew(&pki, SCHEME, &proof(&second, &csr), "n1", &csr), 401, "certificate_gone");
}

/// Certificates are no secret: who has one and not its key is told neither of a denial nor of a revocation.
#[test]
fn a_certificate_without_its_key_tells_nothing() {
    let pki = Pki::dev();
    let (denied, revoked) = (pki.issue("node", "n1"), pki.issue("node", "n2"));
    pki.deny(&spiffe_id("node", "n1"), false);
    ok(&pki.post(&format!("/pki/certificates/{}/revoke", revoked.serial()), &json!({})));
    let thief = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    for (issued, instance) in [(&denied, "n1"), (&revoked, "n2")] {
        let (_, csr) = request("node", instance);
        let forged =
            signed(&thief, &ECDSA_P384_SHA384_FIXED_SIGNING, &header(issued, "ES384"), &saying(&csr));
        refused(&renew(&pki, SCHEME, &forged, instance, &csr), 401, "credential_invalid");
    }
}

#[test]
fn a_certificate_of_a_revoked_ca_proves_nothing() {
    let pki = Pki::dev();
    let issued = pki.issue("node", "n1");
    let cas = ok(&pki.get("/pki/ca"));
    let ski = |role: &str| {
        let found = cas.as_array().unwrap().iter().find(|ca| ca["role"] == role).unwrap();
        found["ski"].as_str().unwrap().to_owned()
    };
    ok(&pki.post("/pki/intermediary", &json!({"commonName": "Catalyst Services CA 2", "role": "services"})));
    ok(&pki.post(&format!("/pki/ca/{}/revoke", ski("services")), &json!({"reason": "cACompromise"})));
    let (_, csr) = request("node", "n1");
    refused(&renew(&pki, SCHEME, &proof(&issued, &csr), "n1", &csr), 401, "credential_invalid");
}
