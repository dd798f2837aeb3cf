//! The audit log: what is in it, what never is, and what becomes of whoever changes it.

use crate::{
    auth_cli::{done, run, start},
    pki::{Pki, launch_in, ok, refused, spiffe_id},
    tokens::csr,
};
use catalyst_rigs::{Service, http::Client};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, path::Path, thread, time::Duration};
use tempfile::TempDir;

/// Records that this query finds, oldest first.
fn records(client: &Client, query: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let mut after = 0;
    loop {
        let page = ok(&client.get(&format!("/pki/audit?after={after}&limit=200&{query}")).unwrap());
        found.extend(page["records"].as_array().unwrap().iter().cloned());
        match page["nextAfter"].as_i64() {
            Some(next) => after = next,
            None => return found,
        }
    }
}

fn detail(record: &Value) -> Value {
    serde_json::from_str(record["detail"].as_str().unwrap()).unwrap()
}

fn store(directory: &Path) -> Connection {
    Connection::open(directory.join("certs.db")).unwrap()
}

#[test]
fn every_operation_leaves_a_record_that_says_who_did_it_to_what() {
    let pki = Pki::dev();
    // An operator whose deeds can be told from those of the service and of others.
    let minted = ok(&pki.post("/auth/tokens", &crate::tokens::asking("olga", "ADMIN", &json!({}))));
    let (olga, jti) = (minted["token"].as_str().unwrap(), minted["jti"].as_str().unwrap());
    let client = pki.service.http().with_token(olga);
    let by = format!("token:olga:{jti}");
    let did = |action: &str, subject: &str| {
        let found = records(&pki.admin, &format!("action={action}&actor={by}"));
        let last = found.last().unwrap_or_else(|| panic!("no record of {action}")).clone();
        assert_eq!(last["subject"], subject, "{action}: {last}");
        detail(&last)
    };
    let post = |path: &str, body: &Value| ok(&client.post(path, body).unwrap());
    let id = spiffe_id("node", "n1");

    let sign = json!({"csrPem": csr("node", "n1"), "serviceType": "node", "instanceId": "n1"});
    let issued = post("/pki/csr/sign", &sign);
    let said = did("certificate.issued", &id);
    assert_eq!((&said["serial"], &said["fingerprint"]), (&issued["serial"], &issued["fingerprint"]));
    assert!(said["spki"].is_string() && said["issuer"].is_string(), "{said}");
    let made = post("/pki/keypair", &json!({"serviceType": "gateway", "instanceId": "g1"}));
    assert_eq!(did("certificate.issued", &spiffe_id("gateway", "g1"))["serial"], made["serial"]);

    post("/pki/identities/deny", &json!({"spiffeId": id, "reason": "stolen"}));
    assert_eq!(did("identity.denied", &id)["reason"], "stolen");
    post("/pki/identities/allow", &json!({"spiffeId": id}));
    did("identity.allowed", &id);
    let serial = issued["serial"].as_str().unwrap();
    post(&format!("/pki/certificates/{serial}/revoke"), &json!({"reason": "superseded"}));
    let revoked = did("certificate.revoked", serial);
    assert_eq!(
        (&revoked["spiffeId"], &revoked["spki"], &revoked["fingerprint"]),
        (&json!(id), &said["spki"], &issued["fingerprint"])
    );
    post("/pki/identities/release", &json!({"dnsName": "n1"}));
    did("name.released", "n1");

    let token = post("/auth/tokens", &crate::tokens::asking("peter", "USER", &json!({"sans": ["desk"]})));
    let token_jti = token["jti"].as_str().unwrap();
    assert_eq!(did("token.recorded", token_jti)["subject"], "peter");
    post("/auth/tokens/revoke", &json!({"san": "desk"}));
    did("token.revoked", token_jti);
    let rotated = post("/auth/keys/rotate", &json!({}));
    assert_eq!(rotated["success"], true);
    assert!(!records(&pki.admin, &format!("action=key.activated&actor={by}")).is_empty());
    assert!(!records(&pki.admin, &format!("action=key.intended&actor={by}")).is_empty());

    let ca = post("/pki/intermediary", &json!({"commonName": "Services 2", "role": "services"}));
    let ski = ca["ski"].as_str().unwrap();
    did("ca.recorded", ski);
    post(&format!("/pki/ca/{ski}/activate"), &json!({"now": true}));
    did("ca.activated", ski);
    post(&format!("/pki/ca/{ski}/revoke"), &json!({"reason": "cACompromise"}));
    did("ca.revoked", ski);

    // What the service did of itself, and no other actor than these.
    let actions: BTreeSet<String> = records(&pki.admin, "actor=service")
        .iter()
        .map(|record| record["action"].as_str().unwrap().to_owned())
        .collect();
    for action in ["ca.planned", "ca.initialized", "crl.published", "token.recorded"] {
        assert!(actions.contains(action), "{action} is not among {actions:?}");
    }
    // Neither a token nor a key is in any of them.
    let all = json!(records(&pki.admin, "")).to_string();
    assert!(!all.contains(olga.split('.').nth(2).unwrap()) && !all.contains("PRIVATE KEY"));
    let verdict = ok(&pki.get("/pki/audit/verify"));
    assert_eq!(verdict["intact"], true);
}

#[test]
fn what_cannot_be_recorded_does_not_happen() {
    let pki = Pki::dev();
    let issued = pki.issue("node", "n1");
    let token = ok(&pki.post("/auth/tokens", &crate::tokens::asking("a", "ADMIN", &json!({}))));
    let other = pki.service.http().with_token(token["token"].as_str().unwrap());
    let before = ok(&pki.get("/pki/audit/verify"));
    let tokens = || ok(&pki.get("/auth/tokens"))["tokens"].as_array().unwrap().len();
    let (recorded, minted) = (pki.recorded(), tokens());
    let database = store(pki.service.data_dir());
    database.execute_batch("ALTER TABLE audit RENAME TO audit_away").unwrap();
    let id = spiffe_id("node", "n1");
    for (path, body) in [
        ("/pki/csr/sign", json!({"csrPem": csr("node", "n2"), "serviceType": "node", "instanceId": "n2"})),
        ("/pki/keypair", json!({"serviceType": "node", "instanceId": "n3"})),
        ("/pki/identities/deny", json!({"spiffeId": id, "reason": "x"})),
        (&format!("/pki/certificates/{}/revoke", issued.serial()), json!({})),
        ("/pki/identities/release", json!({"dnsName": "n1"})),
        ("/auth/tokens", crate::tokens::asking("b", "USER", &json!({}))),
        ("/auth/tokens/revoke", json!({"jti": token["jti"]})),
        ("/auth/keys/rotate", json!({"immediate": true})),
        ("/pki/intermediary", json!({"commonName": "Services 2", "role": "services"})),
    ] {
        let answer = pki.post(path, &body);
        assert!(answer.status >= 500, "{path}: {} {}", answer.status, answer.text());
    }
    database.execute_batch("ALTER TABLE audit_away RENAME TO audit").unwrap();
    assert_eq!((pki.recorded(), tokens()), (recorded, minted));
    assert_eq!(pki.status_of(issued.serial()), "active");
    ok(&other.get("/pki/status").unwrap());
    ok(&pki.get("/pki/status"));
    assert_eq!(ok(&pki.get("/pki/audit/verify"))["head"], before["head"]);
    assert_eq!(ok(&pki.get("/pki/ca")).as_array().unwrap().len(), 3);
    pki.still_works();
}

#[test]
fn denials_by_policy_are_counted_into_few_records() {
    const TIMES: u64 = 400;
    let home = TempDir::new().unwrap();
    let mut pki = Pki::initialized(launch_in(home.path()));
    let minted = ok(&pki.post("/auth/tokens", &crate::tokens::asking("mallory", "NODE", &json!({}))));
    let mallory = pki.service.http().with_token(minted["token"].as_str().unwrap());
    for _ in 0..TIMES {
        refused(&mallory.get("/pki/status").unwrap(), 403, "permission_denied");
    }
    refused(&mallory.get("/pki/audit").unwrap(), 403, "permission_denied");
    // Who is not known is on no record, however often.
    for _ in 0..50 {
        refused(&pki.service.http().get("/pki/status").unwrap(), 401, "credential_missing");
        refused(&pki.service.http().with_token("x").get("/pki/status").unwrap(), 401, "credential_invalid");
    }
    let logged = |action: &str| {
        let message = format!("Permission denied for action: {action}");
        pki.service.log_lines().iter().filter(|line| line.message == message).count()
    };
    // One a minute; the test may begin in one and end in the next.
    assert!((1..=3).contains(&logged("CA_READ")) && (1..=2).contains(&logged("AUDIT_READ")));
    // What was counted is written when the service ends.
    pki.service.stop().unwrap();
    let pki = Pki::start(launch_in(home.path())).ready();
    let found = records(&pki.admin, "action=policy.denied");
    let subject = format!("token:mallory:{}", minted["jti"].as_str().unwrap());
    assert!(found.len() <= 5, "{found:?}");
    let count = |action: &str| -> u64 {
        let of = found.iter().filter(|record| record["subject"] == subject.as_str()).map(detail);
        of.filter(|said| said["action"] == action).map(|said| said["count"].as_u64().unwrap()).sum()
    };
    assert_eq!((count("CA_READ"), count("AUDIT_READ")), (TIMES, 1));
}

#[test]
fn every_minute_denials_are_written_and_a_head_is_signed() {
    let pki = Pki::dev();
    let user = pki.as_("USER", &json!({}));
    refused(&user.get("/pki/status").unwrap(), 403, "permission_denied");
    let heads = || {
        let lines = pki.service.log_lines().into_iter();
        lines.filter(|line| line.message == "Audit head").collect::<Vec<_>>()
    };
    // Longer than other waits, for it is a minute.
    for _ in 0..1_800 {
        if !heads().is_empty() {
            break;
        }
        thread::sleep(Duration::from_millis(50));
    }
    let head = heads().pop().expect("a head within a minute and a half");
    let found = records(&pki.admin, "action=policy.denied");
    assert_eq!((found.len(), detail(&found[0])), (1, json!({"action": "CA_READ", "count": 1})));
    // The head has the record of the denials that came before it.
    assert_eq!(head.properties["seq"], found[0]["seq"]);
    assert_eq!(head.properties["hash"], found[0]["hash"]);
    assert_eq!(heads().len(), 1);
}

/// A service of this directory whose log has records and a signed head; the head is in `heads.json`.
fn with_heads(directory: &Path) -> Service {
    let mut service = start(directory);
    for subject in ["a", "b", "c"] {
        done(&service, &["auth", "token", "mint", subject, "--principal", "USER"]);
    }
    service.stop().unwrap();
    let heads = service.log_lines().into_iter().filter(|line| line.message == "Audit head");
    let heads: Vec<String> = heads.map(|line| line.raw).collect();
    assert!(!heads.is_empty(), "no head was signed at the end");
    fs::write(directory.join("heads.json"), heads.join("\n")).unwrap();
    service
}

/// What `catalyst pki audit verify` says: its exit code, and its report.
fn verdict(directory: &Path, head: bool) -> (i32, Value, String) {
    let service = start(directory);
    let head: &[&str] = if head { &["--head", "heads.json"] } else { &[] };
    let args = [&["pki", "audit", "verify", "--output", "json"], head].concat();
    let (code, stdout, stderr) = run(&service, &args);
    (code, serde_json::from_str(&stdout).unwrap_or(Value::Null), stderr)
}

#[test]
fn a_record_that_was_edited_is_found() {
    let directory = TempDir::new().unwrap();
    drop(with_heads(directory.path()));
    let (code, report, _) = verdict(directory.path(), true);
    assert_eq!((code, &report["intact"]), (0, &json!(true)), "{report}");
    assert_eq!(report["heads"][0]["finding"], "holds");
    for sql in [
        "UPDATE audit SET subject = 'nobody' WHERE seq = 3",
        "UPDATE audit SET at = at + 1 WHERE seq = 2",
        "UPDATE audit SET actor = 'service' WHERE seq = (SELECT max(seq) FROM audit WHERE actor <> 'service')",
        "DELETE FROM audit WHERE seq = 4",
    ] {
        let copy = TempDir::new().unwrap();
        let copied = std::process::Command::new("cp")
            .arg("-a")
            .arg(format!("{}/.", directory.path().display()))
            .arg(copy.path())
            .status();
        assert!(copied.unwrap().success());
        assert!(store(copy.path()).execute(sql, ()).unwrap() > 0, "{sql}");
        for head in [false, true] {
            let (code, report, stderr) = verdict(copy.path(), head);
            assert_eq!((code, &report["intact"]), (1, &json!(false)), "{sql}: {report} {stderr}");
        }
    }
}

/// Takes the last records away and mends the head that the store keeps apart from them.
fn truncate(directory: &Path, records: i64) -> i64 {
    let store = store(directory);
    let last: i64 = store.query_row("SELECT max(seq) FROM audit", (), |row| row.get(0)).unwrap();
    store.execute("DELETE FROM audit WHERE seq > ?1", [last - records]).unwrap();
    store
        .execute(
            "UPDATE deployment SET audit_seq = ?1, audit_hash = (SELECT hash FROM audit WHERE seq = ?1)",
            [last - records],
        )
        .unwrap();
    last
}

#[test]
fn records_that_were_cut_off_are_found_by_a_head_that_was_kept_elsewhere() {
    let directory = TempDir::new().unwrap();
    drop(with_heads(directory.path()));
    // Far enough back that what the next start writes does not reach the head's number.
    let last = truncate(directory.path(), 12);
    let (code, report, stderr) = verdict(directory.path(), true);
    assert_eq!((code, &report["intact"]), (1, &json!(false)), "{last}: {report} {stderr}");
    let finding = &report["heads"][0]["finding"];
    assert!(finding == "truncated" || finding == "rewritten", "{report}");
    // Without it nobody could tell: this is what heads are kept for.
    let (code, report, _) = verdict(directory.path(), false);
    assert_eq!((code, &report["intact"]), (0, &json!(true)), "{report}");
}
