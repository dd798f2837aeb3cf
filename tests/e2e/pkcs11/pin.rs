//! The PIN: given as rarely as can be, and one that was refused never again by itself.

use super::{ask, launch_services_on, refusal, warned};
use crate::{
    auth_cli::run,
    pki::{Pki, eventually, ok},
};
use catalyst_rigs::pkcs11::{Fault, SoftHsm, TestToken};
use serde_json::json;
use std::fs;
use tempfile::TempDir;

const REQUESTS: usize = 10;

/// A stopped service whose services CA has its key on a token that counts calls.
fn stopped() -> (TempDir, Fault) {
    let fault = Fault::before(&SoftHsm::new().unwrap().token().unwrap()).unwrap();
    let data_dir = TempDir::new().unwrap();
    let mut pki = Pki::initialized(launch_services_on(data_dir.path(), fault.token()));
    pki.issue("node", "n1");
    assert_eq!(fault.counts("C_Login").unwrap(), 1, "one login serves all sessions");
    assert!(pki.service.stop().unwrap().success(), "{}", pki.service.log());
    (data_dir, fault)
}

/// A service of that directory whose services CA is refused because of the PIN; the sentence that says why.
fn refused(data_dir: &TempDir, token: &TestToken) -> (Pki, String) {
    let pki = Pki::start(launch_services_on(data_dir.path(), token));
    eventually("the key to be refused", || {
        let refused = refusal(&ask(&pki, "node", "n1"));
        (refused.1 == "key_refused_pin").then_some((refused.0, refused.2))
    });
    let mut sentence = String::new();
    for number in 0..REQUESTS {
        let (status, code, said) = refusal(&ask(&pki, "node", &format!("n{number}")));
        assert_eq!((status, code.as_str()), (500, "key_refused_pin"), "{said}");
        pki.issue("envoy/app", &format!("n{number}"));
        sentence = said;
    }
    assert!(!sentence.contains(&token.pin) && !pki.service.log().contains(&token.pin));
    assert!(warned(&pki, "Catalyst Services CA: "), "{:?}", super::warnings(&pki));
    (pki, sentence)
}

#[test]
fn a_wrong_pin_is_given_once_and_again_only_when_an_operator_says_so() {
    let (data_dir, fault) = stopped();
    let token = fault.token();
    let logins = || fault.counts("C_Login").unwrap();
    let before = logins();
    fs::write(&token.pin_file, "1111111111111111\n").unwrap();
    let (pki, sentence) = refused(&data_dir, token);
    assert_eq!(logins() - before, 1);
    for part in ["CKR_PIN_INCORRECT", token.pin_file.to_str().unwrap(), "catalyst backend retry"] {
        assert!(sentence.contains(part), "'{part}' is not in: {sentence}");
    }
    // An operator who has corrected nothing has one more try, and no more.
    let (code, stdout, _) = run(&pki.service, &["backend", "retry"]);
    assert!(code == 1 && stdout.contains("refused"), "{stdout}");
    for _ in 0..REQUESTS {
        refusal(&ask(&pki, "node", "n1"));
    }
    assert_eq!(logins() - before, 2);

    fs::write(&token.pin_file, format!("{}\n", token.pin)).unwrap();
    let (code, stdout, stderr) = run(&pki.service, &["backend", "retry", "pkcs11"]);
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert_eq!(logins() - before, 3);
    pki.issue("node", "n2");
    assert_eq!(ok(&pki.get("/pki/status"))["warnings"], json!([]));
}

#[test]
fn a_token_that_one_more_wrong_pin_would_lock_is_not_logged_in_to() {
    for (flag, says) in [
        ("USER_PIN_FINAL_TRY", "one more wrong PIN would lock the token"),
        ("USER_PIN_LOCKED", "the user PIN is locked"),
    ] {
        let (data_dir, fault) = stopped();
        let before = fault.counts("C_Login").unwrap();
        fault.set(&[&format!("C_GetTokenInfo flags +{flag}")]).unwrap();
        let (pki, sentence) = refused(&data_dir, fault.token());
        assert!(sentence.contains(says), "{sentence}");
        let (code, stdout, _) = run(&pki.service, &["backend", "retry"]);
        assert!(code == 1 && stdout.contains("refused"), "{stdout}");
        assert_eq!(fault.counts("C_Login").unwrap(), before, "{flag}");

        fault.set(&[]).unwrap();
        let (code, stdout, stderr) = run(&pki.service, &["backend", "retry"]);
        assert_eq!(code, 0, "{stdout}{stderr}");
        pki.issue("node", "n2");
        assert_eq!(fault.counts("C_Login").unwrap(), before + 1, "{flag}");
    }
}
