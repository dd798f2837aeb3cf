//! Certificates from the shell, against the real service.

use crate::{
    auth_cli::{done, run, start},
    csr,
};
use catalyst_rigs::{Service, checkers::openssl};
use serde_json::Value;
use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use tempfile::TempDir;

pub(crate) const GATEWAY: &str = "spiffe://catalyst.example.com/gateway/gateway-a";
const NODE: &str = "spiffe://catalyst.example.com/node/node-c.example.org";

/// `pki cert generate` into this directory, and what else is given.
pub(crate) fn generate<'a>(id: &'a str, cert: &'a Path, key: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let mut line = vec!["pki", "cert", "generate", "--spiffe-id", id];
    line.extend(["--output-cert", cert.to_str().unwrap(), "--output-key", key.to_str().unwrap()]);
    line.extend(more);
    line
}

/// A shell command beside the service, with `catalyst` on its path.
pub(crate) fn shell(service: &Service, script: &str) -> (i32, String, String) {
    let binary = catalyst_rigs::catalyst().unwrap();
    let path = format!("{}:/usr/bin:/bin", binary.parent().unwrap().display());
    let mut command = Command::new("bash");
    command.args(["-c", script]).current_dir(service.data_dir()).env_clear().env("PATH", path);
    command.env("CATALYST_AUTH_URL", format!("ws://{}/rpc", service.address()));
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// The names in a directory, hidden ones too.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// A directory for output files, and two places in it.
pub(crate) fn places() -> (TempDir, PathBuf, PathBuf) {
    let out = TempDir::new().unwrap();
    let (cert, key) = (out.path().join("cert.pem"), out.path().join("key.pem"));
    (out, cert, key)
}

fn bundle(service: &Service, directory: &Path) -> PathBuf {
    let path = directory.join("bundle.pem");
    fs::write(&path, service.http().get("/pki/ca/bundle").unwrap().text()).unwrap();
    path
}

/// What an openssl command prints of a file.
fn printed(args: &[&str], path: &Path) -> String {
    openssl(&[args, &["-in", path.to_str().unwrap()]].concat()).unwrap()
}

/// The leaf's issuer comes after it in the file, and the root stands in the bundle alone.
fn verifies(service: &Service, cert: &Path) {
    let scratch = TempDir::new().unwrap();
    let bundle = bundle(service, scratch.path());
    let cert = cert.to_str().unwrap();
    let args = ["verify", "-x509_strict", "-CAfile", bundle.to_str().unwrap(), "-untrusted", cert, cert];
    assert!(openssl(&args).unwrap().ends_with(": OK\n"));
}

#[test]
fn a_key_and_its_certificate_are_generated() {
    let directory = TempDir::new().unwrap();
    let service = start(directory.path());
    let (out, cert, key) = places();
    let shown =
        done(&service, &generate(GATEWAY, &cert, &key, &["--common-name", "gateway-a", "--ttl-hours", "24"]));
    let lines: Vec<_> = shown.lines().collect();
    assert_eq!((lines.len(), lines[0]), (6, "[ok] Certificate generated:"), "{shown}");
    let field = |line: usize, name: &str| lines[line].strip_prefix(name).unwrap().to_owned();
    assert_eq!(field(2, "  SPIFFE ID:   "), GATEWAY);
    assert_eq!(
        (field(4, "  Cert:        "), field(5, "  Key:         ")),
        (cert.display().to_string(), key.display().to_string())
    );
    assert!(field(3, "  Expires:     ").ends_with(".000Z"), "{shown}");

    let sha256 = printed(&["x509", "-noout", "-fingerprint", "-sha256"], &cert);
    let sha256 = sha256.trim().split_once('=').unwrap().1;
    let detail: Value =
        serde_json::from_str(&done(&service, &["pki", "cert", "show", sha256, "--output", "json"])).unwrap();
    assert_eq!(detail["fingerprint"], field(1, "  Fingerprint: "));
    assert_eq!(detail["expiresAt"], field(3, "  Expires:     "));

    assert_eq!(fs::metadata(&key).unwrap().mode() & 0o777, 0o600);
    assert_eq!(names(out.path()), ["cert.pem", "key.pem"]);
    assert_eq!(fs::read_to_string(&cert).unwrap().matches("BEGIN CERTIFICATE").count(), 2);
    verifies(&service, &cert);
    assert_eq!(printed(&["x509", "-noout", "-pubkey"], &cert), printed(&["pkey", "-pubout"], &key));
    assert!(printed(&["pkey", "-noout", "-text"], &key).contains("secp384r1"));
}

#[test]
fn files_that_are_there_are_kept_unless_force_is_given() {
    let directory = TempDir::new().unwrap();
    let service = start(directory.path());
    let (out, cert, key) = places();
    let count = || done(&service, &["pki", "cert", "list"]).lines().count();
    let before = count();
    for there in [&cert, &key] {
        fs::write(there, "old").unwrap();
        let (code, stdout, stderr) = run(&service, &generate(GATEWAY, &cert, &key, &[]));
        assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
        assert!(stderr.contains(there.to_str().unwrap()) && stderr.contains("hint: "), "{stderr}");
        assert_eq!((fs::read_to_string(there).unwrap().as_str(), names(out.path()).len()), ("old", 1));
        fs::remove_file(there).unwrap();
    }
    let refused = |cert: &Path, key: &Path, part: &str| {
        let (code, _, stderr) = run(&service, &generate(GATEWAY, cert, key, &["--force"]));
        assert_eq!(code, 2, "{stderr}");
        assert!(stderr.contains(part), "{stderr}");
        assert_eq!(names(out.path()), [""; 0]);
    };
    refused(&cert, &cert, "both");
    refused(&cert, &out.path().join("absent/key.pem"), "absent");
    refused(&cert, Path::new("/dev/null"), "no file");
    refused(Path::new("/proc/cert.pem"), &key, "/proc");
    assert_eq!(count(), before, "nobody was asked");

    fs::write(&cert, "old").unwrap();
    fs::write(&key, "old").unwrap();
    done(&service, &generate(GATEWAY, &cert, &key, &["--force", "--key-type", "p256"]));
    assert_eq!((names(out.path()).len(), fs::metadata(&key).unwrap().mode() & 0o777), (2, 0o600));
    assert_eq!(printed(&["x509", "-noout", "-pubkey"], &cert), printed(&["pkey", "-pubout"], &key));
}

#[test]
fn a_csr_is_signed_from_a_file_a_pipe_and_der() {
    let directory = TempDir::new().unwrap();
    let service = start(directory.path());
    let (out, cert, _) = places();
    let key = rcgen::KeyPair::generate().unwrap();
    let file = out.path().join("service.csr");
    fs::write(&file, csr::of(&key, &[NODE], &[])).unwrap();
    let sign = |file: &str, id: &str, more: &[&str]| {
        let line = ["pki", "cert", "sign-csr", "--csr", file, "--spiffe-id", id, "--ttl-hours", "1"];
        run(&service, &[&line, more].concat())
    };
    let path = file.to_str().unwrap();
    let (code, shown, stderr) = sign(path, NODE, &["--output-cert", cert.to_str().unwrap()]);
    assert_eq!(code, 0, "{stderr}");
    assert!(shown.starts_with("[ok] Certificate signed:\n  Fingerprint: "), "{shown}");
    verifies(&service, &cert);
    let (code, _, stderr) = sign(path, NODE, &["--output-cert", cert.to_str().unwrap()]);
    assert_eq!(code, 2, "{stderr}");

    // Without a file the certificates alone are the result.
    let (code, pem, _) = sign(path, NODE, &[]);
    assert_eq!((code, pem.matches("BEGIN CERTIFICATE").count()), (0, 2));
    assert!(pem.starts_with("-----BEGIN CERTIFICATE-----\n"));
    let script = format!(
        "openssl req -in {path} -outform DER | catalyst pki cert sign-csr --csr - --spiffe-id {NODE}"
    );
    let (code, pem, stderr) = shell(&service, &script);
    assert_eq!((code, pem.matches("BEGIN CERTIFICATE").count()), (0, 2), "{stderr}");

    // An ADMIN names the identity where the CSR does not.
    fs::write(&file, csr::of(&key, &[], &[])).unwrap();
    let (code, fields, stderr) = sign(path, NODE, &["--output", "json"]);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(serde_json::from_str::<Value>(&fields).unwrap()["spiffeId"], NODE);
    let (code, _, stderr) = sign(path, "spiffe://other.example/node/n", &[]);
    assert_eq!(code, 1);
    assert!(stderr.contains("'other.example'") && stderr.contains("'catalyst.example.com'"), "{stderr}");
}

#[test]
fn a_csr_for_something_else_is_refused_and_leaves_no_file() {
    let directory = TempDir::new().unwrap();
    let service = start(directory.path());
    let (out, cert, _) = places();
    let key = rcgen::KeyPair::generate().unwrap();
    let file = out.path().join("service.csr");
    let refused = |wanted: i32, part: &str| {
        let output = ["--output-cert", cert.to_str().unwrap()];
        let line = ["pki", "cert", "sign-csr", "--csr", file.to_str().unwrap(), "--spiffe-id", NODE];
        let (code, stdout, stderr) = run(&service, &[line.as_slice(), &output].concat());
        assert_eq!((code, stdout.as_str()), (wanted, ""), "{stderr}");
        assert!(stderr.contains(part), "{stderr}");
        assert!(!cert.exists());
    };
    refused(2, "service.csr");
    fs::write(&file, csr::of(&key, &[GATEWAY], &[])).unwrap();
    refused(1, GATEWAY);
    // Whoever takes the key for the request must not have sent it.
    fs::write(&file, key.serialize_pem()).unwrap();
    refused(2, "no certification request");
    fs::write(&file, vec![b'a'; 1 << 20]).unwrap();
    refused(2, "too long");
}

#[test]
fn the_list_is_what_the_guides_pipes_want() {
    let directory = TempDir::new().unwrap();
    let service = start(directory.path());
    let (_out, cert, key) = places();
    done(&service, &generate(GATEWAY, &cert, &key, &["--ttl-hours", "1"]));
    done(&service, &generate(NODE, &cert, &key, &["--ttl-hours", "24", "--force"]));

    let list = done(&service, &["pki", "cert", "list"]);
    let rows: Vec<Vec<_>> = list.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(rows.len(), 5, "{list}");
    assert!(rows.iter().all(|row| row.len() == 6 && row[5].parse::<i64>().unwrap() > 0), "{list}");
    let types: Vec<_> = rows.iter().map(|row| row[2]).collect();
    assert_eq!(types, ["end-entity", "end-entity", "intermediate", "intermediate", "root-ca"]);
    assert_eq!((rows[0][1], rows[4][1]), (NODE, "Catalyst Root CA"));

    let guide = r#"catalyst pki cert list | grep -v "root-ca\|intermediate" | awk '$NF < 7200 {print "EXPIRING SOON:", $0}'"#;
    let (code, soon, stderr) = shell(&service, guide);
    assert_eq!((code, soon.lines().count()), (0, 1), "{stderr}");
    assert!(soon.starts_with("EXPIRING SOON: ") && soon.contains(GATEWAY), "{soon}");
    assert_eq!(shell(&service, "catalyst pki cert list | grep node-c").1.lines().count(), 1);

    let counted = |args: &[&str]| done(&service, &[&["pki", "cert", "list"], args].concat()).lines().count();
    assert_eq!(counted(&["--limit", "2"]), 2);
    assert_eq!(counted(&["--spiffe-id", NODE]), 1);
    assert_eq!((counted(&["--status", "active"]), counted(&["--status", "revoked"])), (5, 0));
    let json: Value =
        serde_json::from_str(&done(&service, &["pki", "cert", "list", "--output", "json"])).unwrap();
    assert_eq!(json["certificates"][2]["type"], "transport-ca");
}

#[test]
fn a_certificate_is_shown_exported_and_revoked() {
    let directory = TempDir::new().unwrap();
    let service = start(directory.path());
    let (out, cert, key) = places();
    done(&service, &generate(GATEWAY, &cert, &key, &[]));
    let serial =
        printed(&["x509", "-noout", "-serial"], &cert).trim().strip_prefix("serial=").unwrap().to_owned();
    let shown = done(&service, &["pki", "cert", "show", &serial]);
    assert!(
        shown.contains(&format!("SPIFFE ID:   {GATEWAY}\n")) && shown.contains("Status:      active\n"),
        "{shown}"
    );

    let chain = done(&service, &["pki", "cert", "export", &serial, "--chain"]);
    assert_eq!(chain, fs::read_to_string(&cert).unwrap());
    assert!(chain.starts_with(&done(&service, &["pki", "cert", "export", &serial])));
    let copy = out.path().join("copy.pem");
    let export = ["pki", "cert", "export", &serial, "--chain", "--output-cert", copy.to_str().unwrap()];
    assert!(done(&service, &export).starts_with("[ok] Certificate exported:\n"));
    assert_eq!(fs::read_to_string(&copy).unwrap(), chain);
    assert_eq!(run(&service, &export).0, 2, "it is there already");

    let revoke = ["pki", "cert", "revoke", &serial, "--reason", "superseded"];
    assert!(done(&service, &revoke).starts_with("[ok] Certificate revoked:\n"));
    assert!(done(&service, &["pki", "cert", "show", &serial]).contains("Status:      revoked\n"));
    let (code, _, stderr) = run(&service, &["pki", "cert", "show", &"1f".repeat(16)]);
    assert_eq!(code, 1, "{stderr}");
    let (code, _, stderr) = run(&service, &["pki", "cert", "revoke", "12"]);
    assert_eq!(code, 2, "{stderr}");
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let directory = TempDir::new().unwrap();
    let service = start(directory.path());
    let id = "spiffe://catalyst.example.com/node/a";
    // Whoever denies an identity that has no certificate is told so.
    let (_out, cert, key) = places();
    done(&service, &generate(id, &cert, &key, &[]));
    for command in [
        "pki cert list",
        "pki cert list --output json",
        "pki audit",
        "pki identity list-denied",
        "auth token list",
        "auth key list",
        "config --dev",
        "version",
        "man",
        "completions zsh",
        "--help",
        "serve --help",
        &format!("pki identity deny {id} --reason test"),
    ] {
        for end in ["| true", "| head -1", ">&-"] {
            let (code, _, stderr) = shell(&service, &format!("set -o pipefail; catalyst {command} {end}"));
            assert_eq!((code, stderr.as_str()), (0, ""), "{command} {end}");
        }
    }
}

/// A key beside a certificate that never came is of no use, and a half of either less.
#[test]
fn what_others_answer_leaves_no_file() {
    let (out, cert, key) = places();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ask = |address: &str| {
        let mut command = Command::new(catalyst_rigs::catalyst().unwrap());
        command.args(generate(GATEWAY, &cert, &key, &[])).current_dir(out.path()).env_clear();
        command.env("CATALYST_AUTH_URL", format!("ws://{address}/rpc")).env("CATALYST_AUTH_TOKEN", "t");
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert_eq!(names(out.path()), [""; 0]);
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, stderr) = ask(&closed.to_string());
    assert_eq!(code, 4, "{stderr}");
    for answer in [
        "HTTP/1.1 404 Not Found\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>",
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 11\r\n\r\n{\"hello\":1}",
        "HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\ncontent-length: 15\r\n\r\n{\"error\":\"no.\"}",
        "HTTP/1.1 401 Unauthorized\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>",
    ] {
        let (code, stderr) = ask(&crate::cert_cli_ends::answering(answer));
        assert_eq!(code, 4, "{stderr}");
        assert!(stderr.contains("does not look like this service") && stderr.contains("hint: "), "{stderr}");
    }
    let (code, stderr) = ask(&crate::cert_cli_ends::answering("SSH-2.0-OpenSSH_9.6\r\n"));
    assert_eq!(code, 4, "{stderr}");
}
