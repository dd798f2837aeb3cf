//! Key files that are missing, damaged or another's: that CA stays down and says why, all else goes on.

use crate::deployment::{Deployment, Holder, exit, until};
use catalyst_rigs::Service;
use rusqlite::Connection;
use serde_json::Value;
use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A deployment whose service has been stopped.
fn stopped(deployment: Deployment) -> Deployment {
    let (mut service, _client) = deployment.initialized();
    assert_eq!(service.stop().unwrap().code(), Some(0), "{}", service.log());
    deployment
}

fn trouble(service: &Service) -> String {
    let ready = service.http().get("/ready").unwrap();
    assert_eq!(ready.status, 200, "bundle and CRLs can still be served");
    ready.json().unwrap()["signing"].as_str().unwrap().to_owned()
}

/// One way to harm the services CA's key file, the code of the refusal, and what the sentence says.
type Harm<'a> = (&'a str, fn(&Deployment), &'a str, Vec<String>);

#[test]
fn a_key_file_that_cannot_be_used_keeps_down_its_own_ca_alone() {
    let whole = stopped(Deployment::dev());
    let (services, transport) = (pinned(&whole, "services"), pinned(&whole, "transport"));
    let says = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let harms: [Harm<'_>; 6] = [
        ("missing", |d| fs::remove_file(d.key_file("services-1")).unwrap(), "key_refused_missing", {
            says(&["services-1.pem is missing", "put it back from a backup"])
        }),
        ("another CA's", swap, "key_integrity", {
            vec![
                "local:services-1 holds another key than the one pinned for Catalyst Services CA".into(),
                services,
                transport,
            ]
        }),
        (
            "altered",
            alter,
            "key_integrity",
            says(&["services-1.pem opens, but holds no usable key", "from a backup"]),
        ),
        ("truncated", |d| cut(d, 2), "key_integrity", says(&["services-1.pem is truncated"])),
        ("empty", |d| cut(d, usize::MAX), "key_integrity", says(&["services-1.pem is truncated"])),
        (
            "readable by others",
            |d| set_mode(&d.key_file("services-1"), 0o644),
            "key_refused_configuration",
            { says(&["has mode 0644", "chmod 600"]) },
        ),
    ];
    for (harm, inflict, code, sentence) in harms {
        let deployment = whole.copy();
        inflict(&deployment);
        let (mut service, client) = deployment.initialized();
        let line = service.wait_for("CA key cannot be used").unwrap();
        assert_eq!((line.level.as_str(), line.property("code")), ("error", Some(code)), "{harm}");
        let trouble = trouble(&service);
        assert!(trouble.starts_with("Services CA: "), "{harm}: {trouble}");

        let refused = Holder::new("gateway", "g.example.org").ask(&client).unwrap();
        assert_eq!((refused.status, refused.code()), (500, code), "{harm}: {}", refused.body);
        for part in &sentence {
            assert!(refused.error().contains(part), "{harm}: '{part}' is not in '{}'", refused.error());
            assert!(trouble.contains(part), "{harm}: '{part}' is not in '{trouble}'");
        }
        let status = client.get("/pki/status").unwrap().json().unwrap();
        assert_eq!(status["status"], "degraded", "{harm}");
        assert!(warned(&status, &sentence[0]), "{harm}: {status}");
        assert_eq!(status["activeCertCount"], 0, "{harm}");

        Holder::new("envoy/app", "e.example.org").get(&client);
        let bundle = client.get("/pki/ca/bundle").unwrap();
        assert_eq!((bundle.status, bundle.text().matches("BEGIN CERTIFICATE").count()), (200, 3), "{harm}");
        assert_eq!(client.get("/pki/crl/services").unwrap().status, 200, "{harm}");
        // A denial does not wait for the key.
        let holder = Holder::new("gateway", "g.example.org");
        assert_eq!(holder.deny(&client).unwrap().status, 200, "{harm}");
        assert_eq!(service.stop().unwrap().code(), Some(0), "{harm}: {}", service.log());
    }
}

fn warned(status: &Value, part: &str) -> bool {
    status["warnings"].as_array().unwrap().iter().any(|warning| warning.as_str().unwrap().contains(part))
}

/// SHA-256 of the SPKI that is pinned for a role, in hex.
fn pinned(deployment: &Deployment, role: &str) -> String {
    let store = Connection::open(deployment.data_dir().join("certs.db")).unwrap();
    let sql = "SELECT lower(hex(spki_hash)) FROM ca_key WHERE role = ?1";
    store.query_row(sql, [role], |row| row.get(0)).unwrap()
}

fn swap(deployment: &Deployment) {
    fs::copy(deployment.key_file("transport-1"), deployment.key_file("services-1")).unwrap();
}

/// Another character where the private key's number is encrypted.
fn alter(deployment: &Deployment) {
    let path = deployment.key_file("services-1");
    let mut pem = fs::read(&path).unwrap();
    pem[ALTERED] = if pem[ALTERED] == b'A' { b'B' } else { b'A' };
    fs::write(path, pem).unwrap();
}

const ALTERED: usize = 280;

fn cut(deployment: &Deployment, divisor: usize) {
    let path = deployment.key_file("services-1");
    let pem = fs::read(&path).unwrap();
    fs::write(path, &pem[..pem.len() / divisor]).unwrap();
}

#[test]
fn a_wrong_passphrase_leaves_the_public_endpoints_up_and_says_so() {
    let deployment = stopped(Deployment::production());
    let token = deployment.token().unwrap();
    fs::write(deployment.beside("passphrase"), "incorrect horse battery staple").unwrap();
    let mut service = deployment.start();
    service.wait_for("CA key cannot be used").unwrap();
    let trouble = until("it has tried the key", || {
        Some(trouble(&service)).filter(|trouble| !trouble.contains("not answered"))
    });
    assert!(
        trouble.contains("does not open with this passphrase: check CATALYST_PKI_LOCAL_PASSPHRASE"),
        "{trouble}"
    );
    let client = service.http().with_token(&token);
    assert_eq!(client.get("/pki/ca/bundle").unwrap().status, 200);
    assert_eq!(client.get("/health").unwrap().status, 200);
    let refused = Holder::new("gateway", "g.example.org").ask(&client).unwrap();
    assert_eq!((refused.status, refused.code()), (500, "key_refused_pin"), "{}", refused.code());
    assert!(!service.log().contains("incorrect horse"));
    service.stop().unwrap();

    fs::write(deployment.beside("passphrase"), crate::deployment::PASSPHRASE).unwrap();
    let (_service, client) = deployment.initialized();
    Holder::new("gateway", "g.example.org").get(&client);
}

#[test]
fn without_the_token_key_tokens_are_checked_but_not_made_and_the_cas_are_looked_after() {
    let deployment = stopped(Deployment::dev());
    let token = deployment.token().unwrap();
    fs::remove_file(deployment.key_file("token-1")).unwrap();
    let mut service = deployment.start();
    service.wait_for("Expired certificates purged").unwrap();
    until("the log names the file", || service.log().contains("token-1.pem is missing").then_some(()));
    let client = service.http().with_token(&token);
    assert_eq!(client.get("/pki/status").unwrap().status, 200);
    let entity = serde_json::json!({"id": "n", "name": "n", "type": "service"});
    let mint = serde_json::json!({"subject": "n", "principal": "NODE", "entity": entity});
    let refused = client.post("/auth/tokens", &mint).unwrap();
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert_eq!(refused.json().unwrap()["code"], "token_key_unavailable");
    until("both CAs can sign", || (trouble(&service) == "ok").then_some(()));
    // A lost key is not replaced by another one behind the operator's back.
    assert!(!deployment.key_file("token-1").exists());
}

#[test]
fn a_lost_root_key_stops_nothing_but_the_root() {
    let deployment = stopped(Deployment::dev());
    fs::remove_file(deployment.key_file("root-1")).unwrap();
    let (_service, client) = deployment.initialized();
    Holder::new("gateway", "g.example.org").get(&client);
    let request = serde_json::json!({"commonName": "Catalyst Services CA 2"});
    let refused = client.post("/pki/intermediary", &request).unwrap();
    assert_eq!(refused.status, 500, "{}", refused.text());
    assert_eq!(refused.json().unwrap()["code"], "key_refused_missing");
    assert!(!deployment.key_file("services-2").exists(), "a key was made that nobody can certify");
}

#[test]
fn a_foreign_key_in_the_place_of_a_new_one_is_never_adopted() {
    let other = stopped(Deployment::production());
    let deployment = Deployment::production();
    fs::create_dir(deployment.data_dir().join("keys")).unwrap();
    set_mode(&deployment.data_dir().join("keys"), 0o700);
    let foreign = fs::read(other.key_file("root-1")).unwrap();
    fs::write(deployment.key_file("root-1"), &foreign).unwrap();
    set_mode(&deployment.key_file("root-1"), 0o600);

    let service = deployment.start();
    let client = deployment.admin(&service);
    let refused = client.post("/pki/initialize", &serde_json::json!({})).unwrap();
    assert_eq!(refused.status, 500, "{}", refused.text());
    let refused = refused.json().unwrap();
    assert_eq!(refused["code"], "key_refused_ambiguous");
    assert!(
        refused["error"].as_str().unwrap().contains("was not made for this deployment's key"),
        "{refused}"
    );
    assert_eq!(client.get("/pki/ca/bundle").unwrap().status, 503);
    assert_eq!(fs::read(deployment.key_file("root-1")).unwrap(), foreign);

    // The sentence says to move it away; then the same request does it.
    fs::rename(deployment.key_file("root-1"), deployment.beside("foreign.pem")).unwrap();
    assert_eq!(client.post("/pki/initialize", &serde_json::json!({})).unwrap().status, 200);
    Holder::new("gateway", "g.example.org").get(&client);
}

#[test]
fn a_key_directory_that_others_can_enter_ends_the_start() {
    let deployment = Deployment::dev();
    fs::create_dir(deployment.data_dir().join("keys")).unwrap();
    set_mode(&deployment.data_dir().join("keys"), 0o755);
    let (code, log) = exit(deployment.launch());
    assert_eq!(code, 1, "{log}");
    assert!(log.contains("has mode 0755") && log.contains("chmod 700"), "{log}");
}
