//! Tokens, keys and the audit log from the shell, against the real service.

use catalyst_rigs::{Launch, Service, catalyst};
use serde_json::Value;
use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// A service of a directory that the test keeps, once its system token can be used.
pub(crate) fn start(directory: &Path) -> Service {
    let service = Launch::new(&catalyst().unwrap(), directory).arg("--dev").start().unwrap();
    let end = Instant::now() + Duration::from_secs(30);
    while run(&service, &["auth", "key", "list"]).0 != 0 {
        assert!(Instant::now() < end, "{}", service.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    service
}

/// A command beside the service: its system token is the one in the working directory.
pub(crate) fn run(service: &Service, args: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(catalyst().unwrap());
    command.args(args).current_dir(service.data_dir()).env_clear();
    command.env("CATALYST_AUTH_URL", format!("ws://{}/rpc", service.address()));
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[track_caller]
pub(crate) fn done(service: &Service, args: &[&str]) -> String {
    let (code, stdout, stderr) = run(service, args);
    assert_eq!(code, 0, "{args:?}: {stderr}");
    stdout
}

#[test]
fn a_token_lives_from_mint_to_revocation() {
    let directory = TempDir::new().unwrap();
    let service = start(directory.path());
    let token = done(
        &service,
        &["auth", "token", "mint", "ops", "--principal", "NODE", "--node-id", "n", "--sans", "a b"],
    );
    assert_eq!(token.lines().count(), 1);
    let file = directory.path().join("ops.token");
    fs::write(&file, &token).unwrap();
    Command::new("chmod").arg("600").arg(&file).status().unwrap();

    let verify = ["auth", "token", "verify", "--file", "ops.token"];
    let claims: Value = serde_json::from_str(&done(&service, &verify)).unwrap();
    assert_eq!((&claims["sub"], &claims["principal"]), (&"ops".into(), &"CATALYST::NODE".into()));
    let jti = claims["jti"].as_str().unwrap();

    let listed = done(&service, &["auth", "token", "list", "--san", "a b"]);
    let row: Vec<_> = listed.trim_end().split('\t').collect();
    assert_eq!((row.len(), row[0], row[1], row[5]), (6, "ops", jti, "active"), "{listed}");

    // What it may not do is another exit code than what is wrong.
    let (code, _, stderr) = run(&service, &["auth", "key", "rotate", "--token-file", "ops.token"]);
    assert_eq!(code, 3, "{stderr}");

    assert_eq!(done(&service, &["auth", "token", "revoke", "--san", "a b"]), "Revoked tokens: 1\n");
    let (code, stdout, stderr) = run(&service, &[verify.as_slice(), &["--output", "json"]].concat());
    assert_eq!(code, 1, "{stderr}");
    assert_eq!(serde_json::from_str::<Value>(&stdout).unwrap()["valid"], false);
    let (code, _, _) = run(&service, &["auth", "token", "list", "--token-file", "ops.token"]);
    assert_eq!(code, 3);
}

#[test]
fn a_bootstrap_credential_for_anybody_comes_with_a_warning() {
    let directory = TempDir::new().unwrap();
    let service = start(directory.path());
    let (code, stdout, stderr) = run(&service, &["auth", "token", "mint", "bootstrap", "--expires-in", "1h"]);
    assert_eq!((code, stdout.lines().count()), (0, 1), "{stderr}");
    assert!(stderr.contains("warning: "), "{stderr}");
    // Who says whom it is for has nothing to be warned of.
    let spiffe_id = "spiffe://catalyst.example.com/node/n1";
    let (code, _, stderr) = run(&service, &["auth", "token", "mint", "bootstrap", "--spiffe-id", spiffe_id]);
    assert_eq!((code, stderr.as_str()), (0, ""));
}

#[test]
fn keys_are_rotated_and_the_fresh_system_token_is_used_next() {
    let directory = TempDir::new().unwrap();
    let service = start(directory.path());
    let before = done(&service, &["auth", "key", "list"]);
    let rotated = done(&service, &["auth", "key", "rotate", "--immediate", "--output", "json"]);
    let rotated: Value = serde_json::from_str(&rotated).unwrap();
    assert!(before.starts_with(rotated["previousKeyId"].as_str().unwrap()), "{before}");
    let after = done(&service, &["auth", "key", "list"]);
    assert!(after.starts_with(rotated["newKeyId"].as_str().unwrap()), "{after}");
}

#[test]
fn heads_of_the_log_vouch_for_the_audit_log() {
    let directory = TempDir::new().unwrap();
    let mut service = start(directory.path());
    done(&service, &["auth", "token", "mint", "ops", "--principal", "USER"]);
    service.stop().unwrap();
    // The last head is signed and logged at the end.
    let heads = directory.path().join("heads.json");
    fs::write(&heads, service.log()).unwrap();
    let service = start(directory.path());
    let verified = done(&service, &["pki", "audit", "verify", "--head", "heads.json", "--output", "json"]);
    let verified: Value = serde_json::from_str(&verified).unwrap();
    assert_eq!((&verified["intact"], &verified["heads"][0]["finding"]), (&true.into(), &"holds".into()));

    let rows = done(&service, &["pki", "audit", "--action", "token."]);
    assert!(rows.lines().all(|row| row.split('\t').count() == 6), "{rows}");
    let records = done(&service, &["pki", "audit", "--limit", "2", "--output", "json"]);
    let seqs: Vec<_> =
        records.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["seq"].clone()).collect();
    assert_eq!(seqs, [1, 2]);

    // A head of a log that went on otherwise.
    let log = fs::read_to_string(&heads).unwrap();
    let head = log.lines().find(|line| line.contains("Audit head")).unwrap();
    let mut head: Value = serde_json::from_str(head).unwrap();
    head["properties"]["seq"] = 1.into();
    fs::write(&heads, head.to_string()).unwrap();
    let (code, stdout, _) = run(&service, &["pki", "audit", "verify", "--head", "heads.json"]);
    assert_eq!(code, 1);
    assert!(stdout.contains("NOT INTACT") && stdout.contains("not the token key's"), "{stdout}");
}
