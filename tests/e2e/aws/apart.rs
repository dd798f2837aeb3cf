//! The root's key behind credentials of its own, which are away most of the time.

use super::{id, key_uris, launch_on, refusal, warnings};
use crate::{
    aws_credentials::{Asked, ROLE, stand_in},
    pki::{Pki, ok},
};
use catalyst_rigs::{
    Launch,
    aws::{Call, FaultProxy},
    checkers::openssl_verify,
};
use serde_json::json;
use std::{fs, path::PathBuf, sync::Arc};
use tempfile::TempDir;

const PROFILE: &str = "[root]\naws_access_key_id = AKIDOFROOT\naws_secret_access_key = secret-of-root\n";

struct Apart {
    beside: TempDir,
    data_dir: TempDir,
    proxy: FaultProxy,
    sts: (String, Arc<Asked>),
}

impl Apart {
    fn new(credentials: &str) -> Self {
        let proxy = FaultProxy::at_hand().unwrap();
        let beside = TempDir::new().unwrap();
        let apart = Self { beside, data_dir: TempDir::new().unwrap(), proxy, sts: stand_in() };
        let settings = format!(
            "key_backend_root = 'aws-kms:root'\nroot_credentials = '{credentials}'\n\
             [aws-kms.root]\nregion = 'eu-central-1'\nendpoint = '{}'\n",
            apart.proxy.endpoint()
        );
        fs::write(apart.file("settings.toml"), settings).unwrap();
        fs::write(apart.file("credentials"), PROFILE).unwrap();
        apart
    }

    fn file(&self, name: &str) -> PathBuf {
        self.beside.path().join(name)
    }

    fn launch(&self) -> Launch {
        launch_on(self.data_dir.path(), &self.proxy)
            .env("AWS_SHARED_CREDENTIALS_FILE", self.file("credentials").to_str().unwrap())
            .env("AWS_ENDPOINT_URL_STS", &self.sts.0)
            .arg("--config")
            .arg(self.file("settings.toml").to_str().unwrap())
    }

    /// The calls so far by everyday's credentials, and those by all others.
    fn calls(&self) -> (Vec<Call>, Vec<Call>) {
        let everyday = self.proxy.localstack().access_key_id();
        self.proxy.calls().into_iter().partition(|call| call.access_key_id == everyday)
    }

    /// Each key was asked of by its own credentials alone; `access_key_id` is the root's.
    fn keeps_apart(&self, pki: &Pki, access_key_id: &str) {
        let root = Some(id(&key_uris(pki)[0]));
        let (everyday, roots) = self.calls();
        assert!(everyday.iter().all(|call| call.key != root), "{everyday:?}");
        // CreateKey and ListKeys name no key.
        let is_own =
            |call: &Call| call.access_key_id == access_key_id && (call.key.is_none() || call.key == root);
        assert!(!roots.is_empty() && roots.iter().all(is_own), "{roots:?}");
    }
}

fn issues(pki: &Pki, instance: &str) {
    pki.issue("node", instance);
    pki.issue("envoy/app", instance);
}

fn activate(pki: &Pki, new: &serde_json::Value) {
    ok(&pki.post(&format!("/pki/ca/{}/activate", new["ski"].as_str().unwrap()), &json!({"now": true})));
}

/// Makes a hierarchy, works a day, starts again, and makes another intermediate.
fn works_apart(apart: &Apart, access_key_id: &str) {
    let mut first = Pki::initialized(apart.launch());
    apart.keeps_apart(&first, access_key_id);
    assert_eq!(apart.sts.1.0.lock().unwrap().is_empty(), access_key_id == "AKIDOFROOT");
    apart.proxy.forget_calls();
    apart.sts.1.0.lock().unwrap().clear();
    issues(&first, "n1");
    first.deny(&crate::pki::spiffe_id("node", "n1"), true);
    assert!(first.service.stop().unwrap().success(), "{}", first.service.log());
    let pki = Pki::start(apart.launch()).ready();
    issues(&pki, "n2");
    assert_eq!(apart.calls().1, [], "no day needs the root's credentials");
    assert_eq!(*apart.sts.1.0.lock().unwrap(), [""; 0]);

    let new = ok(&pki.post("/pki/intermediary", &json!({"commonName": "Catalyst Services CA v2"})));
    apart.keeps_apart(&pki, access_key_id);
    activate(&pki, &new);
    let issued = pki.issue("node", "n3");
    assert_eq!(issued.certificate.issuer_name(), "Catalyst Services CA v2");
    let [bundle, leaf] = ["bundle.pem", "leaf.pem"].map(|name| apart.file(name));
    fs::write(&bundle, pki.bundle()).unwrap();
    fs::write(&leaf, issued.answer["certificatePem"].as_str().unwrap()).unwrap();
    openssl_verify(&bundle, &leaf).unwrap();
    assert_eq!(warnings(&pki), [""; 0]);
}

#[test]
fn a_root_with_a_profile_of_its_own_is_reached_by_nobody_else() {
    works_apart(&Apart::new("profile/root"), "AKIDOFROOT");
}

#[test]
fn a_root_with_a_role_of_its_own_is_reached_by_nobody_else() {
    works_apart(&Apart::new(ROLE), "ASIAOFROLE");
}

#[test]
fn credentials_of_the_root_that_are_away_delay_no_certificate_and_are_taken_once_they_are_back() {
    let apart = Apart::new("profile/root");
    let mut first = Pki::initialized(apart.launch());
    assert!(first.service.stop().unwrap().success(), "{}", first.service.log());
    fs::remove_file(apart.file("credentials")).unwrap();

    let pki = Pki::start(apart.launch()).ready();
    issues(&pki, "n1");
    let make = || pki.post("/pki/intermediary", &json!({"commonName": "Catalyst Services CA v2"}));
    let (_, code, sentence) = refusal(&make());
    assert!(code.starts_with("key_"), "{code}: {sentence}");
    for part in ["aws-kms:root", "profile", "root"] {
        assert!(sentence.contains(part), "'{part}' is not in: {sentence}");
    }
    issues(&pki, "n2");
    assert_eq!(warnings(&pki), [""; 0]);

    fs::write(apart.file("credentials"), PROFILE).unwrap();
    activate(&pki, &ok(&make()));
    assert_eq!(pki.issue("node", "n3").certificate.issuer_name(), "Catalyst Services CA v2");
    apart.keeps_apart(&pki, "AKIDOFROOT");
}
