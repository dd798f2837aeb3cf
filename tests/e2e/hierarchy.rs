//! The hierarchy over HTTP, without `--dev`: made, added to, rolled over, revoked, and still there after a restart.

use crate::{
    csr,
    pki::{Pki, eventually, launch_in, ok, refused, spiffe_id},
    x509::Certificate,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use x509_cert::ext::pkix::CrlReason;

fn uninitialized() -> (TempDir, Pki) {
    let directory = TempDir::new().unwrap();
    let pki = Pki::start(launch_in(directory.path()));
    (directory, pki)
}

fn initialized() -> (TempDir, Pki) {
    let directory = TempDir::new().unwrap();
    let pki = Pki::initialized(launch_in(directory.path()));
    (directory, pki)
}

/// The CAs of the bundle by name.
fn bundle(pki: &Pki) -> Vec<String> {
    Certificate::all(&pki.bundle()).iter().map(|ca| ca.common_name().unwrap()).collect()
}

fn act(pki: &Pki, ca: &Value, action: &str, body: &Value) -> catalyst_rigs::http::Response {
    pki.post(&format!("/pki/ca/{}/{action}", ca["ski"].as_str().unwrap()), body)
}

fn intermediary(pki: &Pki, name: &str) -> Value {
    ok(&pki.post("/pki/intermediary", &json!({"commonName": name})))
}

#[test]
fn an_empty_store_waits_and_says_so() {
    let (_directory, pki) = uninitialized();
    let nobody = pki.service.http();
    assert_eq!(nobody.get("/health").unwrap().status, 200);
    let ready = nobody.get("/ready").unwrap();
    assert_eq!((ready.status, ready.json().unwrap()["ready"].clone()), (503, json!(false)));
    for path in ["/pki/ca/bundle", "/pki/crl", "/pki/crl/root", "/.well-known/spiffe-bundle"] {
        let sentence = refused(&nobody.get(path).unwrap(), 503, "not_initialized");
        assert!(sentence.contains("/pki/initialize"), "{sentence}");
    }
    let key = rcgen::KeyPair::generate().unwrap();
    let csr = csr::of(&key, &[&spiffe_id("node", "n1")], &[]);
    refused(&pki.sign("node", "n1", &csr), 503, "not_initialized");
    refused(
        &pki.post("/pki/keypair", &json!({"serviceType": "node", "instanceId": "n1"})),
        503,
        "not_initialized",
    );
    refused(&pki.post("/pki/intermediary", &json!({"commonName": "Services"})), 503, "not_initialized");
    let status = ok(&pki.get("/pki/status"));
    assert_eq!((&status["status"], &status["rootCa"]), (&json!("uninitialized"), &Value::Null));
    assert_eq!(ok(&pki.get("/pki/ca")), json!([]));
    // A denial holds before there is anything to deny.
    pki.deny(&spiffe_id("node", "n1"), false);
}

#[test]
fn initialize_without_a_word_makes_three_cas_once() {
    let (_directory, pki) = uninitialized();
    let initialize = |body: &[u8]| ok(&pki.admin.request("POST", "/pki/initialize", &[], body).unwrap());
    let made = initialize(b"");
    assert_eq!(made["success"], true);
    assert_eq!(bundle(&pki), ["Catalyst Root CA", "Catalyst Services CA", "Catalyst Transport CA"]);
    let cas = Certificate::all(&pki.bundle());
    let names = ["rootFingerprint", "servicesCaFingerprint", "transportCaFingerprint"];
    for (name, ca) in names.iter().zip(&cas) {
        assert_eq!(made[name], ca.fingerprint());
    }
    let days: Vec<u64> = cas.iter().map(|ca| (ca.validity().1 - ca.validity().0 - 60) / 86_400).collect();
    assert_eq!(days, [3650, 730, 730]);
    // Idempotent in each of the forms that say nothing.
    assert_eq!(initialize(b""), made);
    assert_eq!(initialize(b"{}"), made);
    assert_eq!(ok(&pki.get("/pki/ca")).as_array().unwrap().len(), 3);
    for body in [
        json!({"commonName": "Other"}),
        json!({"algorithm": "EC-P256"}),
        json!({"ttlDays": 30}),
        json!({"withIntermediates": false}),
    ] {
        refused(&pki.post("/pki/initialize", &body), 409, "conflict");
    }
    let pki = pki.ready();
    let status = ok(&pki.get("/pki/status"));
    assert_eq!((&status["status"], &status["warnings"]), (&json!("healthy"), &json!([])));
    assert_eq!(
        (&status["rootCa"]["algorithm"], &status["rootCa"]["keyUri"]),
        (&json!("EC-P384"), &json!("local:root-1"))
    );
    assert_eq!(status["intermediates"].as_array().unwrap().len(), 2);
    pki.still_works();
}

#[test]
fn initialize_refuses_what_no_ca_can_be() {
    let (_directory, pki) = uninitialized();
    for (body, code) in [
        (json!({"commonName": ""}), "invalid_request"),
        (json!({"commonName": " \t"}), "invalid_request"),
        (json!({"commonName": "x".repeat(65)}), "invalid_request"),
        (json!({"commonName": "a\nb"}), "invalid_request"),
        (json!({"commonName": "Catalyst Services CA", "withIntermediates": true}), "invalid_request"),
        (json!({"ttlDays": 0}), "invalid_request"),
        (json!({"ttlDays": 2}), "invalid_request"),
        (json!({"ttlDays": 36_501}), "invalid_request"),
        (json!({"algorithm": "EC-P521"}), "algorithm_unknown"),
        (json!({"algorithm": "ec-p384"}), "algorithm_unknown"),
        (json!({"algorithm": ""}), "algorithm_unknown"),
    ] {
        refused(&pki.post("/pki/initialize", &body), 422, code);
    }
    for body in
        [json!({"ttlDays": -1}), json!({"ttlDays": 1.5}), json!({"commonName": 1}), json!({"name": "x"})]
    {
        refused(&pki.post("/pki/initialize", &body), 400, "malformed_request");
    }
    assert_eq!(ok(&pki.get("/pki/status"))["status"], "uninitialized");
    ok(&pki.post("/pki/initialize", &json!({})));
}

#[test]
fn a_root_comes_first_and_each_network_when_it_is_wanted() {
    let (_directory, pki) = uninitialized();
    let made = ok(&pki.post("/pki/initialize", &json!({"commonName": "Acme Root CA", "ttlDays": 1000})));
    assert_eq!(
        (&made["servicesCaFingerprint"], &made["transportCaFingerprint"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(bundle(&pki), ["Acme Root CA"]);
    let csr = csr::of(&rcgen::KeyPair::generate().unwrap(), &[&spiffe_id("node", "n1")], &[]);
    refused(&pki.sign("node", "n1", &csr), 503, "no_issuer");
    assert_eq!(ok(&pki.get("/pki/status"))["status"], "degraded");

    for name in ["Acme CA", "Acme Services and Transport CA", "", &"Services ".repeat(10)] {
        refused(&pki.post("/pki/intermediary", &json!({"commonName": name})), 422, "invalid_request");
    }
    for (name, value) in [
        ("role", json!("root")),
        ("role", json!("Services")),
        ("ttlDays", json!(1)),
        ("backend", json!("nowhere")),
        ("algorithm", json!("RSA-2048")),
    ] {
        let mut body = json!({"commonName": "Acme Services CA"});
        body[name] = value;
        let code = if name == "algorithm" { "algorithm_unknown" } else { "invalid_request" };
        refused(&pki.post("/pki/intermediary", &body), 422, code);
    }
    // None of these keys can be used, and none of these requests stands in the way of the next.
    for (uri, status, code) in [
        ("local:services-7", 422, "invalid_request"),
        ("local:../certs.db", 422, "invalid_request"),
        ("local:root-1", 409, "conflict"),
    ] {
        let body = json!({"commonName": "Acme Services CA", "keyUri": uri});
        refused(&pki.post("/pki/intermediary", &body), status, code);
    }
    refused(
        &pki.post("/pki/intermediary", &json!({"commonName": "Acme Root CA", "role": "services"})),
        409,
        "conflict",
    );

    // The role is read from the name, in any case, or said.
    let services = intermediary(&pki, "Acme SERVICES CA");
    assert_eq!(
        (&services["role"], &services["state"], &services["generation"]),
        (&json!("services"), &json!("active"), &json!(1))
    );
    assert_eq!(services["chain"].as_array().unwrap().len(), 1);
    let certificate = Certificate::from_pem(services["certificatePem"].as_str().unwrap());
    assert_eq!(
        (certificate.issuer_name(), certificate.key_id()),
        ("Acme Root CA".into(), services["ski"].as_str().unwrap().into())
    );
    let body =
        json!({"commonName": "Acme Edge CA", "role": "transport", "algorithm": "EC-P256", "ttlDays": 90});
    let transport = ok(&pki.post("/pki/intermediary", &body));
    assert_eq!((&transport["role"], &transport["algorithm"]), (&json!("transport"), &json!("EC-P256")));
    assert_eq!(bundle(&pki), ["Acme Root CA", "Acme SERVICES CA", "Acme Edge CA"]);
    let pki = pki.ready();
    pki.issue("node", "n1");
    pki.issue("envoy/app", "n1");
    assert_eq!(ok(&pki.get("/pki/status"))["status"], "healthy");
}

#[test]
fn a_second_generation_waits_and_takes_over_without_an_outage() {
    let (_directory, pki) = initialized();
    let old_leaf = pki.issue("node", "n1");
    let old = ok(&pki.get("/pki/status"))["servicesCa"].clone();
    let version = |pki: &Pki| {
        let json = [("accept", "application/json")];
        ok(&pki.service.http().request("GET", "/pki/ca/bundle", &json, b"").unwrap())["version"]
            .as_i64()
            .unwrap()
    };
    let before = version(&pki);
    refused(&pki.post("/pki/intermediary", &json!({"commonName": "Catalyst Services CA"})), 409, "conflict");

    let new = intermediary(&pki, "Catalyst Services CA v2");
    assert_eq!((&new["state"], &new["generation"]), (&json!("certified"), &json!(2)));
    assert!(version(&pki) > before);
    assert_eq!(
        bundle(&pki),
        ["Catalyst Root CA", "Catalyst Services CA v2", "Catalyst Services CA", "Catalyst Transport CA"]
    );
    let sentence =
        refused(&pki.post("/pki/intermediary", &json!({"commonName": "Services v3"})), 409, "conflict");
    assert!(sentence.contains("Catalyst Services CA v2"), "{sentence}");
    // The other role is not held up.
    intermediary(&pki, "Catalyst Transport CA v2");

    assert_eq!(pki.issue("node", "n2").certificate.issuer_name(), "Catalyst Services CA");
    let sentence = refused(&act(&pki, &new, "activate", &json!({})), 409, "conflict");
    assert!(sentence.contains("24 hours"), "{sentence}");
    refused(&act(&pki, &new, "activate", &json!({"now": false})), 409, "conflict");
    assert_eq!(ok(&act(&pki, &new, "activate", &json!({"now": true})))["state"], "active");
    assert_eq!(pki.issue("node", "n2").certificate.issuer_name(), "Catalyst Services CA v2");
    assert_eq!(bundle(&pki).len(), 5);

    // Both CAs' CRLs are served, by key identifier; the role's is the active one's.
    pki.deny(&spiffe_id("node", "n1"), false);
    let ski = |ca: &Value| ca["ski"].as_str().unwrap().to_owned();
    assert_eq!(pki.crl(&ski(&old)).reason_for(old_leaf.serial()), Some(CrlReason::CertificateHold));
    assert_eq!(pki.crl("services").der, pki.crl(&ski(&new)).der);
    refused(&act(&pki, &new, "retire", &json!({})), 409, "conflict");
    let sentence = refused(&act(&pki, &old, "retire", &json!({})), 409, "conflict");
    assert!(sentence.contains("live until"), "{sentence}");
    // Back again, should the new one disappoint.
    ok(&act(&pki, &old, "activate", &json!({"now": true})));
    assert_eq!(pki.issue("node", "n3").certificate.issuer_name(), "Catalyst Services CA");
}

#[test]
fn a_ca_without_living_certificates_retires_out_of_the_bundle() {
    let (_directory, pki) = initialized();
    let old = ok(&pki.get("/pki/status"))["transportCa"].clone();
    let new = intermediary(&pki, "Catalyst Transport CA v2");
    ok(&act(&pki, &new, "activate", &json!({"now": true})));
    assert_eq!(ok(&act(&pki, &old, "retire", &json!({})))["state"], "retired");
    assert_eq!(bundle(&pki), ["Catalyst Root CA", "Catalyst Services CA", "Catalyst Transport CA v2"]);
    refused(&act(&pki, &old, "activate", &json!({"now": true})), 409, "conflict");
    let root = ok(&pki.get("/pki/status"))["rootCa"].clone();
    refused(&act(&pki, &root, "retire", &json!({})), 409, "conflict");
    refused(&act(&pki, &root, "revoke", &json!({})), 409, "conflict");
    pki.issue("envoy/app", "n1");
}

#[test]
fn a_revoked_ca_leaves_the_bundle_and_stands_on_the_roots_crl() {
    let (_directory, pki) = initialized();
    let ca = ok(&pki.get("/pki/status"))["transportCa"].clone();
    let certificate = Certificate::all(&pki.bundle()).remove(2);
    assert_eq!(pki.crl("root").entries(), []);
    let revoked = ok(&act(&pki, &ca, "revoke", &json!({"reason": "cACompromise"})));
    assert_eq!(revoked["state"], "revoked");
    assert_eq!(bundle(&pki), ["Catalyst Root CA", "Catalyst Services CA"]);
    let reason = eventually("the root's CRL", || pki.crl("root").reason_for(&certificate.serial()));
    assert_eq!(reason, CrlReason::CaCompromise);
    let csr = csr::of(&rcgen::KeyPair::generate().unwrap(), &[&spiffe_id("envoy/app", "n1")], &[]);
    refused(&pki.sign("envoy/app", "n1", &csr), 503, "no_issuer");
    refused(&act(&pki, &ca, "activate", &json!({"now": true})), 409, "conflict");
    // The other network goes on, and a new CA takes the place of the old one at once.
    pki.issue("node", "n1");
    let status = ok(&pki.get("/pki/status"));
    assert_eq!((&status["status"], &status["transportCa"]), (&json!("degraded"), &Value::Null));
    let new = intermediary(&pki, "Catalyst Transport CA v2");
    if new["state"] != "active" {
        ok(&act(&pki, &new, "activate", &json!({"now": true})));
    }
    pki.issue("envoy/app", "n1");
}

#[test]
fn a_restart_keeps_hierarchy_denials_and_crls() {
    let (directory, mut pki) = initialized();
    let issued = pki.issue("node", "n1");
    pki.deny(&spiffe_id("node", "n1"), false);
    let short =
        ok(&pki.post("/pki/intermediary", &json!({"commonName": "Brief Transport CA", "ttlDays": 100})));
    let seen = |pki: &Pki| {
        let json = [("accept", "application/json")];
        let bundle = ok(&pki.service.http().request("GET", "/pki/ca/bundle", &json, b"").unwrap());
        let crls = ["root", "services", "transport"].map(|role| pki.crl(role).der);
        (
            bundle,
            pki.bundle(),
            crls,
            ok(&pki.get("/pki/certificates")),
            ok(&pki.get("/pki/identities/denied")),
        )
    };
    let before = seen(&pki);
    assert!(pki.service.stop().unwrap().success());
    let again = Pki::start(launch_in(directory.path())).ready();
    assert!(seen(&again) == before, "something changed over the restart");
    let csr = csr::of(&issued.key, &[&spiffe_id("node", "n1")], &[]);
    refused(&again.sign("node", "n1", &csr), 403, "identity_denied");
    assert_eq!(
        ok(&again.post("/pki/initialize", &json!({})))["rootFingerprint"],
        Certificate::all(&again.bundle())[0].fingerprint()
    );
    again.issue("envoy/app", "n1");
    again.allow(&spiffe_id("node", "n1"));
    ok(&again.sign("node", "n1", &csr));
    let line = again.logged("CA certificate approaching expiry", "Brief Transport CA");
    assert_eq!((line.level.as_str(), line.property("fingerprint")), ("warn", short["fingerprint"].as_str()));
}
