//! Hiccups of an HSM while clients ask.

use super::{ask, launch_services_on, refusal, warned};
use crate::{
    auth_cli::run,
    pki::{Pki, eventually, ok, verifies},
};
use catalyst_rigs::{
    Launch,
    pkcs11::{Fault, SoftHsm},
};
use serde_json::json;
use std::{thread, time::Duration};
use tempfile::TempDir;

/// A service whose services CA has its key on a token with faults.
pub(super) struct Faulty {
    pub(super) pki: Pki,
    pub(super) fault: Fault,
    _data_dir: TempDir,
}

impl Faulty {
    pub(super) fn new() -> Self {
        Self::with(|launch| launch)
    }

    fn with(settings: impl FnOnce(Launch) -> Launch) -> Self {
        let fault = Fault::before(&SoftHsm::new().unwrap().token().unwrap()).unwrap();
        let data_dir = TempDir::new().unwrap();
        let pki = Pki::initialized(settings(launch_services_on(data_dir.path(), fault.token())));
        Self { pki, fault, _data_dir: data_dir }
    }

    /// Each of so many clients gets so many certificates at once with the others, which verify.
    fn all_get(&self, clients: usize, each: usize) {
        let bundle = self.pki.bundle();
        thread::scope(|scope| {
            for client in 0..clients {
                let (pki, bundle) = (&self.pki, &bundle);
                scope.spawn(move || {
                    for number in 0..each {
                        let issued = pki.issue("node", &format!("c{client}-{number}"));
                        if client == 0 {
                            verifies(bundle, issued.answer["certificatePem"].as_str().unwrap());
                        }
                    }
                });
            }
        });
    }
}

#[test]
fn a_token_that_was_away_serves_again_without_a_restart() {
    let faulty = Faulty::new();
    let pki = &faulty.pki;
    faulty.all_get(4, 2);
    for _ in 0..2 {
        faulty.fault.set(&["token away"]).unwrap();
        let (status, code, sentence) = refusal(&ask(pki, "node", "n1"));
        assert_eq!((status, code.as_str()), (503, "key_store_unavailable"), "{sentence}");
        assert!(sentence.contains("pkcs11"), "{sentence}");
        assert!(warned(pki, "Catalyst Services CA: "), "{:?}", super::warnings(pki));
        pki.issue("envoy/app", "n1");
        faulty.fault.set(&[]).unwrap();
        eventually("the token to serve again", || (ask(pki, "node", "n1").status == 200).then_some(()));
        faulty.all_get(4, 2);
        assert_eq!(ok(&pki.get("/pki/status"))["warnings"], json!([]));
    }
}

#[test]
fn sessions_that_are_closed_when_they_are_idle_are_opened_again() {
    let faulty = Faulty::new();
    faulty.fault.set(&["sessions idle 200ms"]).unwrap();
    for _ in 0..4 {
        thread::sleep(Duration::from_millis(600));
        faulty.all_get(2, 1);
    }
    assert_eq!(ok(&faulty.pki.get("/pki/status"))["warnings"], json!([]));
}

#[test]
fn many_clients_share_the_few_sessions_that_a_token_has() {
    let faulty = Faulty::with(|launch| launch.env("CATALYST_PKI_PKCS11_SESSIONS", "32"));
    // It refuses the eleventh, whatever it says of itself.
    faulty.fault.set(&["C_OpenSession limit 10", "C_Sign delay 5ms"]).unwrap();
    faulty.all_get(64, 3);
    // And one that says so.
    faulty.fault.set(&["C_OpenSession limit 10", "C_GetTokenInfo sessions 10"]).unwrap();
    faulty.all_get(64, 1);
    assert_eq!(ok(&faulty.pki.get("/pki/status"))["warnings"], json!([]));
}

#[test]
fn a_device_that_fails_a_few_times_is_asked_again() {
    let faulty = Faulty::new();
    for code in ["CKR_DEVICE_ERROR", "CKR_SESSION_HANDLE_INVALID", "CKR_FUNCTION_FAILED"] {
        faulty.fault.set(&[&format!("C_Sign return {code} times 3")]).unwrap();
        faulty.all_get(1, 4);
    }
    assert_eq!(ok(&faulty.pki.get("/pki/status"))["warnings"], json!([]));
}

#[test]
fn a_wrong_signature_goes_to_nobody_and_latches_the_key_until_an_operator_acts() {
    let faulty = Faulty::new();
    let pki = &faulty.pki;
    // One may pass: it is thrown away and another one made.
    faulty.fault.set(&["C_Sign flip times 1"]).unwrap();
    faulty.all_get(1, 1);
    let recorded = pki.recorded();

    faulty.fault.set(&["C_Sign flip"]).unwrap();
    let (status, code, sentence) = refusal(&ask(pki, "node", "n1"));
    assert_eq!((status, code.as_str()), (500, "key_integrity"), "{sentence}");
    assert!(sentence.contains("does not verify"), "{sentence}");
    faulty.fault.set(&[]).unwrap();
    let signed = faulty.fault.counts("C_Sign").unwrap();
    for _ in 0..5 {
        let (status, code, _) = refusal(&ask(pki, "node", "n1"));
        assert_eq!((status, code.as_str()), (500, "key_integrity"));
        pki.issue("envoy/app", "n1");
    }
    assert_eq!(faulty.fault.counts("C_Sign").unwrap(), signed, "a latched key is not asked");
    assert_eq!(pki.recorded(), recorded + 5, "those of the other CA");
    assert!(warned(pki, "does not verify"), "{:?}", super::warnings(pki));

    let (code, stdout, stderr) = run(&pki.service, &["backend", "retry"]);
    assert_eq!(code, 0, "{stdout}{stderr}");
    faulty.all_get(2, 2);
    assert_eq!(ok(&pki.get("/pki/status"))["warnings"], json!([]));
}
