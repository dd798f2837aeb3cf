//! The first credential of a service: for one CSR, of one identity, once.

use crate::{
    deployment::Deployment,
    pki::{Issued, Pki, eventually, launch_in, ok, refused, spiffe_id},
    tokens::csr,
    x509::Certificate,
};
use catalyst_rigs::http::{Client, Response};
use rcgen::KeyPair;
use serde_json::{Value, json};
use std::thread;
use tempfile::TempDir;

const PRESET: &str = "a preshared bootstrap credential of 32 or more";

fn ask(client: &Client, instance: &str, csr: &str) -> Response {
    let body = json!({"csrPem": csr, "serviceType": "node", "instanceId": instance});
    client.post("/pki/csr/sign", &body).unwrap()
}

impl Pki {
    fn bootstrap(&self, more: &Value) -> Client {
        self.service.http().with_token(&self.mint("bootstrap", "NODE", more))
    }
}

/// Outside `--dev`.
fn production(home: &TempDir) -> Pki {
    Pki::initialized(launch_in(home.path()))
}

#[test]
fn a_credential_for_one_identity_serves_it_once_and_no_other() {
    let pki = Pki::dev();
    let client = pki.bootstrap(&json!({"spiffeId": spiffe_id("node", "n1")}));
    refused(&ask(&client, "n2", &csr("node", "n2")), 403, "permission_denied");
    // What was refused spends nothing.
    refused(&ask(&client, "n1", "garbage"), 400, "csr_malformed");
    let request = csr("node", "n1");
    let first = ok(&ask(&client, "n1", &request));
    // Its answer may have been lost: the same key gets the same certificate.
    let again = ok(&ask(&client, "n1", &request));
    assert_eq!(first["serial"], again["serial"]);
    assert_eq!((&first["certificatePem"], &first["chain"]), (&again["certificatePem"], &again["chain"]));
    refused(&ask(&client, "n1", &csr("node", "n1")), 401, "bootstrap_spent");
    refused(&client.get("/pki/status").unwrap(), 403, "permission_denied");
    refused(
        &client.post("/pki/keypair", &json!({"serviceType": "node", "instanceId": "n1"})).unwrap(),
        403,
        "permission_denied",
    );
    refused(
        &client.post("/auth/tokens", &crate::tokens::asking("a", "USER", &json!({}))).unwrap(),
        403,
        "permission_denied",
    );
}

#[test]
fn a_credential_for_any_identity_serves_as_often_as_was_said() {
    let home = TempDir::new().unwrap();
    let pki = production(&home);
    let client = pki.bootstrap(&json!({"anyIdentity": true, "uses": 2}));
    ok(&ask(&client, "n1", &csr("node", "n1")));
    // Whoever has a certificate renews with it.
    refused(&ask(&client, "n1", &csr("node", "n1")), 403, "identity_exists");
    ok(&ask(&client, "n2", &csr("node", "n2")));
    refused(&ask(&client, "n3", &csr("node", "n3")), 401, "bootstrap_spent");
    // With neither flag it is one for any identity, once, with a warning.
    let minted = ok(&pki.post("/auth/tokens", &crate::tokens::asking("bootstrap", "ADMIN", &json!({}))));
    assert_eq!(minted["warnings"].as_array().unwrap().len(), 2, "{minted}");
    let client = pki.service.http().with_token(minted["token"].as_str().unwrap());
    refused(&client.get("/pki/status").unwrap(), 403, "permission_denied");
    ok(&ask(&client, "n3", &csr("node", "n3")));
    refused(&ask(&client, "n4", &csr("node", "n4")), 401, "bootstrap_spent");
    // A bound one is for an identity that holds a certificate too: its disk may be gone.
    let bound = pki.bootstrap(&json!({"spiffeId": spiffe_id("node", "n1")}));
    ok(&ask(&bound, "n1", &csr("node", "n1")));
    let auth = json!({"spiffeId": spiffe_id("auth", "auth-2")});
    refused(
        &pki.post("/auth/tokens", &crate::tokens::asking("bootstrap", "NODE", &auth)),
        422,
        "invalid_request",
    );
    let any = pki.bootstrap(&json!({"anyIdentity": true}));
    let body = json!({"csrPem": csr("auth", "auth-2"), "serviceType": "auth", "instanceId": "auth-2"});
    refused(&any.post("/pki/csr/sign", &body).unwrap(), 403, "permission_denied");
}

#[test]
fn of_many_requests_at_once_as_many_are_served_as_was_said() {
    let pki = Pki::dev();
    let client = pki.bootstrap(&json!({"anyIdentity": true, "uses": 3}));
    let served = thread::scope(|scope| {
        let asked: Vec<_> = (0..12)
            .map(|n| {
                let client = client.clone();
                scope.spawn(move || ask(&client, &format!("n{n}"), &csr("node", &format!("n{n}"))).status)
            })
            .collect();
        asked.into_iter().map(|one| one.join().unwrap()).filter(|status| *status == 200).count()
    });
    assert_eq!(served, 3);
}

#[test]
fn a_used_credential_stays_used_after_a_restart() {
    let home = TempDir::new().unwrap();
    let mut pki = production(&home);
    let token = pki.mint("bootstrap", "NODE", &json!({"spiffeId": spiffe_id("node", "n1")}));
    let request = csr("node", "n1");
    let first = ok(&ask(&pki.service.http().with_token(&token), "n1", &request));
    pki.service.stop().unwrap();
    let pki = Pki::start(launch_in(home.path())).ready();
    let client = pki.service.http().with_token(&token);
    refused(&ask(&client, "n1", &csr("node", "n1")), 401, "bootstrap_spent");
    assert_eq!(ok(&ask(&client, "n1", &request))["serial"], first["serial"]);
    // Not when it was revoked meanwhile: neither the certificate nor the credential.
    ok(&pki.post(&format!("/pki/certificates/{}/revoke", first["serial"].as_str().unwrap()), &json!({})));
    assert_ne!(ask(&client, "n1", &request).status, 200);
}

#[test]
fn a_denied_identity_is_bootstrapped_by_nobody() {
    let pki = Pki::dev();
    let client = pki.bootstrap(&json!({"spiffeId": spiffe_id("node", "n1")}));
    pki.deny(&spiffe_id("node", "n1"), false);
    refused(&ask(&client, "n1", &csr("node", "n1")), 403, "identity_denied");
    pki.allow(&spiffe_id("node", "n1"));
    ok(&ask(&client, "n1", &csr("node", "n1")));
}

#[test]
fn the_preshared_credential_serves_any_number_until_its_time_has_run_over_restarts() {
    let home = TempDir::new().unwrap();
    let launch = |ttl: &str| {
        launch_in(home.path()).env("CATALYST_BOOTSTRAP_TOKEN", PRESET).env("CATALYST_BOOTSTRAP_TTL", ttl)
    };
    let mut pki = Pki::initialized(launch("3600000"));
    let client = pki.service.http().with_token(PRESET);
    for n in 1..4 {
        ok(&ask(&client, &format!("n{n}"), &csr("node", &format!("n{n}"))));
    }
    refused(&ask(&client, "n1", &csr("node", "n1")), 403, "identity_exists");
    refused(&client.get("/pki/status").unwrap(), 403, "permission_denied");
    pki.service.stop().unwrap();
    // Its time runs from when it was first seen.
    let mut pki = Pki::start(launch("1000")).ready();
    let client = pki.service.http().with_token(PRESET);
    refused(&ask(&client, "n9", &csr("node", "n9")), 401, "credential_expired");
    pki.service.stop().unwrap();
    let pki = Pki::start(launch("3600000")).ready();
    let client = pki.service.http().with_token(PRESET);
    ok(&ask(&client, "n9", &csr("node", "n9")));
    // It can be revoked by the name that the log gives it.
    let jti = pki.logged("Preshared bootstrap token in use", "preset:").property("jti").unwrap().to_owned();
    assert_eq!(ok(&pki.post("/auth/tokens/revoke", &json!({"jti": jti})))["revoked"], 1);
    refused(&ask(&client, "n10", &csr("node", "n10")), 401, "credential_revoked");
}

#[test]
fn a_preshared_credential_must_be_long_outside_dev() {
    let deployment = Deployment::production();
    let ended = deployment.launch().env("CATALYST_BOOTSTRAP_TOKEN", "dev-bootstrap-token").start();
    let text = format!("{:?}", ended.expect_err("a short credential is refused"));
    assert!(text.contains("CATALYST_BOOTSTRAP_TOKEN"), "{text}");
    let pki = Pki::dev_with(|launch| launch.env("CATALYST_BOOTSTRAP_TOKEN", "dev-bootstrap-token"));
    let client = pki.service.http().with_token("dev-bootstrap-token");
    ok(&ask(&client, "n1", &csr("node", "n1")));
    // In --dev an identity that holds a certificate is a warning.
    ok(&ask(&client, "n1", &csr("node", "n1")));
    pki.logged(
        "Bootstrap credential used for an identity that holds a certificate — refused outside --dev",
        "node/n1",
    );
}

#[test]
fn an_expired_credential_is_refused() {
    let pki = Pki::dev();
    let client = pki.bootstrap(&json!({"spiffeId": spiffe_id("node", "n1"), "expiresIn": "1s"}));
    eventually("the end", || {
        let answer = ask(&client, "n1", "garbage");
        (answer.status == 401).then(|| drop(refused(&answer, 401, "credential_expired")))
    });
}

impl Issued {
    /// A certificate that was brought by this answer for this key.
    pub(crate) fn of(key: KeyPair, answer: Value) -> Self {
        let certificate = Certificate::from_pem(answer["certificatePem"].as_str().unwrap());
        Self { key, answer, certificate }
    }
}
