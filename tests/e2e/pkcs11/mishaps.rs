//! What others do to the token, and settings that lead nowhere: errors that say so, and all other CAs go on.

use super::{ask, launch_on, launch_services_on, refusal, warned};
use crate::pki::{Pki, eventually, ok};
use catalyst_rigs::pkcs11::{SoftHsm, TestToken};
use std::process::Command;
use tempfile::TempDir;

fn softhsm_util(token: &TestToken, args: &[&str]) {
    let mut command = Command::new("softhsm2-util");
    let output = command.args(args).envs(token.environment.iter().cloned()).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_token_that_another_process_initialises_anew_keeps_down_its_own_ca_alone() {
    let token = SoftHsm::new().unwrap().token().unwrap();
    let data_dir = TempDir::new().unwrap();
    let mut pki = Pki::initialized(launch_services_on(data_dir.path(), &token));
    pki.issue("node", "n1");
    let uri = super::key_uris(&pki)[1].clone();
    softhsm_util(&token, &["--delete-token", "--token", &token.label]);
    let init =
        ["--init-token", "--free", "--label", &token.label, "--pin", &token.pin, "--so-pin", "12345678"];
    softhsm_util(&token, &init);
    // SoftHSM sees that within a process when it looks at its directory again; until then the key signs.
    for number in 0..10 {
        let answer = ask(&pki, "node", &format!("n{number}"));
        println!("DBG {} {}", answer.status, answer.text().chars().take(400).collect::<String>());
        if answer.status != 200 {
            let (status, _, sentence) = refusal(&answer);
            assert!([500, 503].contains(&status) && sentence.contains("pkcs11"), "{status}: {sentence}");
        }
        pki.issue("envoy/app", &format!("n{number}"));
    }
    assert!(pki.service.stop().unwrap().success(), "{}", pki.service.log());

    let again = Pki::start(launch_services_on(data_dir.path(), &token));
    let (status, _, sentence) = eventually("a look at the token", || {
        let refused = refusal(&ask(&again, "node", "n1"));
        (!refused.2.contains("has not answered yet")).then_some(refused)
    });
    assert_eq!(status, 500, "{sentence}");
    let serial = uri.split(';').next().unwrap().rsplit('=').next().unwrap();
    assert!(sentence.contains(serial), "{serial} is not in: {sentence}");
    assert!(warned(&again, "Catalyst Services CA: "), "{:?}", super::warnings(&again));
    again.issue("envoy/app", "n1");
    let (code, stdout, _) = crate::auth_cli::run(&again.service, &["backend", "retry", "pkcs11"]);
    assert!(code == 1 && stdout.contains("Catalyst Services CA"), "{stdout}");
    // The way out: a new generation on the token as it is now.
    let body = serde_json::json!({"commonName": "Catalyst Services CA v2"});
    let new = ok(&again.post("/pki/intermediary", &body));
    let path = format!("/pki/ca/{}/activate", new["ski"].as_str().unwrap());
    ok(&again.post(&path, &serde_json::json!({"now": true})));
    again.issue("node", "n1");
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
