//! `/rpc` over TLS: credentials bound to the connection's certificate, and sockets that end with it.

use crate::{
    https::{Https, Trust},
    mutual_tls::connect,
    pki::{Issued, Pki, ok, refused, spiffe_id},
    rpc::Rpc,
    tls::{dev, shown_own},
};
use serde_json::json;

fn socket(pki: &Pki, issued: &Issued) -> Rpc<impl std::io::Read + std::io::Write + use<>> {
    Rpc::over(connect(pki, issued).into_stream(), &[]).unwrap()
}

fn bound(pki: &Pki, issued: &Issued) -> String {
    pki.mint("someone", "ADMIN", &json!({"certificateFingerprint": issued.answer["fingerprint"]}))
}

#[test]
fn a_socket_over_tls_takes_a_bound_token_with_its_certificate_and_no_other() {
    let pki = dev();
    shown_own(&pki.service);
    let (own, other) = (pki.issue("node", "n1"), pki.issue("node", "n2"));
    let token = bound(&pki, &own);
    let nothing = json!({});
    let answer = socket(&pki, &own).first_call("pki", &token, "listDenied", &nothing);
    assert_eq!(answer, json!(["resolve", 2, [[]]]));
    let root = Trust::root_of(&pki.bundle());
    let mut unproven = Rpc::over(Https::open(&pki.service, &root).unwrap().into_stream(), &[]).unwrap();
    for answer in [
        socket(&pki, &other).first_call("pki", &token, "listDenied", &nothing),
        unproven.first_call("pki", &token, "listDenied", &nothing),
        Rpc::open(&pki.service).first_call("pki", &token, "listDenied", &nothing),
    ] {
        assert_eq!(answer[0], "reject", "{answer}");
        assert_eq!(answer[2][1], "TypeError");
    }
    // A certificate alone is no credential here: entry points take tokens.
    let mut alone = socket(&pki, &own);
    alone.send(r#"["push",["pipeline",0,["pki"],[""]]]"#);
    alone.send(r#"["pull",1]"#);
    assert_eq!(alone.hear().unwrap()[2], json!({"error": "Invalid token"}));
    // Over HTTP/2 there is no upgrade.
    let mut request = Https::open(&pki.service, &root).unwrap();
    refused(&request.request("GET", "/rpc", &[], b"").unwrap(), 426, "websocket_expected");
}

#[test]
fn a_denied_identity_loses_its_open_sockets_at_the_next_call() {
    let pki = dev();
    shown_own(&pki.service);
    let nothing = json!({});
    // Bound to the certificate, or any other token on its connection.
    let denied = pki.issue("node", "n1");
    let mut with_bound = socket(&pki, &denied);
    with_bound.first_call("pki", &bound(&pki, &denied), "listDenied", &nothing);
    let mut with_another = socket(&pki, &denied);
    with_another.first_call("pki", &pki.token, "listDenied", &nothing);
    let other = pki.issue("node", "n2");
    let mut unconcerned = socket(&pki, &other);
    unconcerned.first_call("pki", &pki.token, "listDenied", &nothing);
    pki.deny(&spiffe_id("node", "n1"), false);
    for mut socket in [with_bound, with_another] {
        let answer = socket.call(3, "listDenied", &nothing);
        assert_eq!((&answer[0], &answer[2][2]), (&json!("reject"), &json!("Invalid token")));
        let reason = socket.abort();
        assert!(reason.contains("its identity is denied"), "{reason}");
    }
    assert_eq!(unconcerned.call(3, "listDenied", &nothing)[0], "resolve");
    // Allowed again, it comes back.
    pki.allow(&spiffe_id("node", "n1"));
    assert_eq!(socket(&pki, &denied).first_call("pki", &pki.token, "listDenied", &nothing)[0], "resolve");
}

#[test]
fn a_revoked_certificate_ends_its_socket_and_a_bootstrap_credential_that_of_a_denied_identity() {
    let pki = dev();
    shown_own(&pki.service);
    let issued = pki.issue("node", "n1");
    let mut open = socket(&pki, &issued);
    open.first_call("pki", &pki.token, "listDenied", &json!({}));
    ok(&pki.post(&format!("/pki/certificates/{}/revoke", issued.serial()), &json!({})));
    assert_eq!(open.call(3, "listDenied", &json!({}))[0], "reject");
    assert!(open.abort().contains("was revoked"));
    let id = spiffe_id("node", "n9");
    let bootstrap = pki.mint("bootstrap", "NODE", &json!({"spiffeId": id}));
    pki.deny(&id, false);
    let mut socket = Rpc::open(&pki.service);
    let argument =
        json!({"csrPem": crate::tokens::csr("node", "n9"), "serviceType": "node", "instanceId": "n9"});
    let answer = socket.first_call("pki", &bootstrap, "signCsr", &argument);
    assert_eq!((&answer[2]["success"], &answer[2]["code"]), (&json!(false), &json!("identity_denied")));
    assert!(socket.abort().contains("denied"));
}
