//! What others do to the token, and settings that lead nowhere: errors that say so, and all other CAs go on.

use super::{ask, launch_on, launch_services_on, private_keys, refusal, warned};
use crate::{
    auth_cli::run,
    pki::{Pki, eventually, ok},
};
use catalyst_rigs::pkcs11::{SoftHsm, TestToken};
use serde_json::json;
use std::process::Command;
use tempfile::TempDir;

fn softhsm_util(token: &TestToken, args: &[&str]) {
    let mut command = Command::new("softhsm2-util");
    let output = command.args(args).envs(token.environment.iter().cloned()).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_token_that_another_process_makes_anew_keeps_down_its_own_ca_alone() {
    let token = SoftHsm::new().unwrap().token().unwrap();
    let data_dir = TempDir::new().unwrap();
    let mut pki = Pki::initialized(launch_services_on(data_dir.path(), &token));
    pki.issue("node", "n1");
    let uri = super::key_uris(&pki)[1].clone();
    softhsm_util(&token, &["--delete-token", "--token", &token.label]);
    let init =
        ["--init-token", "--free", "--label", &token.label, "--pin", &token.pin, "--so-pin", "12345678"];
    softhsm_util(&token, &init);
    let refused = |pki: &Pki| {
        for number in 0..10 {
            let (status, _, sentence) = refusal(&ask(pki, "node", &format!("n{number}")));
            assert!([500, 503].contains(&status) && sentence.contains("pkcs11"), "{status}: {sentence}");
            pki.issue("envoy/app", &format!("n{number}"));
        }
        let (code, stdout, _) = run(&pki.service, &["backend", "retry", "pkcs11"]);
        assert!(code == 1 && stdout.contains("Catalyst Services CA"), "{stdout}");
        assert!(warned(pki, "Catalyst Services CA: "), "{:?}", super::warnings(pki));
    };
    refused(&pki);
    assert!(pki.service.stop().unwrap().success(), "{}", pki.service.log());
    let pki = Pki::start(launch_services_on(data_dir.path(), &token));
    refused(&pki);
    let (status, _, sentence) = refusal(&ask(&pki, "node", "n1"));
    let serial = uri.split(';').next().unwrap().rsplit('=').next().unwrap();
    assert!(status == 500 && sentence.contains(serial), "{status}, {serial}: {sentence}");

    // The way out: a new generation on the token as it is now.
    let new = ok(&pki.post("/pki/intermediary", &json!({"commonName": "Catalyst Services CA v2"})));
    let path = format!("/pki/ca/{}/activate", new["ski"].as_str().unwrap());
    ok(&pki.post(&path, &json!({"now": true})));
    assert_eq!(pki.issue("node", "n1").certificate.issuer_name(), "Catalyst Services CA v2");
    assert_eq!(private_keys(&token), 1);
}

#[test]
fn settings_that_lead_to_no_token_keep_down_its_own_ca_alone() {
    let token = SoftHsm::new().unwrap().token().unwrap();
    let data_dir = TempDir::new().unwrap();
    let mut pki = Pki::initialized(launch_services_on(data_dir.path(), &token));
    assert!(pki.service.stop().unwrap().success(), "{}", pki.service.log());
    for (setting, value) in [
        ("CATALYST_PKI_PKCS11_MODULE", "/nonexistent/module.so"),
        ("CATALYST_PKI_PKCS11_MODULE", token.pin_file.to_str().unwrap()),
        ("CATALYST_PKI_PKCS11_TOKEN", "no such token"),
    ] {
        let mut pki = Pki::start(launch_services_on(data_dir.path(), &token).env(setting, value));
        let sentence = eventually("a look at the token", || {
            let (status, _, sentence) = refusal(&ask(&pki, "node", "n1"));
            assert!([500, 503].contains(&status), "{status}: {sentence}");
            (!sentence.contains("has not answered yet")).then_some(sentence)
        });
        assert!(sentence.contains(setting) && sentence.contains(value), "{sentence}");
        assert!(warned(&pki, setting), "{:?}", super::warnings(&pki));
        pki.issue("envoy/app", "n1");
        assert!(pki.service.stop().unwrap().success(), "{}", pki.service.log());
    }
    Pki::start(launch_services_on(data_dir.path(), &token)).ready().issue("node", "n1");
}

#[test]
fn a_service_whose_every_key_is_on_a_token_that_is_away_still_serves_what_is_public() {
    let token = SoftHsm::new().unwrap().token().unwrap();
    let data_dir = TempDir::new().unwrap();
    let mut pki = Pki::initialized(launch_on(data_dir.path(), &token));
    let bundle = pki.bundle();
    assert!(pki.service.stop().unwrap().success());
    let launch =
        launch_on(data_dir.path(), &token).env("CATALYST_PKI_PKCS11_MODULE", "/nonexistent/module.so");
    let mut service = launch.start().unwrap();
    let ready = eventually("what is wrong", || {
        let ready = service.http().get("/ready").unwrap().json().unwrap();
        ready["signing"]
            .as_str()
            .filter(|said| said.contains("CATALYST_PKI_PKCS11_MODULE"))
            .map(str::to_owned)
    });
    assert!(ready.contains("/nonexistent/module.so"), "{ready}");
    for path in ["/pki/ca/bundle", "/pki/crl", "/.well-known/spiffe-bundle", "/health"] {
        assert_eq!(service.http().get(path).unwrap().status, 200, "{path}");
    }
    assert_eq!(service.http().get("/pki/ca/bundle").unwrap().text(), bundle);
    assert!(service.stop().unwrap().success(), "{}", service.log());
}
