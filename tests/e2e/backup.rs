//! Encrypted backups from the shell: made beside a service at work, opened with others' tools, and verified.

use crate::deployment::{Deployment, Holder, PASSPHRASE};
use catalyst_rigs::{catalyst, http::Client};
use rusqlite::Connection;
use serde_json::Value;
use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    thread,
};

/// A deployment, and somebody who may open its backups.
pub(crate) struct Kept {
    pub(crate) deployment: Deployment,
    pub(crate) recipient: String,
}

impl Kept {
    pub(crate) fn new() -> Self {
        let deployment = Deployment::production();
        let made = Command::new("age-keygen").arg("-o").arg(deployment.beside("identity")).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        fs::create_dir(deployment.beside("backups")).unwrap();
        let text = fs::read_to_string(deployment.beside("identity")).unwrap();
        let recipient = text.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap().to_owned();
        Self { deployment, recipient }
    }

    pub(crate) fn backups(&self) -> PathBuf {
        self.deployment.beside("backups")
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(catalyst().unwrap());
        command.arg("backup").args(args).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command.current_dir(self.backups());
        command.env("CATALYST_PKI_CERTS_DB", self.deployment.data_dir().join("certs.db"));
        command.env("CATALYST_PKI_LOCAL_PASSPHRASE_FILE", self.deployment.beside("passphrase"));
        command
    }

    pub(crate) fn create(&self, args: &[&str]) -> Command {
        let mut command = self.command(&["create", "--recipient", &self.recipient]);
        command.args(args);
        command
    }

    pub(crate) fn verify(&self, file: &str, args: &[&str]) -> Command {
        let mut command = self.command(&["verify", file]);
        command.args(args).arg("--identity").arg(self.deployment.beside("identity"));
        command
    }

    pub(crate) fn root(&self, client: &Client) -> String {
        let status: Value = client.get("/pki/status").unwrap().json().unwrap();
        status["rootCa"]["fingerprint"].as_str().unwrap().to_owned()
    }

    /// What lies in the data directory that a backup has left there.
    pub(crate) fn left(&self) -> Vec<String> {
        names(&self.deployment.data_dir())
            .into_iter()
            .filter(|name| name.contains("catalyst-backup"))
            .collect()
    }
}

pub(crate) fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Exit code, standard output and standard error.
pub(crate) fn run(mut command: Command) -> (i32, String, String) {
    said(command.output().unwrap())
}

fn said(output: Output) -> (i32, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

pub(crate) fn done(command: Command) -> (String, String) {
    let (code, stdout, stderr) = run(command);
    assert_eq!(code, 0, "{stdout}{stderr}");
    (stdout, stderr)
}

#[test]
fn a_backup_made_under_load_is_of_one_moment_and_others_tools_open_it() {
    let kept = Kept::new();
    let (service, client) = kept.deployment.initialized();
    let (ended, issued) = (AtomicBool::new(false), AtomicUsize::new(0));
    let made = thread::scope(|scope| {
        for number in 0..4 {
            let (ended, issued, client) = (&ended, &issued, client.clone());
            scope.spawn(move || {
                let mut instance = 0;
                while !ended.load(Relaxed) {
                    instance += 1;
                    Holder::new("gateway", &format!("g-{number}-{instance}.example.org")).get(&client);
                    issued.fetch_add(1, Relaxed);
                }
            });
        }
        while issued.load(Relaxed) < 20 {
            thread::yield_now();
        }
        let made: Vec<_> =
            (0..3).map(|number| run(kept.create(&["--output", &format!("{number}.age")]))).collect();
        let during = issued.load(Relaxed);
        while issued.load(Relaxed) < during + 10 {
            thread::yield_now();
        }
        ended.store(true, Relaxed);
        made
    });
    let root = kept.root(&client);
    for (number, (code, stdout, stderr)) in made.iter().enumerate() {
        assert_eq!((*code, stderr.as_str()), (0, ""), "{stdout}");
        assert!(stdout.starts_with(&format!("[ok] Backup written: ./{number}.age")), "{stdout}");
        let (stdout, _) = done(kept.verify(&format!("{number}.age"), &["--root-fingerprint", &root]));
        assert!(stdout.starts_with("[ok] Backup is whole and verified"), "{stdout}");
    }
    drop(service);

    // The Go implementation, zstd and tar.
    let opened = kept.deployment.beside("opened");
    fs::create_dir(&opened).unwrap();
    let pipe = format!(
        "set -o pipefail; age -d -i '{}' 0.age | zstd -d | tar x -C '{}'",
        kept.deployment.beside("identity").display(),
        opened.display()
    );
    let opening = Command::new("bash").args(["-c", &pipe]).current_dir(kept.backups()).output().unwrap();
    assert!(opening.status.success(), "{opening:?}");
    assert_eq!(names(&opened), ["certs.db", "keys", "manifest.json", "manifest.sig"]);
    for (name, key) in
        [("root-1.pem", "root-1"), ("services-1.pem", "services-1"), ("token-1.pem", "token-1")]
    {
        let original = fs::read(kept.deployment.key_file(key)).unwrap();
        assert_eq!(fs::read(opened.join("keys").join(name)).unwrap(), original);
    }
    let manifest: Value = serde_json::from_slice(&fs::read(opened.join("manifest.json")).unwrap()).unwrap();
    let store = Connection::open(opened.join("certs.db")).unwrap();
    let count: i64 =
        store.query_row("SELECT count(*) FROM certificate_record", (), |row| row.get(0)).unwrap();
    assert_eq!(manifest["store"]["rows"]["certificate_record"], count);
    assert!(count >= 23, "{count}");
    let mode = fs::metadata(kept.backups().join("0.age")).unwrap().permissions().mode();
    assert_eq!((mode & 0o777, kept.left()), (0o600, Vec::new()));
}

#[test]
fn verify_shows_what_is_in_it_and_each_fault_has_its_exit_code() {
    let kept = Kept::new();
    let (mut service, client) = kept.deployment.initialized();
    let root = kept.root(&client);
    service.stop().unwrap();
    // The service is stopped, and nothing of the store is altered.
    let before = fs::read(kept.deployment.data_dir().join("certs.db")).unwrap();
    let (stdout, _) = done(kept.create(&["--output", "."]));
    assert!(fs::read(kept.deployment.data_dir().join("certs.db")).unwrap() == before);
    let name = names(&kept.backups()).pop().unwrap();
    assert!(
        stdout.contains(&name) && name.starts_with("catalyst-") && name.ends_with("Z.tar.zst.age"),
        "{stdout}"
    );

    let pinned = ["--root-fingerprint", root.as_str()];
    let (stdout, stderr) = done(kept.verify(&name, &pinned));
    assert!(
        stdout.contains(&format!("{root}  Catalyst Root CA  ")) && stdout.contains("root-ca"),
        "{stdout}"
    );
    assert!(
        stdout.contains("token-1") && !stdout.contains("unreachable") && stderr.is_empty(),
        "{stdout}{stderr}"
    );
    let (stdout, _) = done(kept.verify(&name, &[pinned[0], pinned[1], "--output", "json"]));
    let json: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&json["verified"], &json["signer"]["rootFingerprint"]), (&true.into(), &root.clone().into()));
    assert_eq!(json["keys"].as_array().unwrap().len(), 4);

    let (code, _, stderr) = run(kept.verify(&name, &[]));
    assert_eq!(code, 2);
    assert!(stderr.contains("--trust-on-first-use"), "{stderr}");
    let (_, stderr) = done(kept.verify(&name, &["--trust-on-first-use"]));
    assert!(stderr.contains("nothing was given to compare that with"), "{stderr}");
    let other = format!("{}A", &"B".repeat(42));
    let (code, stdout, stderr) = run(kept.verify(&name, &["--root-fingerprint", &other]));
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(stderr.contains("is not to be trusted") && stderr.contains(&root), "{stderr}");

    // Without the passphrase its keys cannot be asked for; that is known apart.
    let mut command = kept.verify(&name, &pinned);
    command.env_remove("CATALYST_PKI_LOCAL_PASSPHRASE_FILE");
    let (code, stdout, stderr) = run(command);
    assert_eq!(code, 6, "{stdout}{stderr}");
    assert!(
        stdout.starts_with("[keys unreached]") && stderr.contains("local:services-1: "),
        "{stdout}{stderr}"
    );
    fs::write(kept.deployment.beside("wrong"), "not the passphrase of it\n").unwrap();
    let mut command = kept.verify(&name, &pinned);
    command.env("CATALYST_PKI_LOCAL_PASSPHRASE_FILE", kept.deployment.beside("wrong"));
    let (code, stdout, stderr) = run(command);
    assert_eq!(code, 3, "{stdout}{stderr}");
    assert!(stdout.starts_with("[keys refused]") && !stderr.contains(".catalyst-backup"), "{stdout}{stderr}");
    let mut command = kept.verify(&name, &pinned);
    command.env_remove("CATALYST_PKI_LOCAL_PASSPHRASE_FILE").arg("--keys-unchecked");
    done(command);

    let stranger = kept.deployment.beside("stranger");
    assert!(Command::new("age-keygen").arg("-o").arg(&stranger).output().unwrap().status.success());
    let mut command = kept.command(&["verify", &name, "--root-fingerprint", &root, "--identity"]);
    command.arg(&stranger);
    let (code, _, stderr) = run(command);
    assert_eq!(code, 3, "{stderr}");
    assert!(stderr.contains("none of the identities opens the backup"), "{stderr}");

    let (stdout, stderr) = done(kept.command(&["verify", &name, "--header-only"]));
    assert!(stdout.contains("Opened by: 1 X25519"), "{stdout}");
    // Half of it looks the same, and nothing says that it is whole.
    assert!(stdout.starts_with("[ok] The header is whole, and the length is one that"), "{stdout}");
    assert!(stderr.contains("a file that was cut off or altered mostly looks the same"), "{stderr}");
    let (stdout, _) = done(kept.command(&["inspect", &name, "--output", "json"]));
    assert_eq!(serde_json::from_str::<Value>(&stdout).unwrap()["header"]["recipients"][0]["kind"], "X25519");
    let (stdout, _) = done(kept.command(&["list", "."]));
    assert!(stdout.starts_with(&name) && stdout.ends_with("\t1 X25519\n"), "{stdout}");

    let whole = fs::read(kept.backups().join(&name)).unwrap();
    fs::write(kept.backups().join("cut.age"), &whole[..whole.len() - 1]).unwrap();
    assert_eq!(run(kept.verify("cut.age", &pinned)).0, 1);
    // Nothing is left where it was unpacked.
    assert_eq!(kept.left(), Vec::<String>::new());
}

#[test]
fn a_backup_that_cannot_be_signed_is_made_only_where_that_is_wanted() {
    let kept = Kept::new();
    let (code, _, stderr) = run(kept.create(&["--output", "a.age"]));
    assert_eq!(code, 2);
    assert!(stderr.contains("there is no certificate store at"), "{stderr}");
    let (service, client) = kept.deployment.initialized();
    let root = kept.root(&client);
    drop(service);
    let without = |args: &[&str]| {
        let mut command = kept.create(args);
        command.env_remove("CATALYST_PKI_LOCAL_PASSPHRASE_FILE");
        command
    };
    let (code, _, stderr) = run(without(&["--output", "a.age"]));
    assert_eq!(code, 1);
    assert!(stderr.contains("cannot be signed") && stderr.contains("--unsigned"), "{stderr}");
    assert_eq!(names(&kept.backups()), [""; 0]);
    let (_, stderr) = done(without(&["--output", "a.age", "--unsigned"]));
    assert!(stderr.contains("the backup is unsigned"), "{stderr}");
    let (code, stdout, stderr) = run(kept.verify("a.age", &["--root-fingerprint", &root]));
    assert_eq!(code, 7, "{stdout}{stderr}");
    assert!(
        stdout.starts_with("[unsigned]") && stderr.contains("the backup is unsigned"),
        "{stdout}{stderr}"
    );
    assert!(stdout.contains("unchecked") && !stdout.contains("matches"), "{stdout}");
    let mut command = kept.command(&["inspect", "a.age", "--identity"]);
    command.arg(kept.deployment.beside("identity"));
    assert!(done(command).1.contains("the backup is unsigned"));
    // What is there is kept.
    let before = fs::read(kept.backups().join("a.age")).unwrap();
    let (code, _, stderr) = run(kept.create(&["--output", "a.age"]));
    assert_eq!(code, 2);
    assert!(stderr.contains("--force"), "{stderr}");
    assert!(fs::read(kept.backups().join("a.age")).unwrap() == before);
    done(kept.create(&["--output", "a.age", "--force"]));
    done(kept.verify("a.age", &["--root-fingerprint", &root]));
}

#[test]
fn several_of_one_second_have_names_of_their_own() {
    let kept = Kept::new();
    let (service, client) = kept.deployment.initialized();
    let root = kept.root(&client);
    drop(service);
    let mut made: Vec<_> = thread::scope(|scope| {
        let making: Vec<_> =
            (0..6).map(|_| scope.spawn(|| done(kept.create(&["--output", "."])).0)).collect();
        making.into_iter().map(|made| made.join().unwrap()).collect()
    });
    made.sort();
    made.dedup();
    assert_eq!(made.len(), 6);
    let backups = names(&kept.backups());
    assert_eq!(backups.len(), 6, "{backups:?}");
    for name in &backups {
        let pinned = ["--root-fingerprint", &root, "--output", "json"];
        let verified: Value = serde_json::from_str(&done(kept.verify(name, &pinned)).0).unwrap();
        let at = verified["manifest"]["createdAt"].as_str().unwrap()[..19].replace(['-', ':'], "");
        assert!(name.contains(&at), "{name} of {at}");
    }
    let (listed, _) = done(kept.command(&["list", ".", "--output", "json"]));
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let listed = listed["backups"].as_array().unwrap().clone();
    assert!(listed.iter().all(|backup| backup["deployment"].is_string()), "{listed:?}");
}

#[test]
fn every_way_to_name_who_may_open_it_works() {
    let kept = Kept::new();
    let (service, _) = kept.deployment.initialized();
    let identity = kept.deployment.beside("identity");
    let opens = |name: &str| {
        let mut age = Command::new("age");
        age.args(["-d", "-i"]).arg(&identity).arg(name).current_dir(kept.backups());
        assert!(age.output().unwrap().status.success(), "{name}");
    };
    fs::write(kept.deployment.beside("list"), format!("# us\n\n{}\n", kept.recipient)).unwrap();
    let mut command = kept.command(&["create", "--output", "file.age", "--recipients-file"]);
    command.arg(kept.deployment.beside("list"));
    done(command);
    opens("file.age");
    let mut command = kept.command(&["create", "--output", "variable.age"]);
    command.env("CATALYST_PKI_BACKUP_RECIPIENTS", format!("{0},{0}", kept.recipient));
    done(command);
    opens("variable.age");
    let mut command = kept.create(&["--to-stdout"]);
    command.stdout(File::create(kept.backups().join("stdout.age")).unwrap());
    assert!(command.status().unwrap().success());
    opens("stdout.age");

    let mut command = kept.command(&["create", "--output", "phrase.age", "--passphrase"]);
    command.env("CATALYST_BACKUP_PASSPHRASE", PASSPHRASE);
    done(command);
    let mut command = kept.command(&["verify", "phrase.age", "--passphrase", "--trust-on-first-use"]);
    command.env("CATALYST_BACKUP_PASSPHRASE_FILE", kept.deployment.beside("passphrase"));
    done(command);
    let mut command = kept.command(&["verify", "phrase.age", "--passphrase", "--trust-on-first-use"]);
    command.env("CATALYST_BACKUP_PASSPHRASE", "another passphrase than that");
    let (code, _, stderr) = run(command);
    assert_eq!(code, 3, "{stderr}");

    for (recipient, said) in [
        ("ssh-ed25519 AAAA", "SSH key"),
        ("age1x", "none of age's"),
        (identity.to_str().unwrap(), "none of age's"),
    ] {
        let (code, _, stderr) =
            run(kept.command(&["create", "--output", "no.age", "--recipient", recipient]));
        assert_eq!(code, 2);
        assert!(stderr.contains(said), "{stderr}");
    }
    let plugged = "age1yubikey1q2w7u3vpya839jxxuq8g0sedh3d740d4xvn639sqhr95ejj8vu3hyfumptt";
    let (code, _, stderr) = run(kept.command(&["create", "--output", "no.age", "--recipient", plugged]));
    assert_eq!(code, 2);
    assert!(stderr.contains("there is no program age-plugin-yubikey in PATH"), "{stderr}");
    let (code, _, stderr) = run(kept.command(&["create", "--output", "no.age"]));
    assert_eq!(code, 2);
    assert!(stderr.contains("nobody could open the backup"), "{stderr}");
    assert!(!kept.backups().join("no.age").exists());
    drop(service);
}
