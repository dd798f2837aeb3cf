//! The PIN: given as rarely as can be, and one that was refused never again by itself.

use super::{ask, refusal, warned, with};
use crate::{
    auth_cli::run,
    pki::{Pki, eventually, launch_in, ok},
};
use catalyst_rigs::{
    Launch,
    pkcs11::{Fault, SoftHsm, TestToken},
};
use serde_json::json;
use std::{fs, path::Path};
use tempfile::TempDir;

const REQUESTS: usize = 10;

/// `catalyst serve` with the keys of all CAs on this token; credentials are checked without it.
fn launch(data_dir: &Path, token: &TestToken) -> Launch {
    with(launch_in(data_dir), &token.variables()).env("CATALYST_PKI_KEY_BACKEND_TOKENS", "local")
}

/// A service whose CAs have their keys on a token that counts calls.
fn counted() -> (TempDir, Fault, Pki) {
    let fault = Fault::before(&SoftHsm::new().unwrap().token().unwrap()).unwrap();
    let data_dir = TempDir::new().unwrap();
    let pki = Pki::initialized(launch(data_dir.path(), fault.token()));
    pki.issue("node", "n1");
    pki.issue("envoy/app", "n1");
    assert_eq!(fault.counts("C_Login").unwrap(), 1, "one login serves all keys and all sessions");
    (data_dir, fault, pki)
}

/// Waits until both CAs are refused because of the PIN, and asks them again and again; gives the sentence that says why.
fn refused(pki: &Pki, token: &TestToken) -> String {
    for service_type in ["node", "envoy/app"] {
        eventually("the key to be refused", || {
            let answer = ask(pki, service_type, "n1");
            (answer.status != 200 && refusal(&answer).1 == "key_refused_pin").then_some(())
        });
    }
    let mut sentence = String::new();
    for number in 0..REQUESTS {
        for service_type in ["node", "envoy/app"] {
            let (status, code, said) = refusal(&ask(pki, service_type, &format!("n{number}")));
            assert_eq!((status, code.as_str()), (500, "key_refused_pin"), "{said}");
            sentence = said;
        }
    }
    assert!(!sentence.contains(&token.pin) && !pki.service.log().contains(&token.pin));
    for ca in ["Catalyst Services CA: ", "Catalyst Transport CA: "] {
        assert!(warned(pki, ca), "{:?}", super::warnings(pki));
    }
    sentence
}

/// An operator has the keys tried again, and they sign.
fn retried(pki: &Pki) {
    let (code, stdout, stderr) = run(&pki.service, &["backend", "retry", "pkcs11"]);
    assert_eq!(code, 0, "{stdout}{stderr}");
    pki.issue("node", "n2");
    pki.issue("envoy/app", "n2");
    assert_eq!(ok(&pki.get("/pki/status"))["warnings"], json!([]));
}

/// An operator has the keys tried again, and they are refused again.
fn retried_in_vain(pki: &Pki) {
    let (code, stdout, _) = run(&pki.service, &["backend", "retry"]);
    assert!(code == 1 && stdout.contains("refused"), "{stdout}");
}

const WRONG: &str = "1111111111111111\n";

fn correct(token: &TestToken) {
    fs::write(&token.pin_file, format!("{}\n", token.pin)).unwrap();
}

#[test]
fn a_wrong_pin_is_given_once_and_again_only_when_an_operator_says_so() {
    let (data_dir, fault, mut pki) = counted();
    assert!(pki.service.stop().unwrap().success(), "{}", pki.service.log());
    let token = fault.token();
    let before = fault.counts("C_Login").unwrap();
    let logins = || fault.counts("C_Login").unwrap() - before;
    fs::write(&token.pin_file, WRONG).unwrap();
    let pki = Pki::start(launch(data_dir.path(), token));
    let sentence = refused(&pki, token);
    assert_eq!(logins(), 1);
    for part in ["CKR_PIN_INCORRECT", token.pin_file.to_str().unwrap(), "catalyst backend retry"] {
        assert!(sentence.contains(part), "'{part}' is not in: {sentence}");
    }
    // An operator who has corrected nothing has one more try, and no more.
    retried_in_vain(&pki);
    refused(&pki, token);
    assert_eq!(logins(), 2);

    correct(token);
    retried(&pki);
    assert_eq!(logins(), 3);
}

#[test]
fn a_pin_that_was_changed_while_the_token_was_away_is_given_once() {
    let (_data_dir, fault, pki) = counted();
    let token = fault.token();
    fs::write(&token.pin_file, WRONG).unwrap();
    pki.issue("node", "n1");
    assert_eq!(fault.counts("C_Login").unwrap(), 1, "nobody needs the PIN while the login holds");
    fault.set(&["token away"]).unwrap();
    assert_eq!(refusal(&ask(&pki, "node", "n1")).0, 503);
    fault.set(&[]).unwrap();
    refused(&pki, token);
    assert_eq!(fault.counts("C_Login").unwrap(), 2);
    correct(token);
    retried(&pki);
    assert_eq!(fault.counts("C_Login").unwrap(), 3);
}

#[test]
fn a_token_that_one_more_wrong_pin_would_lock_is_not_logged_in_to() {
    for (flag, says) in [
        ("USER_PIN_FINAL_TRY", "one more wrong PIN would lock the token"),
        ("USER_PIN_LOCKED", "the user PIN is locked"),
    ] {
        let (data_dir, fault, mut pki) = counted();
        assert!(pki.service.stop().unwrap().success(), "{}", pki.service.log());
        let before = fault.counts("C_Login").unwrap();
        fault.set(&[&format!("C_GetTokenInfo flags +{flag}")]).unwrap();
        let pki = Pki::start(launch(data_dir.path(), fault.token()));
        let sentence = refused(&pki, fault.token());
        assert!(sentence.contains(says), "{sentence}");
        retried_in_vain(&pki);
        assert_eq!(fault.counts("C_Login").unwrap(), before, "{flag}");

        fault.set(&[]).unwrap();
        retried(&pki);
        assert_eq!(fault.counts("C_Login").unwrap(), before + 1, "{flag}");
    }
}
