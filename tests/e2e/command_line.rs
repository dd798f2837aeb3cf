//! The command line as an operator or a script meets it.

use serde_json::Value;
use std::process::{Command, Output};
use tempfile::TempDir;

fn catalyst(directory: &TempDir, args: &[&str], vars: &[(&str, &str)]) -> Output {
    let mut command = Command::new(catalyst_rigs::catalyst().unwrap());
    command.args(args).current_dir(directory.path()).env_clear();
    command.envs(vars.iter().copied()).output().unwrap()
}

fn in_scratch(args: &[&str], vars: &[(&str, &str)]) -> (i32, String, String) {
    let output = catalyst(&TempDir::new().unwrap(), args, vars);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn results_go_to_stdout_alone() {
    let (code, stdout, stderr) = in_scratch(&["version"], &[]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert_eq!(
        stdout,
        concat!("catalyst ", env!("CARGO_PKG_VERSION"), "\nkey stores: local, aws-kms, gcp-kms, pkcs11\n")
    );
    let (code, stdout, _) = in_scratch(&["version", "--output", "json"], &[]);
    assert_eq!(code, 0);
    assert_eq!(
        serde_json::from_str::<Value>(&stdout).unwrap()["backends"],
        serde_json::json!(["local", "aws-kms", "gcp-kms", "pkcs11"])
    );
}

#[test]
fn wrong_usage_and_wrong_settings_exit_with_2() {
    let mistyped = [("CATALYST_PKI_SVID_TTLL", "60")];
    let refused = |args: &[&str], vars: &[(&str, &str)], hint: &str| {
        let (code, stdout, stderr) = in_scratch(args, vars);
        assert_eq!((code, stdout.as_str()), (2, ""), "{args:?}");
        assert!(stderr.contains(hint), "{args:?}: {stderr}");
    };
    refused(&["sevre"], &[], "serve");
    refused(&["serve", "--lisen", "x"], &[], "--listen");
    refused(&["serve", "--listen", "here"], &[], "CATALYST_PKI_LISTEN is 'here' (flag)");
    refused(&["config"], &mistyped, "did you mean CATALYST_PKI_SVID_TTL?");
    refused(&["serve"], &[], "CATALYST_PKI_LOCAL_PASSPHRASE_FILE");
}

#[test]
fn config_shows_origins_and_no_secret_and_leaves_no_file() {
    let directory = TempDir::new().unwrap();
    let passphrase = "correct horse battery staple";
    let vars = [("CATALYST_PKI_LOCAL_PASSPHRASE", passphrase), ("CATALYST_PKI_ISSUE_LIMIT", "3")];
    let output =
        catalyst(&directory, &["config", "--dev", "--listen", "127.0.0.1:0", "--output", "json"], &vars);
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(!stdout.contains("horse"));
    let report: Value = serde_json::from_str(&stdout).unwrap();
    let shown = |variable: &str| {
        let rows = report["settings"].as_array().unwrap();
        let row = rows.iter().find(|row| row["variable"] == variable).unwrap();
        (row["value"].as_str().map(str::to_owned), row["origin"].as_str().unwrap().to_owned())
    };
    let pair = |value: &str, origin: &str| (Some(value.to_owned()), origin.to_owned());
    assert_eq!(shown("CATALYST_PKI_LISTEN"), pair("127.0.0.1:0", "flag"));
    assert_eq!(shown("CATALYST_PKI_ISSUE_LIMIT"), pair("3", "env"));
    assert_eq!(shown("CATALYST_PKI_SVID_TTL"), pair("86400", "dev default"));
    assert_eq!(shown("CATALYST_PKI_TRUST_DOMAIN"), pair("catalyst.example.com", "default"));
    assert_eq!(shown("CATALYST_PKI_LOCAL_PASSPHRASE"), pair("[redacted]", "env"));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn help_names_every_flag_with_its_variable() {
    let (code, stdout, _) = in_scratch(&["serve", "--help"], &[]);
    assert_eq!(code, 0);
    for part in ["--dev", "--config", "--svid-ttl", "CATALYST_PKI_SVID_TTL", "--local-passphrase-file"] {
        assert!(stdout.contains(part), "{part}");
    }
}

/// Before any service is asked, and where none can be.
#[test]
fn exit_codes_tell_wrong_usage_from_a_service_that_is_away() {
    let token = [("CATALYST_AUTH_TOKEN", "a-token")];
    let exits = |args: &[&str], wanted: i32, hint: &str| {
        let (code, stdout, stderr) = in_scratch(args, &token);
        assert_eq!((code, stdout.as_str()), (wanted, ""), "{args:?}: {stderr}");
        assert!(stderr.starts_with("error: ") || stderr.starts_with("warning: "), "{stderr}");
        assert!(stderr.contains(hint), "{args:?}: {stderr}");
        assert!(!stderr.contains("a-token"), "{stderr}");
    };
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let away = format!("ws://{closed}/rpc");
    exits(&["auth", "token", "list", "--auth-url", &away], 4, "hint: is the service running there?");
    exits(&["--auth-url", &away, "pki", "audit", "verify"], 4, "hint: ");
    exits(&["auth", "key", "list", "--auth-url", &away, "--token", "a-token"], 4, "visible to every user");
    exits(&["auth", "key", "list", "--auth-url", "ws://192.0.2.1/rpc"], 2, "--insecure-http");
    exits(&["auth", "key", "list", "--auth-url", "ftp://a"], 2, "wss://auth.example.org:4020/rpc");
    exits(&["auth", "token", "revoke"], 2, "--jti");
    exits(&["auth", "token", "list", "--token-file", "absent"], 2, "hint: name a file");
    exits(&["pki", "audit", "verify", "--head", "absent"], 2, "absent");
}
