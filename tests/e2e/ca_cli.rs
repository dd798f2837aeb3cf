//! The hierarchy from the shell, against the real service: the guide's first-time setup and rotation, and what goes
//! wrong on the way.

use crate::{
    auth_cli::{done, run},
    pki::{Pki, launch_in},
    x509::Certificate,
};
use catalyst_rigs::checkers::{openssl, openssl_verify};
use serde_json::{Value, json};
use std::{fs, path::PathBuf};
use tempfile::TempDir;

const ROOT: &str = "Acme Corp Catalyst Root CA";
const SERVICES: &str = "Acme Corp Catalyst Services CA";
const SERVICES_2: &str = "Acme Corp Catalyst Services CA v2";
const TRANSPORT: &str = "Acme Corp Catalyst Transport CA";

/// A service without `--dev`, and its directory.
struct Setup {
    directory: TempDir,
    pki: Pki,
}

impl Setup {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let pki = Pki::start(launch_in(directory.path()));
        Self { directory, pki }
    }

    /// With the guide's three CAs, made as the guide makes them.
    fn initialized() -> Self {
        let setup = Self::new();
        setup.done(&["pki", "init", "--common-name", ROOT, "--algorithm", "EC-P384", "--ttl-days", "3650"]);
        setup.create(SERVICES);
        setup.create(TRANSPORT);
        Self { pki: setup.pki.ready(), ..setup }
    }

    fn create(&self, name: &str) -> String {
        self.done(&["pki", "ca", "create-intermediary", "--common-name", name, "--ttl-days", "730"])
    }

    #[track_caller]
    fn done(&self, args: &[&str]) -> String {
        done(&self.pki.service, args)
    }

    /// What a command that fails says on standard error, if it ends with this code.
    #[track_caller]
    fn fails(&self, code: i32, args: &[&str]) -> String {
        let (found, _, stderr) = run(&self.pki.service, args);
        assert_eq!(found, code, "{args:?}: {stderr}");
        assert!(stderr.starts_with("error: "), "{stderr}");
        stderr
    }

    #[track_caller]
    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.done(&[args, &["--output", "json"]].concat())).unwrap()
    }

    /// Standard output and the exit code of `pki status`.
    fn status(&self) -> (i32, String) {
        let (code, stdout, _) = run(&self.pki.service, &["pki", "status"]);
        (code, stdout)
    }

    /// State and key id of the CA of that name.
    fn listed(&self, name: &str) -> (String, String) {
        let rows = self.done(&["pki", "ca", "list"]);
        let row: Vec<_> =
            rows.lines().find(|row| row.split('\t').nth(4) == Some(name)).unwrap().split('\t').collect();
        assert_eq!(row.len(), 7, "{rows}");
        (row[3].to_owned(), row[0].to_owned())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

/// The guide's 2.1.
#[test]
fn a_hierarchy_is_made_as_the_guide_makes_it() {
    let setup = Setup::new();
    let (code, stdout) = setup.status();
    assert_eq!((code, stdout.lines().next()), (1, Some("PKI Status: UNINITIALIZED")));
    let none = setup.fails(4, &["pki", "ca", "bundle"]);
    assert!(none.contains("hint: ") && none.contains("catalyst pki init"), "{none}");

    let init = ["pki", "init", "--common-name", ROOT, "--algorithm", "EC-P384", "--ttl-days", "3650"];
    let (code, stdout, stderr) = run(&setup.pki.service, &init);
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.starts_with("hint: ") && stderr.contains("create-intermediary"), "{stderr}");
    let root = Certificate::all(&setup.pki.bundle()).remove(0);
    let pin = format!("  Clients pin:  --root-fingerprint {}\n", root.fingerprint());
    assert!(stdout.starts_with("[ok] PKI initialized:\n") && stdout.ends_with(&pin), "{stdout}");
    let der = setup.file("root.pem");
    fs::write(&der, setup.pki.bundle()).unwrap();
    let shown =
        openssl(&["x509", "-in", der.to_str().unwrap(), "-noout", "-fingerprint", "-sha256"]).unwrap();
    let in_hex = shown.trim().rsplit('=').next().unwrap().replace(':', "").to_lowercase();
    assert!(stdout.contains(&in_hex), "{stdout} {shown}");
    let again = setup.fails(5, &init);
    assert!(again.contains("initialized already") && again.contains("hint: "), "{again}");

    let (code, stdout) = setup.status();
    assert_eq!((code, stdout.lines().next()), (1, Some("PKI Status: DEGRADED")));
    assert!(stdout.contains("Warnings:\n  - there is no active services CA\n"), "{stdout}");

    let services = setup.create(SERVICES);
    assert!(services.contains("  Role:        services\n") && services.contains("  State:       active\n"));
    setup.create(TRANSPORT);
    let bundle = setup.done(&["pki", "ca", "bundle"]);
    assert_eq!(bundle, setup.pki.bundle(), "byte for byte what the service answers");
    assert_eq!(bundle.matches("BEGIN CERTIFICATE").count(), 3);

    let (code, stdout) = setup.status();
    assert_eq!(code, 0, "{stdout}");
    let cas = Certificate::all(&bundle);
    let end = setup.json(&["pki", "status"]);
    let day = |ca: &Value| ca["expiresAt"].as_str().unwrap()[..10].to_owned();
    assert_eq!(
        stdout,
        format!(
            "PKI Status: HEALTHY\nRoot CA:\n  Fingerprint: {}\n  Common Name: {ROOT}\n  Algorithm:   EC-P384\n  Expires:     {} (3650 days remaining)\n\
             Intermediate CAs: 2\n  - {SERVICES} ({}) expires {} (730 days)\n  - {TRANSPORT} ({}) expires {} (730 days)\n\
             Active Certificates: 0\nDenied Identities:   0\n",
            cas[0].fingerprint(),
            end["rootCa"]["expiresAt"].as_str().unwrap(),
            cas[1].fingerprint(),
            day(&end["servicesCa"]),
            cas[2].fingerprint(),
            day(&end["transportCa"]),
        )
    );
}

/// The guide's 2.3.
#[test]
fn an_intermediate_is_rotated_as_the_guide_rotates_it() {
    let setup = Setup::initialized();
    let of_old = setup.pki.issue("node", "n1");
    let made = setup.create(SERVICES_2);
    assert!(made.contains("  State:       waiting\n") && made.contains("  Generation:  2\n"), "{made}");
    let (code, stdout) = setup.status();
    // A change that is planned is no trouble.
    assert_eq!(code, 0, "{stdout}");
    assert!(stdout.contains(" (730 days), waits for activation\n"), "{stdout}");
    assert!(stdout.contains(" is published and waits to be activated\n"), "{stdout}");
    let waits = setup.fails(5, &["pki", "ca", "create-intermediary", "--common-name", "Services v3"]);
    assert!(waits.contains(SERVICES_2) && waits.contains("hint: "), "{waits}");

    let bundle = setup.done(&["pki", "ca", "bundle"]);
    assert_eq!(bundle.matches("BEGIN CERTIFICATE").count(), 4);
    let early = setup.fails(5, &["pki", "ca", "activate", SERVICES_2]);
    assert!(early.contains("24 hours") && early.contains("--now"), "{early}");
    let ski = setup.listed(SERVICES_2).1;
    setup.done(&["pki", "ca", "activate", &ski[..8], "--now"]);
    assert_eq!((setup.listed(SERVICES).0, setup.listed(SERVICES_2).0), ("replaced".into(), "active".into()));
    let (code, stdout) = setup.status();
    assert_eq!(code, 0, "{stdout}");
    assert!(
        stdout.contains("Intermediate CAs: 3\n") && stdout.contains(" (730 days), replaced\n"),
        "{stdout}"
    );

    // Old and new certificates verify under the bundle, until the old ones have ended.
    let of_new = setup.pki.issue("node", "n2");
    assert_eq!(of_new.certificate.issuer_name(), SERVICES_2);
    let bundle = setup.file("bundle.pem");
    setup.done(&["pki", "ca", "bundle", "--output-file", "bundle.pem"]);
    for (name, issued) in [("old", &of_old), ("new", &of_new)] {
        let leaf = setup.file(name);
        fs::write(&leaf, issued.answer["certificatePem"].as_str().unwrap()).unwrap();
        openssl_verify(&bundle, &leaf).unwrap();
    }
    let lives = setup.fails(5, &["pki", "ca", "retire", SERVICES]);
    assert!(lives.contains("live until") && lives.contains("(1 in all)"), "{lives}");
    let active = setup.fails(5, &["pki", "ca", "retire", SERVICES_2]);
    assert!(active.contains("activate another one first"), "{active}");

    // A CA that never issued goes at once.
    setup.create("Acme Corp Catalyst Transport CA v2");
    setup.done(&["pki", "ca", "activate", "Acme Corp Catalyst Transport CA v2", "--now"]);
    setup.done(&["pki", "ca", "retire", TRANSPORT]);
    assert_eq!(setup.listed(TRANSPORT).0, "retired");
    assert_eq!(setup.done(&["pki", "ca", "bundle"]).matches("BEGIN CERTIFICATE").count(), 4);
}

#[test]
fn all_three_are_made_at_once_where_that_is_said() {
    let setup = Setup::new();
    let made = setup.json(&["pki", "init", "--with-intermediates"]);
    let cas = Certificate::all(&setup.pki.bundle());
    let names = ["rootFingerprint", "servicesCaFingerprint", "transportCaFingerprint"];
    for (name, ca) in names.iter().zip(&cas) {
        assert_eq!(made[name], ca.fingerprint());
    }
    // With nothing else said, it is still no second time.
    setup.fails(5, &["pki", "init", "--with-intermediates"]);
    setup.fails(5, &["pki", "init"]);
}

#[test]
fn every_answer_has_its_form_in_json() {
    let setup = Setup::initialized();
    let status = setup.json(&["pki", "status"]);
    assert_eq!(
        (&status["status"], status["intermediates"].as_array().unwrap().len()),
        (&json!("healthy"), 2)
    );
    let cas = setup.json(&["pki", "ca", "list"]);
    assert_eq!(cas[0]["ski"], status["rootCa"]["ski"]);
    let made =
        setup.json(&["pki", "ca", "create-intermediary", "--common-name", "Edge", "--role", "transport"]);
    assert_eq!(
        (&made["role"], &made["generation"], made.get("activatedAt")),
        (&json!("transport"), &json!(2), None)
    );
    assert!(made["certificatePem"].as_str().unwrap().starts_with("-----BEGIN CERTIFICATE-----"));
    let active = setup.json(&["pki", "ca", "activate", "Edge", "--now"]);
    assert_eq!((&active["state"], active["activatedAt"].is_string()), (&json!("active"), true));
    assert_eq!(setup.json(&["pki", "ca", "retire", TRANSPORT])["state"], "retired");
    let revoked = setup.json(&["pki", "ca", "revoke", "Edge", "--reason", "superseded"]);
    assert_eq!(revoked["state"], "revoked");
    let bundle = setup.json(&["pki", "ca", "bundle"]);
    assert_eq!(bundle["trustDomain"], "catalyst.example.com");
    assert_eq!(
        setup.json(&["pki", "ca", "bundle"]),
        serde_json::from_str::<Value>(&setup.done(&["pki", "ca", "bundle", "--format", "json"])).unwrap()
    );
    let pem = setup.done(&["pki", "ca", "bundle", "--format", "pem", "--output", "json"]);
    assert!(pem.starts_with("-----BEGIN CERTIFICATE-----"));
}

#[test]
fn the_bundle_needs_no_token_and_a_file_is_kept() {
    let setup = Setup::initialized();
    let service = &setup.pki.service;
    fs::rename(setup.file("system-token"), setup.file("elsewhere")).unwrap();
    assert_eq!(setup.done(&["pki", "ca", "bundle"]), setup.pki.bundle());
    setup.fails(3, &["pki", "status"]);
    let part = setup.done(&["pki", "ca", "bundle", "--role", "transport", "--anchors", "issuing"]);
    assert_eq!(Certificate::all(&part)[0].common_name().as_deref(), Some(TRANSPORT));
    assert_eq!(part.matches("BEGIN CERTIFICATE").count(), 1);
    for wrong in [&["--anchors", "issuing"][..], &["--format", "json", "--role", "services"], &["--force"]] {
        let (code, _, stderr) = run(service, &[&["pki", "ca", "bundle"], wrong].concat());
        assert_eq!(code, 2, "{wrong:?}: {stderr}");
    }

    let to_file = ["pki", "ca", "bundle", "--output-file", "ca.pem"];
    assert_eq!(setup.done(&to_file), "");
    fs::write(setup.file("ca.pem"), "mine").unwrap();
    let kept = setup.fails(2, &to_file);
    assert!(kept.contains("--force"), "{kept}");
    assert_eq!(fs::read_to_string(setup.file("ca.pem")).unwrap(), "mine");
    setup.done(&[to_file.as_slice(), &["--force"]].concat());
    assert_eq!(fs::read_to_string(setup.file("ca.pem")).unwrap(), setup.pki.bundle());
}

#[test]
fn names_that_lead_nowhere_are_wrong_usage_and_a_stranger_is_not_authorised() {
    let setup = Setup::initialized();
    for name in ["nobody", "deadbeef", &setup.listed(SERVICES).1[..7], &SERVICES.to_lowercase()] {
        let wrong = setup.fails(2, &["pki", "ca", "activate", name]);
        assert!(wrong.contains(SERVICES) && wrong.contains("hint: "), "{wrong}");
    }
    for name in ["Acme CA", "Acme Services and Transport CA"] {
        let wrong = setup.fails(2, &["pki", "ca", "create-intermediary", "--common-name", name]);
        assert!(wrong.contains("--role"), "{wrong}");
    }
    setup.fails(5, &["pki", "ca", "revoke", ROOT, "--reason", "cacompromise"]);
    let (code, _, _) = run(&setup.pki.service, &["pki", "ca", "revoke", SERVICES]);
    assert_eq!(code, 2, "a reason is asked for");
    let refused = setup
        .fails(1, &["pki", "ca", "create-intermediary", "--common-name", "Services 2", "--ttl-days", "1"]);
    assert!(refused.contains("3 to 36500 days"), "{refused}");

    let user = setup.pki.mint("u", "USER", &json!({}));
    let file = setup.file("user.token");
    fs::write(&file, user).unwrap();
    std::process::Command::new("chmod").arg("600").arg(&file).status().unwrap();
    for args in
        [&["pki", "status"][..], &["pki", "init"], &["pki", "ca", "list"], &["pki", "ca", "retire", SERVICES]]
    {
        setup.fails(3, &[args, &["--token-file", "user.token"]].concat());
    }
}

#[test]
fn a_cas_key_moves_and_signs_where_it_is_now() {
    let mut setup = Setup::initialized();
    let key = |name: &str| setup.directory.path().join("keys").join(name);
    fs::copy(key("services-1.pem"), key("services-9.pem")).unwrap();
    let another = setup.fails(5, &["pki", "ca", "repin", SERVICES, "--key-uri", "local:transport-1"]);
    assert!(another.contains("another key than that of"), "{another}");
    setup.fails(1, &["pki", "ca", "repin", SERVICES, "--key-uri", "local:services-7"]);
    setup.fails(1, &["pki", "ca", "repin", SERVICES, "--key-uri", "services-9", "--backend", "nowhere"]);

    let reconcile = ["pki", "keys", "reconcile"];
    let copies = || {
        setup
            .done(&reconcile)
            .lines()
            .map(|row| row.split('\t').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(copies(), ["local:services-9"]);
    let moved = setup.json(&["pki", "ca", "repin", SERVICES, "--key-uri", "services-9"]);
    assert_eq!((&moved["keyUri"], &moved["state"]), (&json!("local:services-9"), &json!("active")));
    assert_eq!(copies(), ["local:services-1"], "the copy is now the key, and the key a copy");
    let unclaimed = setup.json(&reconcile);
    assert_eq!(unclaimed["keys"][0]["copyOf"], "local:services-9");
    assert_eq!((&unclaimed["keys"][0]["reason"], &unclaimed["unread"]), (&json!("copy"), &json!([])));
    // Also a root's, which is opened for each signature.
    fs::copy(key("root-1.pem"), key("root-2.pem")).unwrap();
    setup.done(&["pki", "ca", "repin", ROOT, "--key-uri", "local:root-2"]);
    for gone in ["services-1.pem", "root-1.pem"] {
        fs::rename(key(gone), setup.directory.path().join(gone)).unwrap();
    }
    assert_eq!(copies(), [""; 0]);
    setup.pki.issue("node", "n1");
    setup.create(SERVICES_2);
    let audited = setup.done(&["pki", "audit", "--action", "ca.repinned"]);
    assert_eq!(audited.lines().count(), 2, "{audited}");
    // And after a restart, with nothing at the earlier places.
    assert!(setup.pki.service.stop().unwrap().success());
    let again = Pki::start(launch_in(setup.directory.path())).ready();
    again.issue("node", "n2");
}
