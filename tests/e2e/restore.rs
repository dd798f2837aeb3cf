//! Backups put back: what was known after them still holds, and nothing is replaced or believed unasked.

use crate::{
    backup::{Kept, done, names, run},
    deployment::{Deployment, Holder, until},
};
use catalyst_rigs::{Launch, catalyst, http::Client};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

/// A deployment whose backup `a.age` was made, with the service stopped, and the root's fingerprint.
pub(crate) struct Backed {
    pub(crate) kept: Kept,
    root: String,
    /// The CRLs of that time, PEM.
    crls: String,
}

impl Backed {
    pub(crate) fn new() -> Self {
        let kept = Kept::new();
        let (service, client) = kept.deployment.initialized();
        let root = kept.root(&client);
        done(kept.create(&["--output", "a.age"]));
        let crls = until("every CA has a CRL", || {
            let text = client.get("/pki/crl").unwrap().text();
            (text.matches("-----BEGIN X509 CRL-----").count() == 3).then_some(text)
        });
        drop(service);
        Self { kept, root, crls }
    }

    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.kept.deployment.beside(name)
    }

    pub(crate) fn restore(&self, into: &Path, args: &[&str]) -> Command {
        restore(&self.kept, &self.root, into, args)
    }
}

fn restore(kept: &Kept, root: &str, into: &Path, args: &[&str]) -> Command {
    let mut command = kept.command(&["restore", "a.age", "--root-fingerprint", root]);
    command.env_remove("CATALYST_PKI_CERTS_DB").arg("--into").arg(into).args(args);
    command.arg("--identity").arg(kept.deployment.beside("identity"));
    command
}

pub(crate) fn launch(deployment: &Deployment, directory: &Path) -> Launch {
    let passphrase = deployment.beside("passphrase");
    let launch = Launch::new(&catalyst().unwrap(), directory);
    launch.env("CATALYST_PKI_LOCAL_PASSPHRASE_FILE", passphrase.to_str().unwrap())
}

/// What the audit log has of what the journal is made of, as the service writes it there.
fn journal(data_dir: &Path) -> String {
    let store = Connection::open(data_dir.join("certs.db")).unwrap();
    let deployment: String = store.query_row("SELECT id FROM deployment", (), |row| row.get(0)).unwrap();
    let issuer_of = |serial: &str| -> (String, i64) {
        let sql =
            "SELECT lower(hex(ca.ski)), c.not_after FROM certificate_record AS c JOIN ca ON ca.id = c.issuer
             WHERE lower(hex(c.serial)) = ?1";
        store.query_row(sql, [serial], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
    };
    let sql = "SELECT seq, at, action, subject, detail FROM audit WHERE action IN ('identity.denied',
         'identity.allowed', 'certificate.revoked', 'ca.revoked', 'token.revoked', 'secret.revoked') ORDER BY seq";
    let mut statement = store.prepare(sql).unwrap();
    let mut rows = statement.query(()).unwrap();
    let mut text = String::new();
    while let Some(row) = rows.next().unwrap() {
        let (action, subject): (String, String) = (row.get(2).unwrap(), row.get(3).unwrap());
        let mut detail: Value = serde_json::from_str(&row.get::<_, String>(4).unwrap()).unwrap();
        if action == "certificate.revoked" {
            let (issuer, not_after) = issuer_of(&subject);
            detail["issuer"] = issuer.into();
            detail["notAfter"] = not_after.into();
        }
        let (seq, at): (i64, i64) = (row.get(0).unwrap(), row.get(1).unwrap());
        let line = json!({"deployment": deployment, "seq": seq, "at": at, "action": action,
            "subject": subject, "detail": detail});
        text.push_str(&format!("{line}\n"));
    }
    text
}

pub(crate) fn one<T: rusqlite::types::FromSql>(data_dir: &Path, sql: &str) -> T {
    let store = Connection::open(data_dir.join("certs.db")).unwrap();
    store.query_row(sql, (), |row| row.get(0)).unwrap()
}

/// A number of a CRL, as `openssl` reads it.
fn crl_number(der: &Path) -> i64 {
    let mut openssl = Command::new("openssl");
    openssl.args(["crl", "-noout", "-crlnumber", "-in"]).arg(der);
    let said = String::from_utf8(openssl.output().unwrap().stdout).unwrap();
    i64::from_str_radix(said.trim().trim_start_matches("crlNumber=").trim_start_matches("0x"), 16).unwrap()
}

fn post(client: &Client, path: &str, body: &Value) -> Value {
    let answer = client.post(path, body).unwrap();
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json().unwrap()
}

fn save_crl(client: &Client, to: &Path) {
    let answer = client.get("/pki/crl/services").unwrap();
    assert_eq!(answer.status, 200);
    fs::write(to, answer.body).unwrap();
}

#[test]
fn what_was_known_after_the_backup_still_holds() {
    let kept = Kept::new();
    let (service, client) = kept.deployment.initialized();
    let root = kept.root(&client);
    let gateways: Vec<_> = (0..4).map(|n| Holder::new("gateway", &format!("g-{n}.example.org"))).collect();
    let before: Vec<_> = gateways.iter().map(|holder| holder.get(&client)).collect();
    assert_eq!(gateways[3].deny(&client).unwrap().status, 200);
    done(kept.create(&["--output", "a.age"]));

    // After the backup: one denied, one revoked, one issued and revoked, one allowed.
    assert_eq!(gateways[0].deny(&client).unwrap().status, 200);
    let serial = |certificate: &Value| certificate["serial"].as_str().unwrap().to_owned();
    let revoke = |serial: &str| {
        post(&client, &format!("/pki/certificates/{serial}/revoke"), &json!({"reason": "keyCompromise"}))
    };
    revoke(&serial(&before[1]));
    let late = serial(&Holder::new("gateway", "late.example.org").get(&client));
    revoke(&late);
    assert_eq!(gateways[3].allow(&client).unwrap().status, 200);
    let crl = kept.deployment.beside("services.crl");
    until("the CRL has both", || {
        save_crl(&client, &crl);
        let mut openssl = Command::new("openssl");
        openssl.args(["crl", "-noout", "-text", "-in"]).arg(&crl);
        let said = String::from_utf8(openssl.output().unwrap().stdout).unwrap().to_lowercase();
        [&serial(&before[1]), &late].iter().all(|serial| said.contains(&serial.to_lowercase())).then_some(())
    });
    let all = kept.deployment.beside("newest.crl");
    fs::write(&all, client.get("/pki/crl").unwrap().body).unwrap();
    let old_token = kept.deployment.token().unwrap();
    let (bundle, spiffe): (i64, i64) = {
        let data = kept.deployment.data_dir();
        (
            one(&data, "SELECT bundle_version FROM deployment"),
            one(&data, "SELECT spiffe_sequence FROM deployment"),
        )
    };
    drop(service);
    let mut lines = journal(&kept.deployment.data_dir());
    lines.push_str("{\"deployment\":\"0123");
    fs::write(kept.backups().join("denied.jsonl"), lines).unwrap();
    fs::remove_dir_all(kept.deployment.data_dir()).unwrap();

    let into = kept.deployment.beside("elsewhere");
    let all = all.to_str().unwrap().to_owned();
    let (stdout, stderr) = done(restore(&kept, &root, &into, &["--crl", &all]));
    assert!(stdout.starts_with("[ok] Backup restored: ") && stdout.contains("Newer CRLs: 1"), "{stdout}");
    assert!(stdout.contains("denied.jsonl (5 lines)") && stdout.contains("Identities denied: 1"), "{stdout}");
    assert!(stderr.contains(&format!("{} stays denied", gateways[3].spiffe_id)), "{stderr}");
    let steps = ["catalyst token recover --data-dir", "start the service", "pki recovery confirm"];
    let places: Vec<_> =
        steps.iter().map(|step| stderr.find(step).unwrap_or_else(|| panic!("{stderr}"))).collect();
    assert!(places.is_sorted(), "{stderr}");
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(into.clone()), 0o700);
    assert_eq!(names(&into), ["catalyst.lock", "certs.db", "keys"]);
    assert_eq!((mode(into.join("keys")), mode(into.join("certs.db"))), (0o700, 0o600));
    assert_eq!(mode(into.join("keys/services-1.pem")), 0o600);

    assert!(one::<i64>(&into, "SELECT bundle_version FROM deployment") > bundle);
    assert!(one::<i64>(&into, "SELECT spiffe_sequence FROM deployment") > spiffe);
    assert!(one::<i64>(&into, "SELECT max(reserved_number) FROM crl") >= crl_number(&crl));
    assert_eq!(one::<i64>(&into, "SELECT count(*) FROM token WHERE revoked_at IS NULL"), 0);
    assert_eq!(one::<i64>(&into, "SELECT count(*) FROM restoration WHERE confirmed_at IS NULL"), 1);
    assert_eq!(one::<i64>(&into, "SELECT count(*) FROM denied_identity"), 2);
    let states = "SELECT group_concat(state, ',') FROM (SELECT state FROM certificate_record WHERE identity IS NOT NULL AND common_name LIKE 'g-%' ORDER BY common_name)";
    assert_eq!(one::<String>(&into, states), "1,2,0,1");
    let on_crl = format!("SELECT count(*) FROM crl_entry WHERE lower(hex(serial)) = '{late}'");
    assert_eq!(one::<i64>(&into, &on_crl), 1);

    // What the hints say, works.
    let mut recover = Command::new(catalyst().unwrap());
    recover.args(["token", "recover", "--data-dir"]).arg(&into).env_clear();
    recover.env("CATALYST_PKI_LOCAL_PASSPHRASE_FILE", kept.deployment.beside("passphrase"));
    // As in a shell in which clients are called: it is what this command makes.
    recover.env("CATALYST_AUTH_TOKEN_FILE", into.join("system-token"));
    let (_, stderr) = done(recover);
    assert!(!stderr.contains("earlier system tokens stay good"), "{stderr}");
    let service = launch(&kept.deployment, &into).start().unwrap();
    let token = fs::read_to_string(into.join("system-token")).unwrap().trim().to_owned();
    let client = service.http().with_token(&token);
    until("credentials are checked", || (client.get("/pki/status").unwrap().status == 200).then_some(()));
    assert_eq!(service.http().with_token(&old_token).get("/pki/status").unwrap().status, 401);
    for certificate in &before {
        let path = format!("/pki/certificates/{}", serial(certificate));
        assert_eq!(client.get(&path).unwrap().status, 200);
    }
    until("a CRL of its own is served", || {
        let now = kept.deployment.beside("now.crl");
        save_crl(&client, &now);
        (crl_number(&now) > crl_number(&crl)).then_some(())
    });
    drop(service);
}

#[test]
fn a_store_that_is_there_is_kept_and_only_put_aside_by_force() {
    let backed = Backed::new();
    let data = backed.kept.deployment.data_dir();
    let before = fs::read(data.join("certs.db")).unwrap();
    let (code, _, stderr) = run(backed.restore(&data, &[]));
    assert_eq!(code, 2);
    assert!(stderr.contains("holds a store already") && stderr.contains("--force"), "{stderr}");
    let service = backed.kept.deployment.start();
    let (code, _, stderr) = run(backed.restore(&data, &["--force"]));
    assert_eq!(code, 1);
    assert!(stderr.contains(&format!("process {}", service.pid())), "{stderr}");
    drop(service);
    let before_names = names(&data);
    let (stdout, _) = done(backed.restore(&data, &["--force", "--output", "json"]));
    let json: Value = serde_json::from_str(&stdout).unwrap();
    let aside = PathBuf::from(json["aside"].as_str().unwrap());
    assert_eq!(aside.parent().unwrap(), data);
    let kept: Vec<_> = names(&aside);
    let stays = |name: &String| ["audit", "catalyst.lock"].contains(&name.as_str());
    assert_eq!(kept, before_names.into_iter().filter(|name| !stays(name)).collect::<Vec<_>>());
    let kept_deployment: String = one(&aside, "SELECT id FROM deployment");
    assert_eq!(json["deployment"], kept_deployment);
    assert!(before.starts_with(b"SQLite format 3"));

    // Another deployment's directory is not for it, by force neither; one that is not initialized is nobody's.
    let other = Backed::new();
    let theirs = other.kept.deployment.data_dir();
    let (code, _, stderr) = run(backed.restore(&theirs, &["--force"]));
    assert_eq!(code, 2);
    assert!(stderr.contains("holds the store of the deployment"), "{stderr}");
    let empty = backed.beside("empty");
    fs::create_dir(&empty).unwrap();
    drop(launch(&backed.kept.deployment, &empty).start().unwrap());
    done(backed.restore(&empty, &["--force"]));
}

/// Without a journal beside the backup: the store that is put aside knows, and so does the directory of backups.
#[test]
fn what_the_store_of_before_and_the_settings_journal_know_still_holds() {
    let kept = Kept::new();
    let (service, client) = kept.deployment.initialized();
    let root = kept.root(&client);
    let holders: Vec<_> = (0..3).map(|n| Holder::new("gateway", &format!("g-{n}.example.org"))).collect();
    let issued: Vec<_> = holders.iter().map(|holder| holder.get(&client)).collect();
    done(kept.create(&["--output", "a.age"]));
    holders[..2].iter().for_each(|holder| assert_eq!(holder.deny(&client).unwrap().status, 200));
    let serial = issued[2]["serial"].as_str().unwrap();
    post(&client, &format!("/pki/certificates/{serial}/revoke"), &json!({"reason": "keyCompromise"}));
    drop(service);
    let data = kept.deployment.data_dir();
    let journals = kept.deployment.beside("journals");
    fs::create_dir(&journals).unwrap();
    fs::write(journals.join("denied.jsonl"), journal(&data)).unwrap();

    let facts = |stdout: &str| {
        let json: Value = serde_json::from_str(stdout).unwrap();
        let lines: Vec<_> = json["journals"].as_array().unwrap().iter().map(|j| j["lines"].clone()).collect();
        (json["denied"].clone(), json["revoked"].clone(), json["stood"].clone(), lines)
    };
    // In the settings alone; and beside the backup as well, where it counts once.
    for directory in [journals.clone(), kept.backups()] {
        fs::copy(journals.join("denied.jsonl"), directory.join("copy")).unwrap();
        fs::rename(directory.join("copy"), directory.join("denied.jsonl")).unwrap();
        let into = kept.deployment.beside("elsewhere");
        let mut command = restore(&kept, &root, &into, &["--output", "json"]);
        command.env("CATALYST_PKI_BACKUP_DIR", &directory).env("CATALYST_PKI_BACKUP_INTERVAL", "0");
        let (stdout, _) = done(command);
        assert_eq!(facts(&stdout), (json!(2), json!(1), Value::Null, vec![json!(3)]));
        fs::remove_dir_all(into).unwrap();
    }
    fs::remove_file(kept.backups().join("denied.jsonl")).unwrap();
    let (stdout, stderr) = done(restore(&kept, &root, &data, &["--force", "--output", "json"]));
    let (denied, revoked, stood, lines) = facts(&stdout);
    assert_eq!((denied, revoked, lines), (json!(2), json!(1), vec![]));
    assert!(stood.as_i64().unwrap() >= 3 && !stderr.contains("nothing is known"), "{stood}: {stderr}");
    assert_eq!(one::<i64>(&data, "SELECT count(*) FROM denied_identity"), 2);

    // What can't be read is told.
    fs::write(data.join("certs.db"), "no store").unwrap();
    let (_, stderr) = done(restore(&kept, &root, &data, &["--force"]));
    assert!(stderr.contains("in the store that lay here is not known"), "{stderr}");
}

#[test]
fn what_a_restore_does_not_take_is_named_and_changes_nothing() {
    let backed = Backed::new();
    let into = backed.beside("elsewhere");
    let left = |stderr: &str| assert_eq!(names(&into), ["catalyst.lock"], "{stderr}");
    let mut command = backed.restore(&into, &[]);
    command.env_remove("CATALYST_PKI_LOCAL_PASSPHRASE_FILE");
    let (code, _, stderr) = run(command);
    assert_eq!(code, 6, "{stderr}");
    assert!(stderr.contains("--keys-unchecked") && stderr.contains("--local-passphrase-file"), "{stderr}");
    left(&stderr);
    fs::write(backed.kept.deployment.beside("wrong"), "not the passphrase of it\n").unwrap();
    let mut command = backed.restore(&into, &[]);
    command.env("CATALYST_PKI_LOCAL_PASSPHRASE_FILE", backed.kept.deployment.beside("wrong"));
    let (code, _, stderr) = run(command);
    assert_eq!(code, 3, "{stderr}");
    assert!(stderr.contains("does not open with this passphrase"), "{stderr}");
    assert!(!stderr.contains("--keys-unchecked") && !stderr.contains(".catalyst-backup"), "{stderr}");
    left(&stderr);

    let file = backed.kept.deployment.beside("file");
    fs::write(&file, "no CRL").unwrap();
    let other = Backed::new();
    let service = other.kept.deployment.start();
    let theirs = other.kept.deployment.beside("services.crl");
    save_crl(&service.http(), &theirs);
    let mixed = backed.beside("mixed.crl");
    let both = [backed.crls.clone(), service.http().get("/pki/crl").unwrap().text()].concat();
    fs::write(&mixed, both).unwrap();
    drop(service);
    let cut = backed.beside("cut.crl");
    fs::write(&cut, &backed.crls[..backed.crls.len() - 30]).unwrap();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    for (args, said) in [
        (["--crl", &text(&file)], "is not taken"),
        (["--crl", &text(&theirs)], "which is not in the backup"),
        (["--crl", &text(&mixed)], "of its 6 PEM blocks the one number 4 is not taken: it is of the CA"),
        (["--crl", &text(&cut)], "of its 3 PEM blocks the one number 3 is not taken: its PEM cannot be read"),
        (["--crl", "absent.crl"], "absent.crl"),
        (["--denied", "absent.jsonl"], "absent.jsonl"),
    ] {
        let (code, _, stderr) = run(backed.restore(&into, &args));
        assert!([1, 2].contains(&code) && stderr.contains(said), "{args:?}: {stderr}");
        left(&stderr);
    }
    let (code, _, stderr) = run(backed.restore(&file, &[]));
    assert_eq!(code, 2);
    assert!(stderr.contains("is no directory"), "{stderr}");

    // Cut off at each of some places, and with an octet altered there.
    let whole = fs::read(backed.kept.backups().join("a.age")).unwrap();
    for at in (0..whole.len()).step_by(4096) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        for octets in [&whole[..at], &flipped[..]] {
            fs::write(backed.kept.backups().join("a.age"), octets).unwrap();
            let (code, stdout, stderr) = run(backed.restore(&into, &[]));
            assert!([1, 3].contains(&code) && stdout.is_empty(), "{at}: {stderr}");
            left(&stderr);
        }
    }
    fs::write(backed.kept.backups().join("a.age"), &whole).unwrap();

    // Nobody vouches for it.
    let mut create = backed.kept.create(&["--output", "a.age", "--force", "--unsigned"]);
    create.env("CATALYST_PKI_CERTS_DB", backed.kept.deployment.data_dir().join("certs.db"));
    done(create);
    let (code, _, stderr) = run(backed.restore(&into, &[]));
    assert_eq!(code, 7);
    assert!(stderr.contains("--unsigned"), "{stderr}");
    left(&stderr);
    let (_, stderr) = done(backed.restore(&into, &["--unsigned"]));
    assert!(
        stderr.contains("the backup is unsigned") && stderr.contains("there is no denied.jsonl"),
        "{stderr}"
    );
}

/// Any other exit code says that nothing was restored.
#[test]
fn a_result_that_nobody_reads_is_a_restore_all_the_same() {
    let backed = Backed::new();
    let into = backed.beside("elsewhere");
    let mut command = backed.restore(&into, &[]);
    command.stdout(fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    let ended = command.output().unwrap();
    let stderr = String::from_utf8(ended.stderr).unwrap();
    assert!(ended.status.success() && stderr.contains("written all the same"), "{stderr}");
    drop(launch(&backed.kept.deployment, &into).start().unwrap());
}

#[test]
fn tokens_of_before_stay_good_where_that_is_wanted() {
    let backed = Backed::new();
    let (old, into) = (backed.kept.deployment.token().unwrap(), backed.beside("elsewhere"));
    let (_, stderr) = done(backed.restore(&into, &["--keep-tokens"]));
    assert!(!stderr.contains("token recover"), "{stderr}");
    let service = launch(&backed.kept.deployment, &into).start().unwrap();
    let client = service.http().with_token(&old);
    until("credentials are checked", || (client.get("/pki/status").unwrap().status == 200).then_some(()));
}
