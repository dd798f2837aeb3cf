//! Renewal by mutual TLS, and tokens that are bound to a certificate.

use crate::{
    credentials::stolen,
    https::{Https, Trust},
    pki::{Issued, Pki, eventually, ok, refused, spiffe_id},
    tls::{dev, shown_own},
    tokens::csr,
};
use catalyst_rigs::http::Response;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P384_SHA384, SanType};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer, pem::PemObject as _};
use serde_json::{Value, json};

/// A connection on which this certificate is proven.
pub(crate) fn connect(pki: &Pki, issued: &Issued) -> Https {
    Https::open(&pki.service, &Trust::holding(issued)).unwrap()
}

/// A CSR of a fresh key, asked to be signed on this connection.
fn ask(connection: &mut Https, service_type: &str, instance: &str) -> Response {
    let csr = csr(service_type, instance);
    connection
        .post("/pki/csr/sign", &json!({"csrPem": csr, "serviceType": service_type, "instanceId": instance}))
}

fn with_token(connection: &mut Https, token: &str) -> Response {
    let bearer = format!("Bearer {token}");
    connection.request("GET", "/pki/status", &[("authorization", &bearer)], b"").unwrap()
}

fn ski(pki: &Pki, role: &str) -> String {
    let cas = ok(&pki.get("/pki/ca"));
    let found = cas.as_array().unwrap().iter().find(|ca| ca["role"] == role).unwrap();
    found["ski"].as_str().unwrap().to_owned()
}

#[test]
fn a_certificate_renews_itself_over_mutual_tls_and_is_good_for_nothing_else() {
    let pki = dev();
    let first = pki.issue("node", "n1");
    let mut connection = connect(&pki, &first);
    let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let request = crate::csr::of(&key, &[&spiffe_id("node", "n1")], &[]);
    let body = json!({"csrPem": request, "serviceType": "node", "instanceId": "n1"});
    let second = Issued::of(key, ok(&connection.post("/pki/csr/sign", &body)));
    // Its successor does, and it goes on doing so while it lives.
    ok(&ask(&mut connect(&pki, &second), "node", "n1"));
    ok(&ask(&mut connection, "node", "n1"));
    for (service_type, instance) in [("node", "n2"), ("gateway", "n1"), ("auth", "n1"), ("envoy/app", "n1")] {
        refused(&ask(&mut connection, service_type, instance), 403, "permission_denied");
    }
    for path in ["/pki/status", "/pki/certificates", "/pki/audit", "/auth/tokens", "/auth/keys"] {
        let answer = connection.request("GET", path, &[], b"").unwrap();
        refused(&answer, 403, "permission_denied");
    }
    let keypair = json!({"serviceType": "node", "instanceId": "n1"});
    refused(&connection.post("/pki/keypair", &keypair), 403, "permission_denied");
    // What is said in the body is not what the certificate says.
    let claimed = json!({"csrPem": csr("node", "n2"), "serviceType": "node", "instanceId": "n1"});
    refused(&connection.post("/pki/csr/sign", &claimed), 422, "uri_mismatch");
    // One of `auth` renews nothing either: those are the service's own.
    let auth = pki.issue("auth", "auth-9");
    refused(&ask(&mut connect(&pki, &auth), "auth", "auth-9"), 403, "permission_denied");
    let records = ok(&pki.get("/pki/audit?action=certificate.issued"));
    let by = format!("svid:{}:{}", spiffe_id("node", "n1"), first.serial());
    assert!(records["records"].as_array().unwrap().iter().any(|record| record["actor"] == by));
}

#[test]
fn a_certificate_that_ends_or_is_revoked_ends_its_open_connection() {
    let pki = dev();
    let brief = {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
        let request = crate::csr::of(&key, &[&spiffe_id("node", "n1")], &[]);
        let body = json!({"csrPem": request, "serviceType": "node", "instanceId": "n1", "ttlSeconds": 4});
        Issued::of(key, ok(&pki.post("/pki/csr/sign", &body)))
    };
    let revoked = pki.issue("node", "n2");
    let held = pki.issue("node", "n3");
    let (mut of_brief, mut of_revoked, mut of_held) =
        (connect(&pki, &brief), connect(&pki, &revoked), connect(&pki, &held));
    for (connection, instance) in [(&mut of_brief, "n1"), (&mut of_revoked, "n2"), (&mut of_held, "n3")] {
        ok(&ask(connection, "node", instance));
    }
    ok(&pki.post(&format!("/pki/certificates/{}/revoke", revoked.serial()), &json!({})));
    refused(&ask(&mut of_revoked, "node", "n2"), 401, "certificate_gone");
    refused(&ask(&mut connect(&pki, &revoked), "node", "n2"), 401, "certificate_gone");
    // Denied: held; allowed again, the next renewal succeeds; compromised, never more.
    let id = spiffe_id("node", "n3");
    pki.deny(&id, false);
    refused(&ask(&mut of_held, "node", "n3"), 403, "identity_denied");
    pki.allow(&id);
    ok(&ask(&mut of_held, "node", "n3"));
    pki.deny(&id, true);
    refused(&ask(&mut of_held, "node", "n3"), 401, "certificate_gone");
    pki.allow(&id);
    refused(&ask(&mut of_held, "node", "n3"), 401, "certificate_gone");
    let expired = eventually("the end", || {
        Some(ask(&mut of_brief, "node", "n1")).filter(|answer| answer.status != 200)
    });
    refused(&expired, 401, "credential_expired");
    refused(&ask(&mut connect(&pki, &brief), "node", "n1"), 401, "credential_expired");
}

#[test]
fn a_certificate_of_a_revoked_ca_proves_nothing_on_an_open_connection_either() {
    let pki = dev();
    let issued = pki.issue("node", "n1");
    let transport = pki.issue("envoy/app", "n1");
    let (mut connection, mut other) = (connect(&pki, &issued), connect(&pki, &transport));
    ok(&ask(&mut connection, "node", "n1"));
    ok(&ask(&mut other, "envoy/app", "n1"));
    let before = ski(&pki, "services");
    let next = json!({"commonName": "Catalyst Services CA 2", "role": "services"});
    ok(&pki.post("/pki/intermediary", &next));
    ok(&pki.post(&format!("/pki/ca/{before}/revoke"), &json!({"reason": "cACompromise"})));
    refused(&ask(&mut connection, "node", "n1"), 401, "credential_invalid");
    refused(&ask(&mut connect(&pki, &issued), "node", "n1"), 401, "credential_invalid");
    ok(&ask(&mut other, "envoy/app", "n1"));
}

#[test]
fn a_certificate_that_is_not_one_of_ours_is_nobodys() {
    let pki = dev();
    let id = spiffe_id("node", "n1");
    pki.issue("node", "n1");
    let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::URI(id.as_str().try_into().unwrap())];
    let forged = params.self_signed(&key).unwrap();
    let self_signed =
        Trust::showing(forged.der().clone(), PrivatePkcs8KeyDer::from(key.serialize_der()).into());
    // Another deployment of the same name: the same words, another root.
    let elsewhere = Pki::first_dev();
    let foreign = Trust::holding(&elsewhere.issue("node", "n1"));
    // The CA's own certificate, in the hands of whoever stole its key.
    let bundle = pki.bundle();
    let services = CertificateDer::pem_slice_iter(bundle.as_bytes()).nth(1).unwrap().unwrap();
    let key = PrivateSec1KeyDer::from(stolen(&pki, "services-1.pem"));
    let ca = Trust::showing(services, key.into());
    for trust in [self_signed, foreign, ca] {
        let mut connection = Https::open(&pki.service, &trust).unwrap();
        refused(&ask(&mut connection, "node", "n1"), 401, "credential_invalid");
        // It takes nothing from who has a good token besides.
        assert_eq!(with_token(&mut connection, &pki.token).status, 200);
    }
    let mut nobody = Https::open(&pki.service, &Trust::anything()).unwrap();
    refused(&ask(&mut nobody, "node", "n1"), 401, "credential_missing");
}

#[test]
fn a_bound_token_works_with_its_certificate_and_no_other() {
    let pki = dev();
    shown_own(&pki.service);
    let (own, other) = (pki.issue("node", "n1"), pki.issue("node", "n2"));
    let fingerprint = |issued: &Issued| issued.answer["fingerprint"].as_str().unwrap().to_owned();
    let token = pki.mint("n1", "ADMIN", &json!({"certificateFingerprint": fingerprint(&own)}));
    let mut right = connect(&pki, &own);
    let mut wrong = connect(&pki, &other);
    let mut without = Https::open(&pki.service, &Trust::anything()).unwrap();
    // The order matters: the token is remembered after the first check, its binding is not.
    refused(&with_token(&mut wrong, &token), 401, "credential_invalid");
    assert_eq!(with_token(&mut right, &token).status, 200);
    refused(&with_token(&mut wrong, &token), 401, "credential_invalid");
    refused(&with_token(&mut without, &token), 401, "credential_invalid");
    let plain = pki.service.http().with_token(&token);
    refused(&plain.get("/pki/status").unwrap(), 401, "credential_invalid");
    let mismatch = "Certificate binding mismatch — cnf.x5t#S256 does not match TLS certificate";
    let line = pki.logged(mismatch, &fingerprint(&other));
    let said = |name: &str| line.property(name).map(str::to_owned);
    assert_eq!((line.level.as_str(), line.category.as_str()), ("warn", "catalyst.auth"));
    assert_eq!(
        ["token_thumbprint", "tls_cert_thumbprint", "subject", "action"].map(said),
        [
            Some(fingerprint(&own)),
            Some(fingerprint(&other)),
            Some("n1".to_owned()),
            Some("rejected".to_owned())
        ]
    );
    // With the certificate the token goes too, on the connection that is open.
    ok(&pki.post(&format!("/pki/certificates/{}/revoke", own.serial()), &json!({})));
    refused(&with_token(&mut right, &token), 401, "credential_revoked");
}

#[test]
fn a_revoked_token_is_dead_at_the_next_call_of_an_open_tls_connection() {
    let pki = dev();
    shown_own(&pki.service);
    let minted = ok(&pki.post("/auth/tokens", &crate::tokens::asking("ops", "ADMIN", &json!({}))));
    let token = minted["token"].as_str().unwrap();
    let mut connection = Https::open(&pki.service, &Trust::root_of(&pki.bundle())).unwrap();
    for _ in 0..3 {
        assert_eq!(with_token(&mut connection, token).status, 200);
    }
    ok(&pki.post("/auth/tokens/revoke", &json!({"jti": minted["jti"]})));
    refused(&with_token(&mut connection, token), 401, "credential_revoked");
}

/// A proof for one request is none for the connection, and no credential of the connection helps a bad one.
#[test]
fn whoever_says_something_is_judged_by_what_they_say() {
    let pki = dev();
    let issued = pki.issue("node", "n1");
    let mut connection = connect(&pki, &issued);
    for value in ["Bearer garbage", "Basic YTpi", "Bearer ", "Catalyst-Renew x"] {
        let body: Value = json!({"csrPem": csr("node", "n1"), "serviceType": "node", "instanceId": "n1"});
        let headers = [("authorization", value)];
        let body = body.to_string();
        let answer = connection.request("POST", "/pki/csr/sign", &headers, body.as_bytes()).unwrap();
        refused(&answer, 401, "credential_invalid");
    }
    ok(&ask(&mut connection, "node", "n1"));
}
