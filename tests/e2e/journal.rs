//! The journal of denials beside the backups: whatever happens to it or to the service, what was denied gets there.

use crate::{
    auth_cli::run,
    pki::{Pki, eventually, launch_in, ok, spiffe_id},
};
use catalyst_rigs::Launch;
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
};
use tempfile::TempDir;

/// A place for a service and one for its backups.
struct Places {
    root: TempDir,
}

impl Places {
    fn new() -> Self {
        let root = TempDir::new().unwrap();
        for name in ["data", "backups"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        Self { root }
    }

    fn backups(&self) -> PathBuf {
        self.root.path().join("backups")
    }

    fn file(&self) -> PathBuf {
        self.backups().join("denied.jsonl")
    }

    fn launch(&self) -> Launch {
        let data = self.root.path().join("data");
        launch_in(&data)
            .env("CATALYST_PKI_BACKUP_DIR", self.backups().to_str().unwrap())
            .env("CATALYST_PKI_BACKUP_INTERVAL", "0")
    }

    fn lines(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.file()).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn told(lines: &[Value]) -> Vec<(String, String)> {
    let word = |line: &Value, field: &str| line[field].as_str().unwrap().to_owned();
    lines.iter().map(|line| (word(line, "action"), word(line, "subject"))).collect()
}

fn pair(action: &str, subject: &str) -> (String, String) {
    (action.to_owned(), subject.to_owned())
}

fn pending(pki: &Pki) -> Option<String> {
    let metrics = pki.service.http().get("/metrics").unwrap().text();
    metrics.lines().find_map(|line| line.strip_prefix("catalyst_pki_journal_pending ").map(str::to_owned))
}

#[test]
fn whatever_is_taken_away_stands_in_the_journal_when_the_answer_comes() {
    let places = Places::new();
    let pki = Pki::initialized(places.launch());
    let issued = pki.issue("node", "n1");
    let (node, other) = (spiffe_id("node", "n1"), spiffe_id("node", "n2"));
    let mut expected = Vec::new();
    for (id, compromised) in [(&node, false), (&other, true)] {
        assert_eq!(pki.deny(id, compromised)["journalPending"], Value::Null);
        expected.push(pair("identity.denied", id));
        assert_eq!(told(&places.lines()), expected);
    }
    pki.allow(&node);
    expected.push(pair("identity.allowed", &node));
    assert_eq!(told(&places.lines()), expected);
    ok(&pki.post(&format!("/pki/certificates/{}/revoke", issued.serial()), &json!({"reason": "superseded"})));
    expected.push(pair("certificate.revoked", issued.serial()));
    let minted =
        json!({"subject": "ops", "principal": "NODE", "entity": {"id": "o", "name": "o", "type": "service"}});
    ok(&pki.post("/auth/tokens", &minted));
    let tokens = ok(&pki.get("/auth/tokens"));
    let tokens = tokens["tokens"].as_array().unwrap();
    let jti = tokens.iter().find(|token| token["sub"] == "ops").unwrap()["jti"].as_str().unwrap();
    ok(&pki.post("/auth/tokens/revoke", &json!({ "jti": jti })));
    expected.push(pair("token.revoked", jti));
    let cas = ok(&pki.get("/pki/ca"));
    let ski =
        cas.as_array().unwrap().iter().find(|ca| ca["role"] == "transport").unwrap()["ski"].as_str().unwrap();
    ok(&pki.post(&format!("/pki/ca/{ski}/revoke"), &json!({})));
    expected.push(pair("ca.revoked", ski));
    let lines = places.lines();
    assert_eq!(told(&lines), expected);
    let mode = fs::metadata(places.file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let revoked = &lines[3];
    assert_eq!(revoked["detail"]["issuer"].as_str().unwrap().len(), 40);
    assert!(revoked["detail"]["notAfter"].is_i64() && revoked["seq"].as_i64().unwrap() > 0, "{revoked}");
    assert_eq!(pending(&pki).as_deref(), Some("0"));

    // It is begun anew where somebody has removed it, with what stands.
    fs::remove_file(places.file()).unwrap();
    pki.deny(&spiffe_id("node", "n3"), false);
    let anew: BTreeSet<_> = told(&places.lines()).into_iter().collect();
    let standing = [
        pair("identity.denied", &other),
        pair("identity.denied", &spiffe_id("node", "n3")),
        pair("certificate.revoked", issued.serial()),
        pair("token.revoked", jti),
        pair("ca.revoked", ski),
    ];
    assert!(standing.iter().all(|line| anew.contains(line)), "{anew:?}");
}

#[test]
fn a_denial_holds_while_the_journal_cannot_be_written_and_gets_there_later() {
    let places = Places::new();
    fs::remove_dir(places.backups()).unwrap();
    let pki = Pki::initialized(places.launch());
    pki.logged("Journal of denials not written — a restore would not know of the newest denials: see that CATALYST_PKI_BACKUP_DIR is there, has room and can be written to; it is tried again", "denied.jsonl");
    let node = spiffe_id("node", "n1");
    assert_eq!(pki.deny(&node, false)["journalPending"], true);
    assert_eq!(ok(&pki.get("/pki/identities/denied"))[0]["spiffeId"], node);
    assert_ne!(pending(&pki).unwrap(), "0");
    let status = ok(&pki.get("/pki/status"));
    assert_eq!(status["status"], "degraded");
    assert!(status["warnings"].to_string().contains("denials are not written to their journal"), "{status}");
    let (code, _, stderr) =
        run(&pki.service, &["pki", "identity", "deny", &spiffe_id("node", "n2"), "--reason", "out"]);
    assert_eq!(code, 0);
    assert!(stderr.contains("does not stand in the journal of denials yet"), "{stderr}");

    fs::create_dir(places.backups()).unwrap();
    eventually("a journal that is whole", || (pending(&pki).as_deref() == Some("0")).then_some(()));
    let lines: BTreeSet<_> = told(&places.lines()).into_iter().collect();
    let expected = [pair("identity.denied", &node), pair("identity.denied", &spiffe_id("node", "n2"))];
    assert_eq!(lines, BTreeSet::from(expected));
    pki.logged("Journal of denials is written again", "backups");
    assert!(!ok(&pki.get("/pki/status"))["warnings"].to_string().contains("journal"));
}

#[test]
fn a_journal_that_is_not_this_services_is_refused_at_the_start() {
    let places = Places::new();
    let mut pki = Pki::initialized(places.launch());
    pki.deny(&spiffe_id("node", "n1"), false);
    assert!(pki.service.stop().unwrap().success());
    let own = fs::read_to_string(places.file()).unwrap();

    let foreign = own.replace(places.lines()[0]["deployment"].as_str().unwrap(), "ffffffffffffffff");
    fs::write(places.file(), &foreign).unwrap();
    let refused = || {
        let (status, log) = places.launch().run_to_end().unwrap();
        assert_eq!(status.code(), Some(1), "{log}");
        log
    };
    let log = refused();
    assert!(log.contains("journal of the deployment ffffffffffffffff"), "{log}");
    assert_eq!(fs::read_to_string(places.file()).unwrap(), foreign);

    let elsewhere = places.root.path().join("elsewhere");
    fs::rename(places.file(), &elsewhere).unwrap();
    symlink(&elsewhere, places.file()).unwrap();
    assert!(refused().contains("symbolic link"));

    fs::remove_file(places.file()).unwrap();
    let pki = Pki::start(places.launch()).ready();
    eventually("the journal anew", || (places.lines().len() == 1).then_some(()));
    assert_eq!(places.lines()[0]["seq"], 0, "it is told from what stands");
    pki.still_works();
}

/// Denials go on while the service is killed again and again: between the commit and the line, too.
#[test]
fn no_denial_that_has_committed_is_missing_after_a_kill() {
    let places = Places::new();
    let mut pki = Pki::initialized(places.launch());
    for round in 0..12 {
        let ended = AtomicBool::new(false);
        thread::scope(|scope| {
            for number in 0..3 {
                let (admin, ended) = (pki.admin.clone(), &ended);
                scope.spawn(move || {
                    for count in 0.. {
                        let id = spiffe_id("node", &format!("n-{round}-{number}-{count}"));
                        let asked =
                            admin.post("/pki/identities/deny", &json!({"spiffeId": id, "reason": "out"}));
                        if ended.load(Relaxed) || asked.is_err() {
                            break;
                        }
                    }
                });
            }
            // Later each time, so that it falls into all that is done.
            let enough = 3 + round;
            eventually("denials", || (denials(&places.file(), round) >= enough).then_some(()));
            pki.service.kill().unwrap();
            ended.store(true, Relaxed);
        });
        pki = Pki::start(places.launch());
        let denied = ok(&pki.get("/pki/identities/denied"));
        let denied: BTreeSet<_> = denied
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["spiffeId"].as_str().unwrap().to_owned())
            .collect();
        eventually("all that stands in the journal", || {
            let text = fs::read_to_string(places.file()).unwrap();
            let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let told: BTreeSet<_> = lines.map(|line| line["subject"].as_str().unwrap().to_owned()).collect();
            denied.is_subset(&told).then_some(())
        });
    }
}

fn denials(file: &Path, round: usize) -> usize {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().filter(|line| line.contains(&format!("/n-{round}-"))).count()
}
