//! `catalyst backend check` on a token.

use super::{launch_on, objects, private_keys};
use crate::pki::{Pki, eventually};
use catalyst_rigs::{
    catalyst,
    pkcs11::{SoftHsm, TestToken},
};
use serde_json::{Value, json};
use std::{
    fs,
    process::{Command, Stdio},
};
use tempfile::TempDir;

/// Exit code, standard output and standard error of `catalyst backend check` with this token and what else is set.
fn check(token: &TestToken, args: &[&str], more: &[(&str, &str)]) -> (i32, String, String) {
    let directory = TempDir::new().unwrap();
    let mut command = Command::new(catalyst().unwrap());
    command.args(["backend", "check"]).args(args).current_dir(directory.path()).env_clear();
    command.envs(token.variables()).envs(more.iter().copied());
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    assert!(!format!("{stdout}{stderr}").contains(&token.pin), "{stdout}{stderr}");
    (output.status.code().unwrap(), stdout, stderr)
}

fn softhsm() -> TestToken {
    SoftHsm::new().unwrap().token().unwrap()
}

#[test]
fn a_check_shows_the_token_signs_and_leaves_nothing() {
    let token = softhsm();
    let (code, stdout, stderr) = check(&token, &[], &[]);
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    assert!(stdout.starts_with("[ok] Key store pkcs11\n"), "{stdout}");
    for part in [
        &format!("  token: {}\n", token.label),
        "  serial number: ",
        "ALGORITHM",
        "EC-P384",
        "  Probe key: pkcs11:serial=",
        "made for it and removed",
        "signed in ",
    ] {
        assert!(stdout.contains(part), "'{part}' is not in\n{stdout}");
    }
    assert!(!stdout.contains("ML-DSA-65   yes"), "{stdout}");

    let (code, stdout, stderr) = check(&token, &["pkcs11", "--output", "json"], &[]);
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    let seen: Value = serde_json::from_str(&stdout).unwrap();
    let store = &seen["backends"][0];
    assert_eq!(
        (&seen["passed"], &store["passed"], &store["problems"]),
        (&json!(true), &json!(true), &json!([]))
    );
    assert_eq!((&store["name"], &store["probe"]["made"]), (&json!("pkcs11"), &json!(true)));
    let p384 = store["capabilities"].as_array().unwrap().iter().find(|one| one["algorithm"] == "EC-P384");
    assert_eq!(p384.unwrap()["creates"], true);
    assert_eq!(objects(&token).len(), 0, "a probe key was left");
}

#[test]
fn the_whole_contract_is_tried_and_leaves_nothing() {
    let token = softhsm();
    let (code, stdout, stderr) = check(&token, &["--full", "--output", "json"], &[]);
    assert_eq!(code, 0, "{stdout}{stderr}");
    let seen: Value = serde_json::from_str(&stdout).unwrap();
    let rules = seen["backends"][0]["rules"].as_array().unwrap();
    let passed = rules.iter().filter(|rule| rule["verdict"] == "passed").count();
    assert!(passed > 10 && rules.iter().all(|rule| rule["verdict"] != "failed"), "{stdout}");
    assert_eq!(objects(&token).len(), 0, "keys of the suite were left");
}

#[test]
fn a_service_and_a_check_share_a_token_and_a_named_key() {
    let token = softhsm();
    let data_dir = TempDir::new().unwrap();
    let pki = Pki::initialized(launch_on(data_dir.path(), &token));
    let uri = super::key_uris(&pki)[1].clone();
    for _ in 0..3 {
        let (code, stdout, stderr) = check(&token, &["pkcs11", "--key", &uri], &[]);
        assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
        assert!(stdout.contains(&format!("Probe key: {uri} (EC-P384, as named)")), "{stdout}");
        pki.issue("node", "n1");
        let (code, stdout, stderr) = check(&token, &[], &[]);
        assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
        pki.issue("node", "n2");
    }
    assert_eq!((private_keys(&token), objects(&token).len()), (4, 8));
    let (code, _, stderr) = check(&token, &["pkcs11", "--key", "no such key"], &[]);
    assert!(code == 1 && stderr.contains("names no private key"), "{stderr}");
    pki.still_works();
}

#[test]
fn a_check_that_is_interrupted_takes_its_keys_away() {
    let token = softhsm();
    let directory = TempDir::new().unwrap();
    let mut command = Command::new(catalyst().unwrap());
    command.args(["backend", "check", "--full"]).current_dir(directory.path()).env_clear();
    command.envs(token.variables()).stdout(Stdio::null()).stderr(Stdio::piped());
    let running = command.spawn().unwrap();
    eventually("a key of the check", || (objects(&token).len() > 1).then_some(()));
    Command::new("kill").args(["-INT", &running.id().to_string()]).status().unwrap();
    let ended = running.wait_with_output().unwrap();
    let stderr = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("interrupted"), "{stderr}");
    assert_eq!(objects(&token).len(), 0, "{stderr}");
}

#[test]
fn a_pin_in_the_name_of_a_key_or_key_store_is_repeated_nowhere() {
    let token = softhsm();
    let data_dir = TempDir::new().unwrap();
    let pki = Pki::initialized(launch_on(data_dir.path(), &token));
    let digits = "77553311";
    for attribute in ["pin-value", "pin%2Dvalue", "PIN-VALUE", "pin-source"] {
        let typed = format!("pkcs11:object=a?{attribute}={digits}");
        let asked = [
            ("/pki/intermediary", json!({"commonName": "Services 2", "role": "services", "keyUri": typed})),
            ("/pki/intermediary", json!({"commonName": "Services 2", "role": "services", "backend": typed})),
            ("/pki/backends/retry", json!({"backend": typed})),
        ];
        for (path, body) in asked {
            let answer = pki.post(path, &body);
            let text = String::from_utf8_lossy(&answer.body);
            assert!((400..500).contains(&answer.status) && !text.contains(digits), "{path}: {text}");
        }
        let (code, stdout, stderr) = check(&token, &[&typed], &[]);
        assert!(code != 0 && !format!("{stdout}{stderr}").contains(digits), "{stdout}{stderr}");
    }
    assert!(!pki.service.log().contains(digits));
    pki.still_works();
}

#[test]
fn what_is_wrong_is_said_with_its_setting() {
    let token = softhsm();
    let beside = TempDir::new().unwrap();
    let wrong_pin = beside.path().join("pin");
    fs::write(&wrong_pin, "not this one\n").unwrap();
    Command::new("chmod").arg("600").arg(&wrong_pin).status().unwrap();
    let wrong_pin = wrong_pin.to_str().unwrap();
    let cases = [
        ("CATALYST_PKI_PKCS11_PIN_FILE", wrong_pin, ["CKR_PIN_INCORRECT", wrong_pin]),
        (
            "CATALYST_PKI_PKCS11_PIN_FILE",
            "/nonexistent/pin",
            ["the PIN file /nonexistent/pin", "is not there"],
        ),
        ("CATALYST_PKI_PKCS11_TOKEN", "no such token", ["CATALYST_PKI_PKCS11_TOKEN", "no such token"]),
        (
            "CATALYST_PKI_PKCS11_MODULE",
            "/nonexistent/module.so",
            ["CATALYST_PKI_PKCS11_MODULE", "/nonexistent/module.so"],
        ),
        ("CATALYST_PKI_PKCS11_MODULE", wrong_pin, ["CATALYST_PKI_PKCS11_MODULE", wrong_pin]),
    ];
    for (setting, value, says) in cases {
        let (code, stdout, stderr) = check(&token, &[], &[(setting, value)]);
        assert_eq!(code, 1, "{setting}={value}: {stdout}{stderr}");
        assert!(stderr.starts_with("error: pkcs11: "), "{stderr}");
        assert!(says.iter().all(|part| stderr.contains(part)), "{setting}={value}: {stderr}");
        let (code, stdout, _) = check(&token, &["--output", "json"], &[(setting, value)]);
        let seen: Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!((code, &seen["passed"]), (1, &json!(false)));
        assert_eq!(seen["backends"][0]["problems"].as_array().unwrap().len(), 1, "{stdout}");
    }
    assert_eq!(objects(&token).len(), 0);
}
