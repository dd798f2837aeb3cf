//! Key stores from the shell: looked at without the service, and tried again by it.

use crate::{
    auth_cli::{done, run, start},
    pki::eventually,
};
use catalyst_rigs::{Launch, Service, catalyst};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;

const PASSPHRASE: &str = "a passphrase of more than 16 characters";

fn check(directory: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(catalyst().unwrap());
    command.args(["backend", "check"]).args(args).current_dir(directory).env_clear();
    command.env("CATALYST_PKI_LOCAL_PASSPHRASE", PASSPHRASE);
    command
}

fn checked(directory: &Path, args: &[&str]) -> (i32, String, String) {
    let output = check(directory, args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// The keys that lie in `keys`, in their order.
fn keys(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory.join("keys")).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_key_store_is_looked_at_beside_its_service_and_left_as_it_was() {
    let directory = TempDir::new().unwrap();
    let service = start(directory.path());
    let before = keys(directory.path());
    assert!(before.contains(&"services-1.pem".to_owned()), "{before:?}");
    // With what the service itself runs with: the passphrase that --dev made.
    let output = check(directory.path(), &["--dev", "--output", "json"])
        .env_remove("CATALYST_PKI_LOCAL_PASSPHRASE")
        .output()
        .unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
    let store = &seen["backends"][0];
    assert_eq!(
        (&seen["passed"], &store["name"], &store["problems"]),
        (&json!(true), &json!("local"), &json!([]))
    );
    assert_eq!(
        store["capabilities"][0],
        json!({"algorithm": "EC-P384", "creates": true, "maxMessage": null})
    );
    let probe = &store["probe"];
    assert_eq!((&probe["made"], &probe["signatures"]), (&json!(true), &json!(5)));
    assert!(probe["signMicros"]["min"].as_u64() <= probe["signMicros"]["median"].as_u64(), "{probe}");
    assert_eq!(keys(directory.path()), before, "the probe key is gone");

    // A wrong passphrase shows at the key that it does not open, and nothing of it is shown.
    let (code, stdout, stderr) = checked(directory.path(), &["local", "--key", "services-1"]);
    assert_eq!(code, 1, "{stdout}{stderr}");
    assert!(stdout.starts_with("[failed] Key store local\n"), "{stdout}");
    assert!(
        stderr.starts_with("error: local: key store refused: ") && stderr.contains("services-1"),
        "{stderr}"
    );
    assert!(!format!("{stdout}{stderr}").contains(PASSPHRASE));
    done(&service, &["pki", "status"]);
}

#[test]
fn what_is_wrong_is_said_and_nothing_is_made() {
    let directory = TempDir::new().unwrap();
    for (args, code, wanted) in [
        (
            &["pkcs11"][..],
            1,
            "error: pkcs11: CATALYST_PKI_PKCS11_MODULE is not set: the key store 'pkcs11' needs",
        ),
        (&["pkcs11:a"], 1, "error: pkcs11:a: the settings file has no [pkcs11.a] that describes"),
        (
            &["elsewhere"],
            1,
            "error: elsewhere: this build has no key store 'elsewhere'; it has: local, aws-kms, gcp-kms, pkcs11",
        ),
        (
            &["local", "--algorithm", "RSA-4096-PSS"],
            1,
            "error: local: key store 'local' has no RSA-4096-PSS keys",
        ),
        (&["local", "--key", "services-1"], 1, "error: local: key store refused: "),
        (&["--key", "a", "--key-backend-root", "pkcs11"], 2, "error: --key names a key of one key store"),
        (&["--svid-ttl", "0"], 2, "error: CATALYST_PKI_SVID_TTL is '0' (flag)"),
    ] {
        let (found, stdout, stderr) = checked(directory.path(), args);
        assert_eq!(found, code, "{args:?}: {stdout}{stderr}");
        assert!(stderr.starts_with(wanted), "{args:?}: {stderr}");
    }
    assert_eq!(keys(directory.path()), [""; 0]);
}

#[test]
fn every_rule_is_tried_and_the_keys_that_it_takes_are_removed() {
    let directory = TempDir::new().unwrap();
    let (code, stdout, stderr) = checked(directory.path(), &["local", "--full"]);
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(stdout.starts_with("[ok] Key store local\n"), "{stdout}");
    assert!(stdout.contains("\n  passed   signatures verify at every size\n"), "{stdout}");
    assert!(stdout.contains("\n  passed   no Debug output or error holds a secret\n"), "{stdout}");
    assert_eq!(keys(directory.path()), [""; 0]);
}

/// The key takes long enough to make that some of these fall into its making, and some after it.
#[test]
fn an_interrupted_check_leaves_no_key() {
    let directory = TempDir::new().unwrap();
    for wait in [50, 200, 600] {
        let mut command = check(directory.path(), &["local", "--algorithm", "RSA-3072"]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(wait));
        // It may have come to its end before.
        let _ = kill_process(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(), Signal::INT);
        let output = child.wait_with_output().unwrap();
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(
                output.status.code().is_none() || said.contains("interrupted before all was looked at"),
                "{said}"
            );
        }
        let left: Vec<_> = match directory.path().join("keys").exists() {
            true => keys(directory.path()).into_iter().filter(|name| name.ends_with(".pem")).collect(),
            false => Vec::new(),
        };
        assert_eq!(left, [""; 0], "after {wait} ms");
    }
}

fn retried(service: &Service, args: &[&str]) -> (i32, Value) {
    let (code, stdout, stderr) = run(service, &[&["backend", "retry", "--output", "json"], args].concat());
    (code, serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{stdout}{stderr}")))
}

#[test]
fn keys_that_were_missing_are_opened_once_they_are_back() {
    let directory = TempDir::new().unwrap();
    let mut service = start(directory.path());
    eventually("a hierarchy", || (run(&service, &["pki", "status"]).0 == 0).then_some(()));
    let (code, tried) = retried(&service, &[]);
    let names = ["Catalyst Services CA", "Catalyst Transport CA", "token key"];
    let states = |tried: &Value| -> Vec<(String, String)> {
        let text = |key: &Value, name: &str| key[name].as_str().unwrap().to_owned();
        tried["keys"].as_array().unwrap().iter().map(|key| (text(key, "name"), text(key, "state"))).collect()
    };
    assert_eq!((code, states(&tried)), (0, names.map(|name| (name.to_owned(), "ready".to_owned())).to_vec()));

    service.stop().unwrap();
    let [there, away] = ["keys/services-1.pem", "services-1.pem"].map(|name| directory.path().join(name));
    let [token, elsewhere] = ["keys/token-1.pem", "token-1.pem"].map(|name| directory.path().join(name));
    fs::rename(&there, &away).unwrap();
    fs::rename(&token, &elsewhere).unwrap();
    let service = start(directory.path());
    eventually("the trouble in the status", || {
        let (code, stdout, _) = run(&service, &["pki", "status"]);
        (code == 1 && stdout.contains("Catalyst Services CA: key store refused: ")).then_some(())
    });
    let (code, tried) = retried(&service, &["local"]);
    assert_eq!((code, &tried["keys"][0]["state"]), (1, &json!("refused")));
    assert!(tried["keys"][0]["error"].as_str().unwrap().contains("services-1"), "{tried}");
    assert_eq!(tried["keys"][2]["state"], json!("refused"), "{tried}");
    fs::rename(&away, &there).unwrap();
    fs::rename(&elsewhere, &token).unwrap();
    let (code, tried) = retried(&service, &["local"]);
    assert_eq!((code, &tried["keys"][0]["state"]), (0, &json!("ready")));
    done(&service, &["pki", "status"]);

    let (code, _, stderr) = run(&service, &["backend", "retry", "pkcs11"]);
    assert_eq!(code, 1);
    assert!(stderr.contains("no key store 'pkcs11' is configured here (there is: local)"), "{stderr}");
    let audited = done(&service, &["pki", "audit", "--action", "keys.retried"]);
    assert_eq!(audited.lines().count(), 3, "{audited}");
    let lines = done(&service, &["backend", "retry"]);
    assert_eq!(lines.lines().next().unwrap(), "Catalyst Services CA\tlocal\tlocal:services-1\tready\t-");
}

const HSM: [(&str, &str); 4] = [
    ("CATALYST_PKI_KEY_BACKEND_TRANSPORT", "pkcs11"),
    ("CATALYST_PKI_PKCS11_MODULE", "/nowhere/module.so"),
    ("CATALYST_PKI_PKCS11_TOKEN", "ca"),
    ("CATALYST_PKI_PKCS11_PIN_FILE", "/nowhere/pin"),
];

#[test]
fn a_key_store_that_is_not_there_yet_keeps_no_service_from_starting() {
    let directory = TempDir::new().unwrap();
    let mut service = start(directory.path());
    eventually("a hierarchy", || (run(&service, &["pki", "status"]).0 == 0).then_some(()));
    service.stop().unwrap();
    let launch = Launch::new(&catalyst().unwrap(), directory.path()).arg("--dev");
    let service =
        HSM.into_iter().fold(launch, |launch, (name, value)| launch.env(name, value)).start().unwrap();
    // Keys that were made elsewhere sign, and nobody has asked for one in the HSM.
    eventually("a status", || (run(&service, &["pki", "status"]).0 == 0).then_some(()));
    let (code, _, stderr) = run(&service, &["backend", "retry", "pkcs11"]);
    assert_eq!((code, stderr.contains("no key is kept open there")), (0, true), "{stderr}");
}

#[test]
fn a_key_store_without_its_settings_stops_the_start_and_names_them() {
    let directory = TempDir::new().unwrap();
    let serve = |vars: &[(&str, &str)]| {
        let mut command = Command::new(catalyst().unwrap());
        command.args(["serve", "--dev", "--listen", "127.0.0.1:0"]).current_dir(directory.path()).env_clear();
        let output = command.envs(vars.iter().copied()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    for (given, missing) in [(1, "_MODULE"), (2, "_TOKEN"), (3, "_PIN")] {
        let log = serve(&HSM[..given]);
        let wanted = format!("CATALYST_PKI_PKCS11{missing} is not set: the key store 'pkcs11' needs");
        assert!(log.contains(&wanted), "{log}");
    }
    let log = serve(&[("CATALYST_PKI_ROOT_CREDENTIALS", "/nowhere/pin")]);
    assert!(
        log.contains("CATALYST_PKI_ROOT_CREDENTIALS is set, and the root's key store is 'local'"),
        "{log}"
    );
}
