//! The program, with a key store of one's own.

use crate::chain;
use catalyst_rigs::{Launch, Service};
use serde_json::{Value, json};
use std::{
    fs,
    path::Path,
    process::{Command, Output},
    thread,
    time::Duration,
};
use tempfile::TempDir;
use toy_backend::vault::Vault;

const BINARY: &str = env!("CARGO_BIN_EXE_toy-catalyst");

struct Place {
    directory: TempDir,
    vault: Vault,
}

impl Place {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let vault = Vault::start(&directory.path().join("vault.sock")).unwrap();
        Self { directory, vault }
    }

    fn socket(&self) -> &str {
        self.vault.socket().to_str().unwrap()
    }

    /// One command, whose key store is the vault.
    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(BINARY);
        command.args(args).current_dir(self.directory.path()).env_clear();
        command.env("CATALYST_PKI_KEY_BACKEND", "toy").env("CATALYST_PKI_TOY_SOCKET", self.socket());
        command.output().unwrap()
    }
}

#[track_caller]
fn json_of(output: &Output) -> Value {
    let (said, complained) = (&output.stdout, String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(said).unwrap_or_else(|_| panic!("{complained}{}", String::from_utf8_lossy(said)))
}

#[test]
fn its_settings_stand_beside_all_others() {
    let place = Place::new();
    let shown = place.run(&["config"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(
        shown.lines().any(|line| line.contains("CATALYST_PKI_TOY_SOCKET") && line.contains(place.socket()))
    );
    let help = place.run(&["serve", "--help"]);
    assert!(String::from_utf8(help.stdout).unwrap().contains("--toy-socket"));
}

#[test]
fn backend_check_runs_the_whole_suite_on_it() {
    let place = Place::new();
    let checked = place.run(&["backend", "check", "--full", "--output", "json"]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let text = json_of(&checked).to_string();
    assert!(text.contains("a key given up no longer opens as usable"), "{text}");
    assert!(!text.contains("failed\":\""), "{text}");
}

fn serve(place: &Place, data: &Path) -> Service {
    let launch = Launch::new(Path::new(BINARY), data).arg("--dev");
    launch
        .env("CATALYST_PKI_KEY_BACKEND", "toy")
        .env("CATALYST_PKI_TOY_SOCKET", place.socket())
        .start()
        .unwrap()
}

fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    for _ in 0..600 {
        if let Some(answer) = ask() {
            return answer;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("{what}: not within half a minute");
}

#[test]
fn the_service_issues_with_it() {
    let place = Place::new();
    let data = TempDir::new().unwrap();
    let service = serve(&place, data.path());
    eventually("readiness", || {
        let answer = service.http().get("/ready").unwrap();
        (answer.status == 200 && answer.json().unwrap()["signing"] == "ok").then_some(())
    });
    let token = eventually("the system token", || {
        let text = fs::read_to_string(data.path().join("system-token")).ok()?;
        Some(text.trim().to_owned()).filter(|token| !token.is_empty())
    });
    let admin = service.http().with_token(&token);

    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let mut wanted = rcgen::CertificateParams::default();
    wanted.distinguished_name = rcgen::DistinguishedName::new();
    let id = "spiffe://catalyst.example.com/gateway/gateway-a".try_into().unwrap();
    wanted.subject_alt_names = vec![rcgen::SanType::URI(id)];
    let csr = wanted.serialize_request(&key).unwrap().pem().unwrap();
    let request = json!({"csrPem": csr, "serviceType": "gateway", "instanceId": "gateway-a"});
    let answer = admin.post("/pki/csr/sign", &request).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let leaf = answer.json().unwrap()["certificatePem"].as_str().unwrap().to_owned();
    chain::verifies(&service.http().get("/pki/ca/bundle").unwrap().text(), &leaf);
    // Nothing was made elsewhere.
    assert!(!data.path().join("keys").exists());
}
