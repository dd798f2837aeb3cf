//! Identities from the shell, against the real service.

use crate::{
    auth_cli::{done, run, start},
    cert_cli::{generate, names, places},
};
use serde_json::Value;
use tempfile::TempDir;

const NODE: &str = "spiffe://catalyst.example.com/orchestrator/node-a.somebiz.local.io";
const REASON: &str = "Key compromise — incident #1234";

#[test]
fn a_denied_identity_gets_nothing_until_it_is_allowed_again() {
    let directory = TempDir::new().unwrap();
    let service = start(directory.path());
    let (out, cert, key) = places();
    done(&service, &generate(NODE, &cert, &key, &[]));
    let serial = done(&service, &["pki", "cert", "list", "--spiffe-id", NODE]);
    let serial = serial.split('\t').next().unwrap();

    let denied = done(&service, &["pki", "identity", "deny", NODE, "--reason", REASON]);
    assert!(denied.starts_with("[ok] Identity denied:\n"), "{denied}");
    assert!(
        denied.contains("Certificates: 1 unexpired, held")
            && denied.contains(&format!("    {serial} expires ")),
        "{denied}"
    );

    // The form of the guide's 2.4: three columns under their names.
    let listed = done(&service, &["pki", "identity", "list-denied"]);
    let lines: Vec<_> = listed.lines().collect();
    assert_eq!(lines.len(), 2, "{listed}");
    for (column, cell) in [("SPIFFE ID", NODE), ("Reason", REASON), ("Denied At", "20")] {
        let at = lines[0].find(column).unwrap();
        assert!(lines[1].chars().skip(at).collect::<String>().starts_with(cell), "{listed}");
    }
    let listed: Value =
        serde_json::from_str(&done(&service, &["pki", "identity", "list-denied", "--output", "json"]))
            .unwrap();
    assert_eq!((&listed[0]["spiffeId"], &listed[0]["reason"]), (&NODE.into(), &REASON.into()));

    let (code, _, stderr) = run(&service, &generate(NODE, &cert, &key, &["--force"]));
    assert_eq!(code, 3, "{stderr}");
    assert!(stderr.contains("denied") && stderr.contains("list-denied"), "{stderr}");
    assert_eq!(names(out.path()), ["cert.pem", "key.pem"], "what was there stays");
    assert!(done(&service, &["pki", "cert", "show", serial]).contains("Status:      held\n"));

    assert!(done(&service, &["pki", "identity", "allow", NODE]).starts_with("[ok] Identity allowed:\n"));
    assert!(done(&service, &["pki", "cert", "show", serial]).contains("Status:      active\n"));
    done(&service, &generate(NODE, &cert, &key, &["--force"]));
    assert_eq!(done(&service, &["pki", "identity", "list-denied"]), "SPIFFE ID  Reason  Denied At\n");
    let (code, _, stderr) = run(&service, &["pki", "identity", "allow", NODE]);
    assert_eq!(code, 1, "{stderr}");
}

#[test]
fn the_certificates_of_a_compromised_identity_are_revoked_for_good() {
    let directory = TempDir::new().unwrap();
    let service = start(directory.path());
    let (_out, cert, key) = places();
    done(&service, &generate(NODE, &cert, &key, &[]));
    let deny =
        ["pki", "identity", "deny", NODE, "--reason", REASON, "--compromised", "--yes", "--output", "json"];
    let denied: Value = serde_json::from_str(&done(&service, &deny)).unwrap();
    assert_eq!((&denied["success"], &denied["crlPending"]), (&true.into(), &false.into()));
    assert_eq!(denied["expiringCerts"].as_array().unwrap().len(), 1);
    done(&service, &["pki", "identity", "allow", NODE]);
    assert_eq!(done(&service, &["pki", "cert", "list", "--status", "revoked"]).lines().count(), 1);
}

#[test]
fn odd_ids_and_odd_reasons_are_refused_or_kept_as_they_are() {
    let directory = TempDir::new().unwrap();
    let service = start(directory.path());
    let deny = |id: &str, reason: &str| run(&service, &["pki", "identity", "deny", id, "--reason", reason]);
    for id in [
        "spiffe://catalyst.example.com/node/$(id)",
        "spiffe://catalyst.example.com/node/a;reboot",
        "spiffe://catalyst.example.com/node/`id`",
        "spiffe://catalyst.example.com/node/a b",
        "spiffe://catalyst.example.com/node/störung",
        "spiffe://catalyst.example.com/node/../auth/a",
        "spiffe://catalyst.example.com/node/a%2fb",
        "spiffe://catalyst.example.com/other/a",
        "node-a",
        "",
    ] {
        let (code, stdout, stderr) = deny(id, "r");
        assert_eq!((code, stdout.as_str()), (2, ""), "{id}: {stderr}");
    }
    for reason in ["", "  ", "a\nb", "\u{1b}[31m", &"x".repeat(501)] {
        assert_eq!(deny(NODE, reason).0, 2, "{reason}");
    }
    let (code, _, stderr) = deny("spiffe://other.example/node/a", "r");
    assert_eq!(code, 1);
    assert!(stderr.contains("'other.example'") && stderr.contains("'catalyst.example.com'"), "{stderr}");
    assert_eq!(done(&service, &["pki", "identity", "list-denied"]).lines().count(), 1);

    // A bidirectional override is data too, and is not shown as it is.
    let reason = "$(id) | \"quoted\" 'so' `x` \\ 部署 \u{202e}gnp";
    assert_eq!(deny(NODE, reason).0, 0);
    let json: Value =
        serde_json::from_str(&done(&service, &["pki", "identity", "list-denied", "--output", "json"]))
            .unwrap();
    assert_eq!(json[0]["reason"], reason);
    let shown = done(&service, &["pki", "identity", "list-denied"]);
    assert!(shown.contains("$(id) | \"quoted\" 'so' `x` \\ 部署 \u{fffd}gnp"), "{shown}");
}

#[test]
fn a_name_is_released_once() {
    let directory = TempDir::new().unwrap();
    let service = start(directory.path());
    let (_out, cert, key) = places();
    done(&service, &generate(NODE, &cert, &key, &[]));
    let release = ["pki", "identity", "release", "node-a.somebiz.local.io"];
    assert!(done(&service, &release).starts_with("[ok] Name released:\n"));
    let (code, _, stderr) = run(&service, &release);
    assert_eq!(code, 1, "{stderr}");
}
