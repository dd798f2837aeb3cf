//! A token that is bound to a certificate ends with it.

use crate::{
    https::Https,
    mutual_tls::connect,
    pki::{Issued, eventually, ok, refused, spiffe_id},
    tls::{dev, shown_own},
};
use rcgen::KeyPair;
use serde_json::json;

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
    let ask = |connection: &mut Https, token: &str| {
        let bearer = format!("Bearer {token}");
        connection.request("GET", "/pki/status", &[("authorization", bearer.as_str())], b"").unwrap()
    };
    assert_eq!(ask(&mut with, &token).status, 200);
    refused(&ask(&mut without, &token), 401, "credential_invalid");
    assert_eq!(pki.service.http().with_token(&token).get("/pki/status").unwrap().status, 401);
    pki.deny(&spiffe_id("node", "n1"), false);
    refused(&ask(&mut with, &token), 401, "credential_revoked");
    // One second of life: the token has an hour.
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let request = crate::csr::of(&key, &[&spiffe_id("node", "n3")], &[]);
    let body =
        json!({"csrPem": request, "serviceType": "node", "instanceId": "n3", "ttlSeconds": 2}).to_string();
    let brief =
        Issued::of(key, ok(&pki.admin.request("POST", "/pki/csr/sign", &[], body.as_bytes()).unwrap()));
    let token = bound(&brief);
    let mut connection = connect(&pki, &brief);
    let ended = eventually("the certificate's end", || {
        Some(ask(&mut connection, &token)).filter(|answer| answer.status == 401)
    });
    refused(&ended, 401, "credential_expired");
}
