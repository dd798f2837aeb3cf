//! The root's key behind credentials of its own, which are away most of the time.

use super::{
    at_hand, calls_from, key_uris, launch_on, refusal, relay::Relay, several::account, so_far, warnings,
};
use crate::pki::{Pki, ok, spiffe_id};
use catalyst_rigs::{
    Launch,
    checkers::openssl_verify,
    gcp::{Binding, FakeKms, Grant, MACHINE, api::Method},
};
use serde_json::{Value, json};
use std::{fs, path::PathBuf};
use tempfile::TempDir;

const ACCOUNT: &str = "pki-root@p.iam.gserviceaccount.com";
/// Whom the file of [`account`] is of.
const OF_FILE: &str = "root@q.iam.gserviceaccount.com";

struct Apart {
    beside: TempDir,
    data_dir: TempDir,
    fake: FakeKms,
    relay: Relay,
    root_credentials: String,
}

impl Apart {
    fn new(root_credentials: impl FnOnce(&TempDir) -> String) -> Self {
        let (fake, beside) = (at_hand(), TempDir::new().unwrap());
        let root_credentials = root_credentials(&beside);
        let settings = format!(
            "key_backend_root = 'gcp-kms:root'\nroot_credentials = '{root_credentials}'\n\
             [gcp-kms.root]\nendpoint = '{}'\n",
            fake.endpoint()
        );
        fs::write(beside.path().join("settings.toml"), settings).unwrap();
        Self { relay: Relay::to(&fake), beside, data_dir: TempDir::new().unwrap(), fake, root_credentials }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.beside.path().join(name)
    }

    fn launch(&self) -> Launch {
        let launch = launch_on(self.data_dir.path(), &self.fake);
        self.relay.used_by(launch).arg("--config").arg(self.file("settings.toml").to_str().unwrap())
    }

    /// Who called since the `first`th call, each once.
    fn callers(&self, first: usize) -> Vec<String> {
        let calls = calls_from(&self.fake, first).into_iter();
        let mut callers: Vec<String> = calls.filter_map(|call| call.caller).collect();
        callers.sort();
        callers.dedup();
        callers
    }

    /// The root's key was asked about by `roots` alone, and `roots` asked about no other.
    fn keeps_apart(&self, pki: &Pki, roots: &str) {
        let root = key_uris(pki)[0].clone();
        let (key, _) = root.strip_prefix("gcpkms:").unwrap().split_once("/cryptoKeyVersions/").unwrap();
        for call in calls_from(&self.fake, 0) {
            // A key is made in its ring, and its name is not known before.
            if call.method == Method::CreateCryptoKey {
                continue;
            }
            let is_of_root = call.resource.starts_with(key);
            assert_eq!(call.caller.as_deref() == Some(roots), is_of_root, "{call:?}");
        }
        let makes = |caller: &str| {
            let calls = calls_from(&self.fake, 0).into_iter();
            calls
                .filter(|call| {
                    call.method == Method::CreateCryptoKey && call.caller.as_deref() == Some(caller)
                })
                .count()
        };
        assert_eq!((makes(roots), makes(MACHINE) >= 3), (1, true));
    }
}

fn issues(pki: &Pki, instance: &str) {
    pki.issue("node", instance);
    pki.issue("envoy/app", instance);
}

fn activate(pki: &Pki, new: &Value) {
    ok(&pki.post(&format!("/pki/ca/{}/activate", new["ski"].as_str().unwrap()), &json!({"now": true})));
}

/// Makes a hierarchy, works a day, starts again, and makes another intermediate.
fn works_apart(apart: &Apart, roots: &str) {
    let mut first = Pki::initialized(apart.launch());
    apart.keeps_apart(&first, roots);
    assert_eq!(apart.relay.paths().is_empty(), roots == OF_FILE);
    let (before, impersonated) = (so_far(&apart.fake), apart.relay.paths().len());
    issues(&first, "n1");
    first.deny(&spiffe_id("node", "n1"), true);
    assert!(first.service.stop().unwrap().success(), "{}", first.service.log());
    let pki = Pki::start(apart.launch()).ready();
    issues(&pki, "n2");
    assert_eq!(apart.callers(before), [MACHINE], "no day needs the root's credentials");
    assert_eq!(apart.relay.paths().len(), impersonated);

    let new = ok(&pki.post("/pki/intermediary", &json!({"commonName": "Catalyst Services CA v2"})));
    apart.keeps_apart(&pki, roots);
    activate(&pki, &new);
    let issued = pki.issue("node", "n3");
    assert_eq!(issued.certificate.issuer_name(), "Catalyst Services CA v2");
    let [bundle, leaf] = ["bundle.pem", "leaf.pem"].map(|name| apart.file(name));
    fs::write(&bundle, pki.bundle()).unwrap();
    fs::write(&leaf, issued.answer["certificatePem"].as_str().unwrap()).unwrap();
    openssl_verify(&bundle, &leaf).unwrap();
    assert_eq!(warnings(&pki), [""; 0]);
    assert!(!pki.service.log().contains("PRIVATE KEY"), "{}", pki.service.log());
}

#[test]
fn a_root_with_a_credentials_file_of_its_own_is_reached_by_nobody_else() {
    works_apart(&Apart::new(|beside| account(beside, "root")), OF_FILE);
}

#[test]
fn a_root_with_an_account_of_its_own_is_reached_by_nobody_else() {
    let apart = Apart::new(|_| ACCOUNT.to_owned());
    works_apart(&apart, ACCOUNT);
    let path = format!("/v1/projects/-/serviceAccounts/{ACCOUNT}:generateAccessToken");
    assert!(apart.relay.paths().iter().all(|asked| *asked == path), "{:?}", apart.relay.paths());
}

/// Google says each time who may become the root's account.
#[test]
fn an_account_that_may_not_be_impersonated_delays_no_certificate_and_is_taken_once_it_may() {
    let apart = Apart::new(|_| ACCOUNT.to_owned());
    let allow = |caller: Option<&str>, permissions: &[&str], resource: &str| {
        let grant = Grant::Permissions(permissions.iter().map(ToString::to_string).collect());
        let binding = Binding { caller: caller.map(str::to_owned), grant, resource: resource.to_owned() };
        apart.fake.bind(&binding).unwrap();
    };
    let all = [
        "cloudkms.cryptoKeys.create",
        "cloudkms.cryptoKeys.get",
        "cloudkms.cryptoKeyVersions.get",
        "cloudkms.cryptoKeyVersions.list",
        "cloudkms.cryptoKeyVersions.viewPublicKey",
        "cloudkms.cryptoKeyVersions.useToSign",
    ];
    allow(Some(MACHINE), &all, "projects/p");
    allow(Some(ACCOUNT), &all, "projects/p");
    let mut pki = Pki::start(apart.launch());
    let (_, code, sentence) = refusal(&pki.post("/pki/initialize", &json!({})));
    assert!(code.starts_with("key_"), "{code}: {sentence}");
    assert!(sentence.contains("gcp-kms:root"), "{sentence}");
    assert_eq!(ok(&pki.get("/pki/status"))["status"], "uninitialized");
    assert!(pki.service.stop().unwrap().success(), "{}", pki.service.log());

    let account = format!("projects/-/serviceAccounts/{ACCOUNT}");
    allow(Some(MACHINE), &["iam.serviceAccounts.getAccessToken"], &account);
    let pki = Pki::initialized(apart.launch());
    issues(&pki, "n1");
    apart.keeps_apart(&pki, ACCOUNT);
    assert_eq!(warnings(&pki), [""; 0]);
}

#[test]
fn a_file_of_the_root_that_is_away_delays_no_certificate_and_is_taken_once_it_is_back() {
    let apart = Apart::new(|beside| account(beside, "root"));
    let mut first = Pki::initialized(apart.launch());
    assert!(first.service.stop().unwrap().success(), "{}", first.service.log());
    let text = fs::read(&apart.root_credentials).unwrap();
    fs::remove_file(&apart.root_credentials).unwrap();

    let pki = Pki::start(apart.launch()).ready();
    issues(&pki, "n1");
    let make = || pki.post("/pki/intermediary", &json!({"commonName": "Catalyst Services CA v2"}));
    let (_, code, sentence) = refusal(&make());
    assert!(code.starts_with("key_"), "{code}: {sentence}");
    for part in ["gcp-kms:root", apart.root_credentials.as_str(), "cannot be read"] {
        assert!(sentence.contains(part), "'{part}' is not in: {sentence}");
    }
    issues(&pki, "n2");
    assert_eq!(warnings(&pki), [""; 0]);

    fs::write(&apart.root_credentials, text).unwrap();
    activate(&pki, &ok(&make()));
    assert_eq!(pki.issue("node", "n3").certificate.issuer_name(), "Catalyst Services CA v2");
    apart.keeps_apart(&pki, OF_FILE);
}
