//! Backups that the service makes by itself, and what it is told of them.

use crate::{
    backup::{Kept, done, names, run},
    deployment::{exit, until},
};
use catalyst_rigs::{Launch, Service, http::Client};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

const LOCK: &str = ".catalyst-backups.lock";
const JOURNAL: &str = "denied.jsonl";

impl Kept {
    /// The service with a directory of backups, one so many seconds after the other.
    pub(crate) fn scheduled(&self, seconds: &str, keep: &str) -> Launch {
        self.dressed(self.deployment.launch(), seconds, keep)
    }

    pub(crate) fn dressed(&self, launch: Launch, seconds: &str, keep: &str) -> Launch {
        launch
            .env("CATALYST_PKI_BACKUP_DIR", self.backups().to_str().unwrap())
            .env("CATALYST_PKI_BACKUP_RECIPIENTS", &self.recipient)
            .env("CATALYST_PKI_BACKUP_INTERVAL", seconds)
            .env("CATALYST_PKI_BACKUP_KEEP", keep)
    }

    /// Files of backups.
    pub(crate) fn made(&self) -> Vec<String> {
        let is_other = |name: &str| [LOCK, JOURNAL].contains(&name) || name.ends_with(".hook");
        names(&self.backups()).into_iter().filter(|name| !is_other(name)).collect()
    }

    /// The names of backups for which the hook has still to succeed.
    pub(crate) fn marked(&self) -> Vec<String> {
        let names = names(&self.backups()).into_iter();
        names.filter_map(|name| Some(name.strip_prefix('.')?.strip_suffix(".hook")?.to_owned())).collect()
    }

    /// A program beside the directory of backups.
    pub(crate) fn hook(&self, text: &str) -> PathBuf {
        let path = self.deployment.beside("hook");
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        path
    }
}

/// Starts it, and makes the hierarchy.
pub(crate) fn initialized(kept: &Kept, launch: Launch) -> (Service, Client) {
    let service = launch.start().unwrap();
    let client = kept.deployment.admin(&service);
    let made = client.post("/pki/initialize", &json!({})).unwrap();
    assert_eq!(made.status, 200, "{}", made.text());
    (service, client)
}

pub(crate) fn status(client: &Client) -> Value {
    client.get("/pki/status").unwrap().json().unwrap()
}

pub(crate) fn metric(service: &Service, name: &str) -> Option<f64> {
    let metrics = service.http().get("/metrics").unwrap().text();
    metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

#[test]
fn the_service_makes_backups_and_keeps_as_many_as_are_wanted_of_its_own() {
    let kept = Kept::new();
    let others = ["catalyst-0123456789abcdef-20200101T000000Z.tar.zst.age", "mine.tar.zst.age", "notes.txt"];
    for name in others {
        fs::write(kept.backups().join(name), "another's").unwrap();
    }
    let log = kept.deployment.beside("uploaded");
    let hook = kept.hook(&format!("env | grep -c CATALYST_ >> '{0}'; echo \"$1\" >> '{0}'", log.display()));
    let launch = kept.scheduled("1", "2").env("CATALYST_PKI_BACKUP_HOOK", hook.to_str().unwrap());
    let (mut service, client) = initialized(&kept, launch);
    let uploaded = || fs::read_to_string(&log).unwrap_or_default().lines().count() / 2;
    until("four are made", || (uploaded() >= 4).then_some(()));
    let backup =
        until("the status tells of it", || status(&client)["backup"]["lastAt"].as_str().map(str::to_owned));
    assert!(backup.ends_with('Z'), "{backup}");
    let age = metric(&service, "catalyst_pki_backup_age_seconds").unwrap();
    assert!(age >= 0.0 && metric(&service, "catalyst_pki_backup_size_bytes").unwrap() > 1_000.0);
    assert_eq!(metric(&service, "catalyst_pki_backup_failure_total{step=\"backup\"}"), Some(0.0));
    service.wait_for("Old backup deleted").unwrap();
    let made = service.wait_for("Backup made").unwrap();
    assert!(
        made.properties["rows"].as_u64().unwrap() > 10 && made.properties["seconds"].is_number(),
        "{made:?}"
    );
    assert!(service.stop().unwrap().success());
    // One may have been made and not yet cleared after.
    let own: Vec<_> = kept.made().into_iter().filter(|name| !others.contains(&name.as_str())).collect();
    assert!((2..=3).contains(&own.len()), "{own:?}");
    for name in &own {
        done(kept.verify(name, &["--trust-on-first-use"]));
    }
    for name in others {
        assert!(kept.backups().join(name).exists(), "{name}");
    }
    let said = fs::read_to_string(&log).unwrap();
    assert!(said.lines().step_by(2).all(|count| count == "0"), "{said}");
    assert!(said.contains(&format!("{}/catalyst-", kept.backups().display())), "{said}");
    assert_eq!(kept.left(), Vec::<String>::new());
}

#[test]
fn restarts_make_neither_more_nor_fewer_and_a_damaged_one_does_not_count() {
    let kept = Kept::new();
    let (mut service, _) = initialized(&kept, kept.scheduled("3600", "7"));
    service.wait_for("Backup made").unwrap();
    service.stop().unwrap();
    let first = kept.made();
    assert_eq!(first.len(), 1);
    for _ in 0..2 {
        let mut service = kept.scheduled("3600", "7").start().unwrap();
        let client = kept.deployment.admin(&service);
        until("it has looked", || status(&client)["backup"]["lastAt"].as_str().map(drop));
        service.stop().unwrap();
        assert_eq!(kept.made(), first);
    }
    let path = kept.backups().join(&first[0]);
    let whole = fs::read(&path).unwrap();
    // Older than the one that is made now.
    let earlier = format!("{}-20260101T000000Z.tar.zst.age", first[0].rsplit_once('-').unwrap().0);
    fs::remove_file(&path).unwrap();
    fs::write(kept.backups().join(&earlier), &whole[..100]).unwrap();
    let mut service = kept.scheduled("3600", "1").start().unwrap();
    service.wait_for("Backup made").unwrap();
    service.wait_for("Backup is damaged — it is kept, and does not count").unwrap();
    service.stop().unwrap();
    let made = kept.made();
    assert!(made.len() == 2 && made.contains(&earlier), "{made:?}");
}

/// What was cut off at the end of a chunk has a header and a length that look right.
#[test]
fn a_backup_whose_size_changes_while_the_service_runs_does_not_count() {
    let kept = Kept::new();
    let (mut service, client) = initialized(&kept, kept.scheduled("2", "1"));
    service.wait_for("Backup made").unwrap();
    let cut = kept.made().remove(0);
    let path = kept.backups().join(&cut);
    let whole = fs::metadata(&path).unwrap().len();
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(whole - 1_000).unwrap();
    let line = service.wait_for("Backup is damaged — it is kept, and does not count").unwrap();
    assert_eq!(line.properties["error"], format!("it has {} octets, and had {whole}", whole - 1_000));
    until("another one counts", || {
        let size = status(&client)["backup"]["lastSize"].as_u64()?;
        (size != whole - 1_000).then_some(())
    });
    service.wait_for("Old backup deleted").unwrap();
    service.stop().unwrap();
    assert!(kept.made().contains(&cut), "{:?}", kept.made());
}

#[test]
fn in_recovery_none_is_made_and_those_that_lie_there_are_told() {
    let kept = Kept::new();
    let (mut service, _) = initialized(&kept, kept.scheduled("1", "9"));
    service.wait_for("Backup made").unwrap();
    service.stop().unwrap();
    let store = Connection::open(kept.deployment.data_dir().join("certs.db")).unwrap();
    let sql = "INSERT INTO restoration (snapshot_at, restored_at) VALUES (1770940800000, 1770940900000)";
    store.execute(sql, []).unwrap();
    drop(store);
    let before = kept.made();
    let service = kept.scheduled("1", "9").start().unwrap();
    let client = kept.deployment.admin(&service);
    let told =
        until("the newest is told", || status(&client)["backup"]["lastAt"].as_str().map(str::to_owned));
    let newest = before.last().unwrap();
    assert!(newest.contains(&told[..19].replace(['-', ':'], "")), "{newest} {told}");
    assert_eq!(status(&client)["status"], "recovery");
    assert!(metric(&service, "catalyst_pki_backup_age_seconds").unwrap() >= 0.0);
    let warnings = status(&client)["warnings"].to_string();
    assert!(!warnings.contains("overdue"), "{warnings}");
    assert_eq!(kept.made(), before);
    let confirmed = client.post("/pki/recovery/confirm", &json!({"oldInstanceIsGone": true})).unwrap();
    assert_eq!(confirmed.status, 200, "{}", confirmed.text());
    until("the next is made", || (kept.made().len() > before.len()).then_some(()));
}

#[test]
fn settings_with_which_nobody_could_open_a_backup_stop_the_start() {
    let kept = Kept::new();
    let (dir, launch) = (kept.backups(), || kept.deployment.launch());
    let dir = dir.to_str().unwrap();
    let with =
        |launch: Launch, settings: &[(&str, &str)]| {
            let all = settings.iter();
            exit(all.fold(launch, |launch, (name, value)| {
                launch.env(&format!("CATALYST_PKI_BACKUP_{name}"), value)
            }))
        };
    let no_hook = kept.deployment.beside("passphrase");
    let no_hook = no_hook.to_str().unwrap();
    let anybodys = kept.hook("true");
    fs::set_permissions(&anybodys, fs::Permissions::from_mode(0o777)).unwrap();
    let anybodys = anybodys.to_str().unwrap();
    let identity = fs::read_to_string(kept.deployment.beside("identity")).unwrap();
    let identity = identity.lines().last().unwrap();
    for (settings, wanted_code, wanted) in [
        (vec![("DIR", dir)], 2, "set CATALYST_PKI_BACKUP_INTERVAL to 0 for the journal of denials alone"),
        (
            vec![("DIR", dir), ("RECIPIENTS", "age1nobody")],
            2,
            "CATALYST_PKI_BACKUP_RECIPIENTS (env): recipient 1 is none",
        ),
        (vec![("DIR", dir), ("RECIPIENTS", identity)], 2, "keep it away from this machine"),
        (vec![("HOOK", "/bin/true")], 2, "CATALYST_PKI_BACKUP_DIR is not"),
        // Files and directories may be mended without another setting.
        (vec![("DIR", dir), ("RECIPIENTS", &kept.recipient), ("HOOK", no_hook)], 1, "cannot be run"),
        (vec![("DIR", dir), ("RECIPIENTS", &kept.recipient), ("HOOK", anybodys)], 1, "chmod o-w"),
        (vec![("DIR", no_hook), ("RECIPIENTS", &kept.recipient)], 1, "is no directory"),
    ] {
        let (code, log) = with(launch(), &settings);
        assert_eq!(code, wanted_code, "{settings:?}: {log}");
        assert!(log.contains(wanted) && !log.contains("AGE-SECRET"), "{settings:?}: {log}");
    }
    fs::set_permissions(dir, fs::Permissions::from_mode(0o777)).unwrap();
    let (_, log) = with(launch(), &[("DIR", dir), ("RECIPIENTS", &kept.recipient)]);
    assert!(log.contains("chmod o-w"), "{log}");
    assert!(!kept.deployment.data_dir().join("certs.db").exists());
}

#[test]
fn a_verified_backup_is_reported_and_only_to_its_own_service() {
    let kept = Kept::new();
    let (mut service, client) = initialized(&kept, kept.scheduled("3600", "7"));
    service.wait_for("Backup made").unwrap();
    let name = kept.made().pop().unwrap();
    let root = status(&client)["rootCa"]["fingerprint"].as_str().unwrap().to_owned();
    let url = format!("http://{}", service.address());
    let token = kept.deployment.data_dir().join("system-token");
    let reported = |url: &str, more: &[&str]| {
        let token = token.to_str().unwrap();
        let args = ["--root-fingerprint", &root, "--report-to", url, "--token-file", token];
        run(kept.verify(&name, &[&args, more].concat()))
    };
    let (code, stdout, stderr) = reported(&url, &[]);
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    let backup = &status(&client)["backup"];
    assert!(backup["verifiedAt"].is_string() && backup["verifiedCreatedAt"].is_string(), "{backup}");
    assert!(metric(&service, "catalyst_pki_backup_verified_age_seconds").unwrap() >= 0.0);
    let audit = client.get("/pki/audit?limit=1000").unwrap().text();
    assert!(audit.contains("backup.verified"), "{audit}");

    // What was not wholly looked at is not reported.
    let (code, _, stderr) = reported(&url, &["--keys-unchecked"]);
    assert_eq!(code, 2, "{stderr}");
    let (code, ..) = reported("http://127.0.0.1:1", &[]);
    assert_eq!(code, 4);
    let other = Kept::new();
    let (other_service, other_client) = other.deployment.initialized();
    let theirs = other.deployment.data_dir().join("system-token");
    let (code, _, stderr) = {
        let url = format!("http://{}", other_service.address());
        let args =
            ["--root-fingerprint", &root, "--report-to", &url, "--token-file", theirs.to_str().unwrap()];
        run(kept.verify(&name, &args))
    };
    assert_eq!(code, 5, "{stderr}");
    assert!(stderr.contains("report it to its own"), "{stderr}");
    assert!(status(&other_client).get("backup").is_none());
    for (report, wanted) in [
        (json!({"manifestSha256": "ab", "createdAt": "2026-02-13T16:00:00Z"}), 400),
        (json!({"manifestSha256": "ab".repeat(32), "createdAt": "yesterday"}), 400),
        (json!({"manifestSha256": "ab".repeat(32), "createdAt": "2999-02-13T16:00:00Z"}), 422),
    ] {
        let mut report = report;
        report["deployment"] = name.split('-').nth(1).unwrap().into();
        let answer = client.post("/pki/backups/verified", &report).unwrap();
        assert_eq!(answer.status, wanted, "{}", answer.text());
    }
    // It is still known after a restart.
    service.stop().unwrap();
    let service = kept.deployment.start();
    let client = kept.deployment.admin(&service);
    assert!(status(&client)["backup"]["verifiedAt"].is_string());
}

/// Takes the last step of the schema back, as a store of the version before has it.
pub(crate) fn of_schema_2(certs_db: &Path) {
    let store = Connection::open(certs_db).unwrap();
    store
        .execute_batch(
            "DROP TABLE restoration; DROP TABLE backup_verified;
            ALTER TABLE deployment DROP COLUMN journalled_seq; PRAGMA user_version = 2;",
        )
        .unwrap();
}

pub(crate) fn schema(certs_db: &Path) -> i64 {
    Connection::open(certs_db).unwrap().pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
}

#[test]
fn something_is_kept_of_a_store_before_its_schema_changes() {
    let kept = Kept::new();
    let (mut service, client) = kept.deployment.initialized();
    let root = status(&client)["rootCa"]["fingerprint"].as_str().unwrap().to_owned();
    service.stop().unwrap();
    let certs_db = kept.deployment.data_dir().join("certs.db");
    of_schema_2(&certs_db);
    let copy = kept.deployment.data_dir().join("certs.db.before-schema-3");

    let planned = Kept { deployment: kept.deployment.copy(), recipient: kept.recipient.clone() };
    let mut service = planned.scheduled("86400", "7").start().unwrap();
    let made = service.wait_for("Backup made before the schema changes").unwrap();
    assert_eq!((&made.properties["from"], &made.properties["to"]), (&2.into(), &3.into()));
    planned.deployment.admin(&service);
    service.stop().unwrap();
    assert_eq!(schema(&planned.deployment.data_dir().join("certs.db")), 3);
    let backups = planned.made();
    assert_eq!(backups.len(), 1, "the next is due in a day");
    let (stdout, _) = done(planned.verify(&backups[0], &["--root-fingerprint", &root, "--output", "json"]));
    let verified: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(verified["manifest"]["store"]["schema"], 2, "{stdout}");
    assert!(!planned.deployment.data_dir().join("certs.db.before-schema-3").exists());

    // Where the key that vouches for a backup can't be had, and where none is planned, a copy stays beside the store.
    let keyless = Kept { deployment: kept.deployment.copy(), recipient: kept.recipient.clone() };
    let key = keyless.deployment.key_file("services-1");
    fs::rename(&key, keyless.deployment.beside("away")).unwrap();
    let mut service = keyless.scheduled("86400", "7").start().unwrap();
    service
        .wait_for("Backup before the schema changes not made — a copy is kept beside the store instead")
        .unwrap();
    service.stop().unwrap();
    assert_eq!(schema(&keyless.deployment.data_dir().join("certs.db.before-schema-3")), 2);
    assert_eq!(keyless.made(), Vec::<String>::new());

    let mut service = kept.deployment.start();
    service.wait_for("Copy of the store kept before the schema changes").unwrap();
    service.stop().unwrap();
    assert_eq!((schema(&copy), schema(&certs_db)), (2, 3));
    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    let mut service = kept.deployment.start();
    kept.deployment.admin(&service);
    service.stop().unwrap();
    assert!(!service.log().contains("schema changes"), "only once");
}
