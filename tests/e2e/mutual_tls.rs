//! Certificates that clients show: they renew themselves, and free tokens that are bound to them.

use crate::{
    https::{Https, Trust},
    pki::{Issued, Pki, ok, spiffe_id},
    tls::{dev, shown_own},
    tokens::csr,
};
use rcgen::{CertificateParams, KeyPair, SanType};
use serde_json::{Value, json};

fn connect(pki: &Pki, issued: &Issued) -> Https {
    let certificate = issued.answer["certificatePem"].as_str().unwrap();
    Https::open(&pki.service, &Trust::showing(certificate, &issued.key)).unwrap()
}

#[track_caller]
fn expect(answer: (u16, String), status: u16, code: &str) {
    assert_eq!(answer.0, status, "{}", answer.1);
    let body: Value = serde_json::from_str(&answer.1).unwrap();
    assert_eq!(body["code"].as_str().unwrap_or_default(), code);
}

fn renewal(instance: &str) -> String {
    json!({"csrPem": csr("node", instance), "serviceType": "node", "instanceId": instance}).to_string()
}

#[test]
fn a_certificate_renews_itself_and_is_looked_at_on_every_request() {
    let pki = dev();
    shown_own(&pki.service);
    let issued = pki.issue("node", "n1");
    let mut connection = connect(&pki, &issued);
    let mut renew = |instance| connection.ask("POST", "/pki/csr/sign", None, &renewal(instance)).unwrap();
    expect(renew("n1"), 200, "");
    expect(renew("n2"), 403, "permission_denied");
    pki.deny(&spiffe_id("node", "n1"), false);
    expect(renew("n1"), 403, "identity_denied");
    pki.allow(&spiffe_id("node", "n1"));
    expect(renew("n1"), 200, "");
    ok(&pki.post(&format!("/pki/certificates/{}/revoke", issued.serial()), &json!({})));
    expect(renew("n1"), 401, "certificate_gone");
    // Whoever writes the name into a certificate of their own is nobody.
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::URI(spiffe_id("node", "n1").try_into().unwrap())];
    let forged = params.self_signed(&key).unwrap().pem();
    let mut connection = Https::open(&pki.service, &Trust::showing(&forged, &key)).unwrap();
    let answer = connection.ask("POST", "/pki/csr/sign", None, &renewal("n1")).unwrap();
    expect(answer, 401, "credential_invalid");
}

#[test]
fn a_bound_token_needs_its_certificate_and_ends_with_it() {
    let pki = dev();
    shown_own(&pki.service);
    let (issued, other) = (pki.issue("node", "n1"), pki.issue("node", "n2"));
    let bound = |issued: &Issued| {
        pki.mint("someone", "ADMIN", &json!({"certificateFingerprint": issued.answer["fingerprint"]}))
    };
    let token = bound(&issued);
    let (mut with, mut without) = (connect(&pki, &issued), connect(&pki, &other));
    let ask =
        |connection: &mut Https, token: &str| connection.ask("GET", "/pki/status", Some(token), "").unwrap();
    expect(ask(&mut with, &token), 200, "");
    expect(ask(&mut without, &token), 401, "credential_invalid");
    assert_eq!(pki.service.http().with_token(&token).get("/pki/status").unwrap().status, 401);
    pki.deny(&spiffe_id("node", "n1"), false);
    expect(ask(&mut with, &token), 401, "credential_revoked");
    // One second of life: the token has an hour.
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let request = crate::csr::of(&key, &[&spiffe_id("node", "n3")], &[]);
    let body =
        json!({"csrPem": request, "serviceType": "node", "instanceId": "n3", "ttlSeconds": 2}).to_string();
    let brief =
        Issued::of(key, ok(&pki.admin.request("POST", "/pki/csr/sign", &[], body.as_bytes()).unwrap()));
    let token = bound(&brief);
    let mut connection = connect(&pki, &brief);
    std::thread::sleep(std::time::Duration::from_millis(2_500));
    expect(ask(&mut connection, &token), 401, "credential_expired");
}
