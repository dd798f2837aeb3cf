//! `catalyst pki export`: what is public, in forms that others' programs read.

use crate::{
    auth_cli::{done, run},
    deployment::{Deployment, Holder, PASSPHRASE},
};
use catalyst_rigs::{
    Service,
    checkers::{certtool, openssl},
    http::Client,
    scan::Scanner,
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt as _, path::Path};

const FORMATS: [&str; 4] = ["pem", "json", "csv", "spiffe"];

/// A CA with three gateways, of which one is denied.
fn deployment() -> (Deployment, Service, Client) {
    let deployment = Deployment::production();
    let (service, client) = deployment.initialized();
    for instance in ["a", "b", "c"] {
        Holder::new("gateway", &format!("{instance}.example.org")).get(&client);
    }
    Holder::new("gateway", "c.example.org").deny(&client).unwrap();
    (deployment, service, client)
}

fn export(service: &Service, format: &str, more: &[&str]) -> String {
    done(service, &[&["pki", "export", "--format", format], more].concat())
}

fn written(service: &Service, format: &str, more: &[&str]) -> String {
    let file = service.data_dir().join(format!("out.{format}"));
    let told =
        export(service, format, &[&["--output-file", file.to_str().unwrap(), "--force"], more].concat());
    assert!(told.starts_with("[ok] Exported: "), "{told}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
    fs::read_to_string(file).unwrap()
}

fn serials(csv: &str) -> BTreeSet<&str> {
    csv.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect()
}

fn drafts(directory: &Path) -> usize {
    let entries = fs::read_dir(directory).unwrap();
    entries
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with(".catalyst-"))
        .count()
}

#[test]
fn others_tools_read_every_certificate_and_crl_of_an_export() {
    let (_deployment, service, client) = deployment();
    let pem = written(&service, "pem", &[]);
    let file = service.data_dir().join("out.pem");
    let file = file.to_str().unwrap();
    // Three CAs and three services.
    let listed = openssl(&["storeutl", "-noout", "-certs", file]).unwrap();
    assert!(listed.contains("Total found: 6"), "{listed}");
    let listed = openssl(&["storeutl", "-noout", "-crls", file]).unwrap();
    assert!(listed.contains("Total found: 3"), "{listed}");
    let listed = certtool(&["--certificate-info", "--infile", file]).unwrap();
    assert_eq!(listed.matches("X.509 Certificate Information:").count(), 6, "{listed}");
    assert_eq!(pem.matches("# end-entity held ").count(), 1, "{pem}");

    let exported: Value = serde_json::from_str(&written(&service, "json", &[])).unwrap();
    assert_eq!(exported["format"], "catalyst-pki-export/1");
    assert_eq!(
        (&exported["certificateCount"], &exported["denied"][0]["spiffeId"]),
        (&json!(6), &json!("spiffe://catalyst.example.com/gateway/c.example.org"))
    );
    for (part, count) in [("cas", 3), ("crls", 3), ("certificates", 6), ("denied", 1)] {
        assert_eq!(exported[part].as_array().unwrap().len(), count, "{part}");
    }
    for certificate in exported["certificates"].as_array().unwrap() {
        assert!(pem.contains(certificate["certificatePem"].as_str().unwrap()), "{certificate}");
    }

    let csv = export(&service, "csv", &[]);
    assert_eq!(serials(&csv).len(), 6);
    assert!(csv.starts_with("serial,type,status,spiffe_id,") && csv.ends_with("\r\n"), "{csv}");
    let spiffe: Value = serde_json::from_str(&export(&service, "spiffe", &[])).unwrap();
    assert_eq!(spiffe, client.get("/.well-known/spiffe-bundle").unwrap().json().unwrap());

    let held = export(&service, "csv", &["--status", "held"]);
    assert!(held.contains("gateway/c.example.org") && serials(&held).len() == 1, "{held}");
    let one =
        export(&service, "csv", &["--spiffe-id", "spiffe://catalyst.example.com/gateway/a.example.org"]);
    assert!(one.contains("gateway/a.example.org") && serials(&one).len() == 1, "{one}");
    let (code, _, stderr) = run(&service, &["pki", "export", "--format", "spiffe", "--status", "held"]);
    assert_eq!(code, 2, "{stderr}");
}

#[test]
fn an_export_goes_on_over_every_page() {
    let deployment = Deployment::production();
    let (service, client) = deployment.initialized();
    const MANY: usize = 1_005;
    for number in 0..MANY {
        Holder::new("gateway", &format!("g-{number}.example.org")).get(&client);
    }
    let csv = export(&service, "csv", &[]);
    assert_eq!((serials(&csv).len(), csv.lines().count()), (MANY + 3, MANY + 4));
    let exported: Value = serde_json::from_str(&export(&service, "json", &[])).unwrap();
    assert_eq!(exported["certificates"].as_array().unwrap().len(), MANY + 3);
    let page = client.get("/pki/export/certificates?limit=1001").unwrap();
    assert_eq!(page.status, 400, "{}", page.text());
}

#[test]
fn a_file_is_there_whole_or_as_it_was() {
    let (_deployment, mut service, _client) = deployment();
    let file = service.data_dir().join("export.json");
    fs::write(&file, "of before").unwrap();
    let path = file.to_str().unwrap().to_owned();
    let (code, _, stderr) = run(&service, &["pki", "export", "--format", "json", "--output-file", &path]);
    assert!(code == 2 && stderr.contains("is there already, and is kept"), "{stderr}");
    let token = fs::read_to_string(service.data_dir().join("system-token")).unwrap();
    service.stop().unwrap();
    fs::write(service.data_dir().join("kept-token"), token).unwrap();
    fs::set_permissions(service.data_dir().join("kept-token"), fs::Permissions::from_mode(0o600)).unwrap();
    let args = [
        "pki",
        "export",
        "--format",
        "json",
        "--force",
        "--output-file",
        &path,
        "--token-file",
        "kept-token",
    ];
    assert_eq!(run(&service, &args).0, 4);
    assert_eq!(fs::read_to_string(&file).unwrap(), "of before");
    assert_eq!(drafts(service.data_dir()), 0);
}

#[test]
fn who_may_not_list_certificates_gets_no_export() {
    let (_deployment, service, _client) = deployment();
    let token = done(&service, &["auth", "token", "mint", "n", "--principal", "NODE", "--node-id", "n"]);
    let file = service.data_dir().join("node.token");
    fs::write(&file, token).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    for format in ["pem", "json", "csv"] {
        let args =
            ["pki", "export", "--format", format, "--token-file", "node.token", "--output-file", "out"];
        let (code, _, stderr) = run(&service, &args);
        assert_eq!(code, 3, "{format}: {stderr}");
        assert!(!service.data_dir().join("out").exists());
    }
}

#[test]
fn no_export_holds_a_secret() {
    let (deployment, service, _client) = deployment();
    let mut scanner = Scanner::default();
    let token = deployment.token().unwrap();
    scanner.add("passphrase", PASSPHRASE.as_bytes());
    scanner.add("token", token.as_bytes());
    scanner.add("the token's signature", token.rsplit_once('.').unwrap().1.as_bytes());
    for name in ["root-1", "services-1", "transport-1", "token-1"] {
        let (key, passphrase) = (deployment.key_file(name), deployment.beside("passphrase"));
        let plain = deployment.beside("plain");
        let (key, passphrase) = (key.to_str().unwrap(), format!("file:{}", passphrase.display()));
        let out = plain.to_str().unwrap();
        openssl(&["pkcs8", "-in", key, "-passin", &passphrase, "-out", out]).unwrap();
        // P-384 in PKCS#8: the private scalar stands after 35 octets.
        openssl(&[
            "pkcs8",
            "-topk8",
            "-nocrypt",
            "-in",
            out,
            "-outform",
            "DER",
            "-out",
            &format!("{out}.der"),
        ])
        .unwrap();
        let der = fs::read(format!("{out}.der")).unwrap();
        scanner.add(name, &der[35..83]);
        assert!(!scanner.find(&der).is_empty(), "the scanner is blind");
    }
    for format in FORMATS {
        let exported = export(&service, format, &[]);
        assert_eq!(scanner.find(exported.as_bytes()), BTreeSet::new(), "{format}");
        assert!(!exported.contains("PRIVATE KEY"), "{format}");
    }
}
