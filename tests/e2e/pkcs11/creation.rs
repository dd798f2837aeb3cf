//! The making of keys that fails, is not answered, or is cut off: one key for each role, however often it is begun.

use super::{launch_on, private_keys, refusal};
use crate::pki::{Pki, eventually, ok};
use catalyst_rigs::{
    Seeded,
    pkcs11::{Fault, SoftHsm},
};
use serde_json::json;
use std::{thread, time::Duration};
use tempfile::TempDir;

/// Of how many lives of the service none sees the end of `pki init`.
const KILLS: usize = 4;

fn counted() -> Fault {
    Fault::before(&SoftHsm::new().unwrap().token().unwrap()).unwrap()
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
    pki.issue("node", "n1");
    pki.issue("envoy/app", "n1");
    assert_eq!(private_keys(fault.token()), 4);
    assert_eq!(ok(&pki.get("/pki/keys/unclaimed")), json!({"keys": [], "unread": []}));
}

#[test]
fn an_initialization_that_is_killed_again_and_again_leaves_one_key_for_each_role() {
    let mut random = Seeded::new();
    let fault = counted();
    let data_dir = TempDir::new().unwrap();
    for _ in 0..KILLS {
        // Slow enough that the end falls anywhere in the making of three keys.
        fault.set(&["C_GenerateKeyPair delay 150ms"]).unwrap();
        let mut pki = Pki::start(launch_on(data_dir.path(), fault.token()));
        let admin = pki.admin.clone();
        // Its answer may never come.
        let asked = thread::spawn(move || drop(admin.post("/pki/initialize", &json!({}))));
        thread::sleep(random.duration(Duration::from_millis(700)));
        pki.service.kill().unwrap();
        asked.join().unwrap();
    }
    fault.set(&[]).unwrap();
    let pki = Pki::start(launch_on(data_dir.path(), fault.token()));
    eventually("a whole hierarchy", || (pki.post("/pki/initialize", &json!({})).status == 200).then_some(()));
    let pki = pki.ready();
    pki.issue("node", "n1");
    pki.issue("envoy/app", "n1");
    assert_eq!(private_keys(fault.token()), 4);
    assert_eq!(ok(&pki.get("/pki/keys/unclaimed")), json!({"keys": [], "unread": []}));
}
