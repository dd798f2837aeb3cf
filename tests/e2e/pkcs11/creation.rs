//! The making of keys that fails, is not answered, or is cut off: one key for each role, however often it is begun.

use super::{launch_on, private_keys, refusal};
use crate::pki::{Pki, eventually, ok};
use catalyst_rigs::pkcs11::{Fault, SoftHsm};
use serde_json::json;
use std::thread;
use tempfile::TempDir;

fn counted() -> Fault {
    Fault::before(&SoftHsm::new().unwrap().token().unwrap()).unwrap()
}

/// The hierarchy issues, and the token holds its keys, the token key and no other.
fn has_one_key_for_each_role(pki: &Pki, fault: &Fault) {
    pki.issue("node", "n1");
    pki.issue("envoy/app", "n1");
    assert_eq!(private_keys(fault.token()), 4);
    assert_eq!(ok(&pki.get("/pki/keys/unclaimed")), json!({"keys": [], "unread": []}));
}

#[test]
fn a_full_token_says_so_and_nothing_is_made_by_half() {
    let fault = counted();
    let data_dir = TempDir::new().unwrap();
    let pki = Pki::start(launch_on(data_dir.path(), fault.token()));
    assert_eq!(private_keys(fault.token()), 1, "the one that signs tokens");
    fault.set(&["C_GenerateKeyPair return CKR_DEVICE_MEMORY"]).unwrap();
    for _ in 0..2 {
        let (status, code, sentence) = refusal(&pki.post("/pki/initialize", &json!({})));
        assert_eq!((status, code.as_str()), (503, "key_store_unavailable"), "{sentence}");
        assert!(sentence.contains("the token may be full") && sentence.contains("pkcs11"), "{sentence}");
    }
    assert_eq!(private_keys(fault.token()), 1);
    assert_eq!(ok(&pki.get("/pki/status"))["status"], "uninitialized");
    assert_eq!(ok(&pki.get("/pki/ca")), json!([]));

    fault.set(&[]).unwrap();
    ok(&pki.post("/pki/initialize", &json!({})));
    let pki = pki.ready();
    pki.issue("node", "n1");
    assert_eq!(private_keys(fault.token()), 4);
    assert_eq!(ok(&pki.get("/pki/keys/unclaimed")), json!({"keys": [], "unread": []}));
}

#[test]
fn a_key_whose_making_was_not_answered_is_found_and_not_made_again() {
    let fault = counted();
    let data_dir = TempDir::new().unwrap();
    let pki = Pki::start(launch_on(data_dir.path(), fault.token()));
    for lost in 1..=3 {
        fault.set(&["generate-then-fail times 1"]).unwrap();
        let answer = pki.post("/pki/initialize", &json!({}));
        // As many answers are lost as keys are made; what was made is there each time.
        assert_eq!(private_keys(fault.token()), 1 + lost);
        let (status, _, sentence) = refusal(&answer);
        assert!(status == 503 && sentence.contains("CKR_DEVICE_ERROR"), "{status}: {sentence}");
    }
    fault.set(&[]).unwrap();
    ok(&pki.post("/pki/initialize", &json!({})));
    let pki = pki.ready();
    has_one_key_for_each_role(&pki, &fault);
}

/// What the service is about to do with a key when it is killed. It hangs there: SoftHSM itself leaves half an object
/// where it is killed while it writes one.
const MOMENTS: [Option<&str>; 5] =
    [None, Some("C_FindObjectsInit"), None, Some("C_FindObjectsInit"), Some("C_Sign")];

#[test]
fn an_initialization_that_is_killed_again_and_again_leaves_one_key_for_each_role() {
    let fault = counted();
    let data_dir = TempDir::new().unwrap();
    let count = |function: &str| fault.counts(function).unwrap();
    let mut first = Pki::start(launch_on(data_dir.path(), fault.token()));
    assert!(first.service.stop().unwrap().success(), "{}", first.service.log());
    for moment in MOMENTS {
        // What was begun is taken up at the start.
        fault.set(&["C_GenerateKeyPair hang"]).unwrap();
        let making = count("C_GenerateKeyPair");
        let mut pki = Pki::start(launch_on(data_dir.path(), fault.token()));
        let admin = pki.admin.clone();
        // Its answer never comes.
        let asked = thread::spawn(move || drop(admin.post("/pki/initialize", &json!({}))));
        eventually("a key that is about to be made", || (count("C_GenerateKeyPair") > making).then_some(()));
        if let Some(next) = moment {
            let before = count(next);
            fault.set(&[&format!("{next} hang")]).unwrap();
            eventually("a key that was made", || (count(next) > before).then_some(()));
        }
        pki.service.kill().unwrap();
        asked.join().unwrap();
        fault.set(&[]).unwrap();
    }
    let pki = Pki::start(launch_on(data_dir.path(), fault.token()));
    ok(&pki.post("/pki/initialize", &json!({})));
    let pki = pki.ready();
    has_one_key_for_each_role(&pki, &fault);
}
