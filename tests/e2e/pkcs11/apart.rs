//! The root on a token of its own, which is away most of the time.

use super::{key_uris, refusal, warned, warnings, with};
use crate::{
    pki::{Pki, eventually, ok},
    x509::Certificate,
};
use catalyst_rigs::{
    Launch, catalyst,
    checkers::openssl_verify,
    pkcs11::{Fault, Kryoptic, SoftHsm, TestToken},
};
use serde_json::json;
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};
use tempfile::TempDir;
use x509_cert::ext::pkix::CrlReason;

/// The root on a token of Kryoptic whose calls are counted, all else in SoftHSM.
struct Apart {
    beside: TempDir,
    data_dir: TempDir,
    root: Fault,
    everyday: TestToken,
}

impl Apart {
    fn new() -> Self {
        let root = Fault::before(&Kryoptic::new().unwrap().token().unwrap()).unwrap();
        let everyday = SoftHsm::new().unwrap().token().unwrap();
        let apart =
            Self { beside: TempDir::new().unwrap(), data_dir: TempDir::new().unwrap(), root, everyday };
        let token = apart.root.token();
        let settings = format!(
            "key_backend_root = \"pkcs11:root\"\nroot_credentials = {:?}\n[pkcs11.root]\nmodule = {:?}\ntoken = {:?}\n",
            apart.pin_file(),
            token.module,
            token.label
        );
        fs::write(apart.settings(), settings).unwrap();
        apart.bring_pin();
        apart
    }

    fn settings(&self) -> PathBuf {
        self.beside.path().join("settings.toml")
    }

    fn pin_file(&self) -> PathBuf {
        self.beside.path().join("root.pin")
    }

    fn bring_pin(&self) {
        fs::write(self.pin_file(), format!("{}\n", self.root.token().pin)).unwrap();
        fs::set_permissions(self.pin_file(), fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn take_pin_away(&self) {
        fs::remove_file(self.pin_file()).unwrap();
    }

    fn launch(&self) -> Launch {
        let launch =
            with(Launch::new(&catalyst().unwrap(), self.data_dir.path()), &self.everyday.variables());
        let launch = with(launch, &self.root.token().environment);
        launch.arg("--config").arg(self.settings().to_str().unwrap())
    }

    fn logins(&self) -> usize {
        self.root.counts("C_Login").unwrap()
    }
}

fn issues(pki: &Pki, instance: &str) {
    pki.issue("node", instance);
    pki.issue("envoy/app", instance);
}

fn file(directory: &Path, name: &str, text: &str) -> PathBuf {
    let path = directory.join(name);
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn a_root_on_a_token_of_its_own_is_logged_in_to_for_root_operations_alone() {
    let apart = Apart::new();
    let mut pki = Pki::start(apart.launch());
    assert_eq!(apart.logins(), 0);
    ok(&pki.post("/pki/initialize", &json!({})));
    let mut pki = {
        let made = apart.logins();
        assert!(made > 0);
        let uris = key_uris(&pki);
        let serial = |uri: &str| uri.split(';').next().unwrap().to_owned();
        assert_ne!(serial(&uris[0]), serial(&uris[1]), "{uris:?}");
        assert_eq!(serial(&uris[1]), serial(&uris[2]), "{uris:?}");
        // The everyday service: issue, deny, sign CRLs, end and start.
        pki = pki.ready();
        issues(&pki, "n1");
        pki.deny(&crate::pki::spiffe_id("node", "n1"), true);
        assert!(pki.service.stop().unwrap().success(), "{}", pki.service.log());
        let again = Pki::start(apart.launch()).ready();
        issues(&again, "n2");
        assert_eq!(apart.logins(), made, "{}", again.service.log());
        again
    };
    let before = apart.logins();
    let new = ok(&pki.post("/pki/intermediary", &json!({"commonName": "Catalyst Services CA v2"})));
    assert!(apart.logins() > before);
    eventually("the root's token to be logged out of", || {
        (apart.root.counts("C_Logout").unwrap() > 0).then_some(())
    });
    ok(&pki.post(&format!("/pki/ca/{}/activate", new["ski"].as_str().unwrap()), &json!({"now": true})));
    let issued = pki.issue("node", "n3");
    let bundle = file(apart.beside.path(), "bundle.pem", &pki.bundle());
    let leaf = file(apart.beside.path(), "leaf.pem", issued.answer["certificatePem"].as_str().unwrap());
    openssl_verify(&bundle, &leaf).unwrap();
    assert!(pki.service.stop().unwrap().success(), "{}", pki.service.log());
}

#[test]
fn an_absent_root_delays_no_certificate_and_comes_back_without_a_restart() {
    let apart = Apart::new();
    let mut first = Pki::initialized(apart.launch());
    issues(&first, "n1");
    assert!(first.service.stop().unwrap().success());
    apart.take_pin_away();
    apart.root.set(&["token away"]).unwrap();

    let pki = Pki::start(apart.launch()).ready();
    issues(&pki, "n2");
    assert_eq!(warnings(&pki), [""; 0]);
    let make = || pki.post("/pki/intermediary", &json!({"commonName": "Catalyst Services CA v2"}));
    let (status, _, sentence) = refusal(&make());
    assert_eq!(status, 503, "{sentence}");
    assert!(sentence.contains("pkcs11:root"), "{sentence}");
    // The token is back, its PIN is not.
    apart.root.set(&[]).unwrap();
    let sentence = eventually("a look at the PIN", || {
        let (_, code, sentence) = refusal(&make());
        (code == "key_refused_pin").then_some(sentence)
    });
    let pin_file = apart.pin_file();
    assert!(sentence.contains(pin_file.to_str().unwrap()) && sentence.contains("is not there"), "{sentence}");
    issues(&pki, "n3");

    // What only the root can sign waits for it, and status says so.
    let transport = Certificate::all(&pki.bundle()).remove(2);
    let ski = transport.key_id();
    ok(&pki.post(&format!("/pki/ca/{ski}/revoke"), &json!({"reason": "cACompromise"})));
    eventually("status to say that a CRL waits", || {
        warned(&pki, "Catalyst Root CA: a revocation waits for its CRL to be signed").then_some(())
    });
    pki.issue("node", "n4");

    apart.bring_pin();
    let new = ok(&make());
    assert_eq!(new["state"], "certified");
    let reason = eventually("the root's CRL", || pki.crl("root").reason_for(&transport.serial()));
    assert_eq!(reason, CrlReason::CaCompromise);
    pki.issue("node", "n5");
}
