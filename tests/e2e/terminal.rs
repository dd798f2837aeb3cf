//! The command line on a terminal: questions, colours, tables. The terminal is that of `script`, of util-linux.

use crate::{
    auth_cli::{done, start},
    cert_cli::{GATEWAY, generate, places},
};
use catalyst_rigs::Service;
use std::{
    io::Write as _,
    process::{Command, Stdio},
};
use tempfile::TempDir;

const DENY: &str = "catalyst pki identity deny spiffe://catalyst.example.com/node/n --reason test";

/// What a shell command shows on a terminal where somebody types `typed`.
fn on_a_terminal(service: &Service, script: &str, typed: &str) -> String {
    let binary = catalyst_rigs::catalyst().unwrap();
    let path = format!("{}:/usr/bin:/bin", binary.parent().unwrap().display());
    let mut child = Command::new("script")
        .args(["-qec", script, "/dev/null"])
        .current_dir(service.data_dir())
        .env_clear()
        .env("PATH", path)
        .env("TERM", "xterm")
        .env("CATALYST_AUTH_URL", format!("ws://{}/rpc", service.address()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
    let shown = child.wait_with_output().unwrap().stdout;
    String::from_utf8(shown).unwrap().replace('\r', "")
}

#[test]
fn a_person_is_asked_before_an_identity_is_denied() {
    let directory = TempDir::new().unwrap();
    let service = start(directory.path());
    let denied = || done(&service, &["pki", "identity", "list-denied"]).lines().count() - 1;
    for (typed, code, count) in [("n\n", 1, 0), ("\n", 1, 0), ("y\n", 0, 1)] {
        let shown = on_a_terminal(&service, &format!("{DENY}; echo code $?"), typed);
        assert!(shown.contains("Deny spiffe://catalyst.example.com/node/n? [y/N] "), "{shown}");
        assert!(shown.contains(&format!("code {code}")), "{shown}");
        assert_eq!(denied(), count, "{shown}");
    }
    let shown = on_a_terminal(&service, &format!("{DENY} --yes"), "");
    assert!(!shown.contains("[y/N]") && shown.contains("Identity denied"), "{shown}");
}

#[test]
fn a_person_is_asked_before_every_token_dies() {
    let directory = TempDir::new().unwrap();
    let service = start(directory.path());
    let keys = || done(&service, &["auth", "key", "list"]);
    let before = keys();
    let shown = on_a_terminal(&service, "catalyst auth key rotate --immediate; echo code $?", "n\n");
    assert!(shown.contains("good for nothing then. [y/N] ") && shown.contains("code 1"), "{shown}");
    assert_eq!(keys(), before);
    let shown = on_a_terminal(&service, "catalyst auth key rotate --immediate --yes", "");
    assert!(!shown.contains("[y/N]") && shown.contains("Token key rotated"), "{shown}");
    // With a grace period nothing is lost, and nothing asked.
    let shown = on_a_terminal(&service, "catalyst auth key rotate", "");
    assert!(!shown.contains("[y/N]") && shown.contains("Token key rotated"), "{shown}");
}

#[test]
fn a_person_is_shown_whose_certificate_is_revoked() {
    let directory = TempDir::new().unwrap();
    let service = start(directory.path());
    let (_out, cert, key) = places();
    done(&service, &generate(GATEWAY, &cert, &key, &[]));
    let list = || done(&service, &["pki", "cert", "list", "--spiffe-id", GATEWAY]);
    let row = list();
    let serial = row.split('\t').next().unwrap();
    let revoke = format!("catalyst pki cert revoke {serial}; echo code $?");
    let shown = on_a_terminal(&service, &revoke, "n\n");
    let question = format!("Revoke certificate {serial} of {GATEWAY}, which is active and expires 20");
    assert!(shown.contains(&question) && shown.contains("code 1"), "{shown}");
    assert!(list().contains("\tactive\t"), "{}", list());
    let shown = on_a_terminal(&service, &revoke, "y\n");
    assert!(shown.contains("code 0") && list().contains("\trevoked\t"), "{shown}");
}

#[test]
fn colours_are_for_terminals_whose_user_wants_them() {
    let directory = TempDir::new().unwrap();
    let service = start(directory.path());
    let shown = on_a_terminal(&service, &format!("{DENY} --yes"), "");
    assert!(shown.contains("\u{1b}[32m[ok]\u{1b}[0m Identity denied:"), "{shown}");
    for plain in [
        format!("NO_COLOR=1 {DENY} --yes"),
        format!("{DENY} --yes 2>&1 | cat"),
        "NO_COLOR=1 catalyst --help".into(),
    ] {
        let shown = on_a_terminal(&service, &plain, "");
        assert!(!shown.contains('\u{1b}'), "{shown}");
    }
}

#[test]
fn a_list_is_a_table_where_there_is_room() {
    let directory = TempDir::new().unwrap();
    let service = start(directory.path());
    let (_out, cert, key) = places();
    done(&service, &generate(GATEWAY, &cert, &key, &[]));
    let list =
        |columns: u32| on_a_terminal(&service, &format!("stty cols {columns}; catalyst pki cert list"), "");
    let wide = list(200);
    assert!(wide.contains("│ SERIAL") && wide.contains(GATEWAY), "{wide}");
    let middle = list(130);
    assert!(
        middle.contains("│ SERIAL") && middle.lines().all(|line| line.chars().count() <= 130),
        "{middle}"
    );
    let narrow = list(40);
    assert!(narrow.contains(&format!("IDENTITY      {GATEWAY}\n")) && !narrow.contains('│'), "{narrow}");
}
