//! The time after a restore, in which the service issues nothing, and what becomes of the certificates that it has lost.

use crate::{
    auth_cli::{done, run},
    https::{Https, Trust},
    pki::{Issued, Pki, eventually, launch_in, ok, refused, spiffe_id},
    renewal::{SCHEME, proof, renew, request},
    rpc::Rpc,
};
use catalyst_pki::{access::Action, server::ENDPOINTS};
use catalyst_rigs::Launch;
use rusqlite::Connection;
use serde_json::{Value, json};
use std::{
    path::Path,
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};
use tempfile::TempDir;

const CONFIRM: [&str; 4] = ["pki", "recovery", "confirm", "--old-instance-is-gone"];

/// A deployment whose disk was lost: its last copy was put back, and these certificates were issued after it.
pub(crate) struct Lost {
    pub(crate) directory: TempDir,
    pub(crate) known: Issued,
    pub(crate) lost: Vec<Issued>,
}

impl Lost {
    pub(crate) fn new(lost: &[&str]) -> Self {
        let (first, directory) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let mut pki = Pki::initialized(launch_in(first.path()));
        let known = pki.issue("node", "known");
        assert!(pki.service.stop().unwrap().success());
        copy(first.path(), directory.path());
        let snapshot_at = now();
        let mut pki = Pki::start(launch_in(first.path())).ready();
        let lost = lost.iter().map(|instance| pki.issue("node", instance)).collect();
        assert!(pki.service.stop().unwrap().success());
        put_back(directory.path(), snapshot_at);
        Self { directory, known, lost }
    }

    pub(crate) fn launch(&self) -> Launch {
        launch_in(self.directory.path())
    }

    pub(crate) fn start(&self) -> Pki {
        signing(Pki::start(self.launch()))
    }
}

/// Waits for the keys; in recovery `/ready` never says so.
fn signing(pki: Pki) -> Pki {
    eventually("a token key that signs", || {
        pki.service.log().contains("JWTTokenFactory initialized").then_some(())
    });
    pki
}

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").args(["-a", "-T"]).args([from, to]).status().unwrap();
    assert!(copied.success());
}

/// What a restore leaves in the store.
fn put_back(directory: &Path, snapshot_at: i64) {
    let store = Connection::open(directory.join("certs.db")).unwrap();
    let sql = "INSERT INTO restoration (snapshot_at, restored_at) VALUES (?1, ?2)";
    store.execute(sql, [snapshot_at, now()]).unwrap();
}

fn renewed(pki: &Pki, issued: &Issued, instance: &str) -> catalyst_rigs::http::Response {
    let (_, csr) = request("node", instance);
    renew(pki, SCHEME, &proof(issued, &csr), instance, &csr)
}

#[track_caller]
fn in_recovery(answer: &catalyst_rigs::http::Response) {
    let sentence = refused(answer, 503, "recovery");
    assert!(sentence.contains("catalyst pki recovery confirm --old-instance-is-gone"), "{sentence}");
}

#[test]
fn nothing_is_issued_by_any_way_until_the_instance_of_before_is_said_to_be_gone() {
    let lost = Lost::new(&["lost"]);
    let pki = lost.start();
    let recorded = pki.recorded();
    let (_, csr) = request("node", "known");
    let body = json!({"csrPem": csr, "serviceType": "node", "instanceId": "known"});
    let ski = ok(&pki.get("/pki/ca"))[1]["ski"].as_str().unwrap().to_owned();

    // Each endpoint that can bring a certificate into the world, or let one do so.
    let issuing = [
        ("/pki/csr/sign", Some(body.clone())),
        ("/pki/keypair", Some(json!({"serviceType": "node", "instanceId": "known"}))),
        ("/pki/initialize", Some(json!({}))),
        ("/pki/intermediary", Some(json!({"commonName": "Another Services CA"}))),
        ("/pki/ca/{ski}/activate", Some(json!({"now": true}))),
        // These make none.
        ("/pki/ca/{ski}/retire", None),
        ("/pki/ca/{ski}/revoke", None),
        ("/pki/ca/{ski}/repin", None),
        ("/pki/recovery/confirm", None),
        ("/pki/backends/retry", None),
    ];
    let may_issue = [Action::CertSign, Action::CertGenerate, Action::CaManage];
    for endpoint in ENDPOINTS.iter().filter(|endpoint| endpoint.method == "POST") {
        if !endpoint.action.is_some_and(|action| may_issue.contains(&action)) {
            continue;
        }
        let (path, body) = issuing.iter().find(|(path, _)| *path == endpoint.path).expect(endpoint.path);
        if let Some(body) = body {
            in_recovery(&pki.post(&path.replace("{ski}", &ski), body));
        }
    }
    for issued in [&lost.known, &lost.lost[0]] {
        let instance = if issued.serial() == lost.known.serial() { "known" } else { "lost" };
        in_recovery(&renewed(&pki, issued, instance));
    }
    let boot = pki.mint("bootstrap", "NODE", &json!({"spiffeId": spiffe_id("node", "known")}));
    in_recovery(&pki.service.http().with_token(&boot).post("/pki/csr/sign", &body).unwrap());
    let mut rpc = Rpc::open(&pki.service);
    let answer = rpc.first_call("pki", &pki.token, "signCsr", &body);
    assert_eq!((&answer[2]["success"], &answer[2]["code"]), (&false.into(), &"recovery".into()), "{answer}");
    let answer = rpc.call(3, "initialize", &json!({}));
    assert_eq!(answer[2]["code"], "recovery", "{answer}");
    // What was lost and shown meanwhile is known again; that is no issuance.
    assert_eq!(pki.recorded(), recorded + 1);

    let (code, stdout, stderr) = run(&pki.service, &CONFIRM[..3]);
    assert_eq!((code, stdout.as_str()), (2, ""));
    assert!(stderr.contains("until the instance that ran before is gone for good"), "{stderr}");
    refused(&pki.post("/pki/recovery/confirm", &json!({})), 422, "invalid_request");
    in_recovery(
        &pki.post("/pki/csr/sign", &json!({"csrPem": csr, "serviceType": "node", "instanceId": "known"})),
    );

    let said = done(&pki.service, &CONFIRM);
    assert!(
        said.starts_with("[ok] Recovery confirmed, certificates are issued again:\n  Backup of:   20"),
        "{said}"
    );
    assert_eq!(done(&pki.service, &CONFIRM), "[ok] No restore waits to be confirmed\n");
    ok(&renewed(&pki, &lost.known, "known"));
    ok(&renewed(&pki, &lost.lost[0], "lost"));
    let answer = rpc.call(4, "confirmRecovery", &json!({"oldInstanceIsGone": true}));
    assert_eq!(answer[2], json!({"success": true}), "{answer}");
    pki.ready().still_works();
}

#[test]
fn a_service_in_recovery_says_so_everywhere_and_serves_and_revokes() {
    let lost = Lost::new(&[]);
    let pki = lost.start();
    let http = pki.service.http();
    let ready = http.get("/ready").unwrap();
    assert_eq!(ready.status, 503);
    let ready: Value = ready.json().unwrap();
    assert_eq!(ready["ready"], false);
    assert!(ready["signing"].as_str().unwrap().contains("recovery confirm"), "{ready}");
    assert_eq!(http.get("/health").unwrap().status, 200);
    assert!(http.get("/metrics").unwrap().text().contains("\ncatalyst_pki_recovery 1\n"));
    let line = pki.logged(
        "In recovery — nothing is issued until 'catalyst pki recovery confirm --old-instance-is-gone'",
        "snapshot_at",
    );
    assert_eq!(line.level, "warn");
    let status = ok(&pki.get("/pki/status"));
    assert_eq!(status["status"], "recovery");
    assert!(status["recovery"]["snapshotAt"].is_string() && status["recovery"]["restoredAt"].is_string());
    assert!(status["warnings"][0].as_str().unwrap().starts_with("in recovery since "), "{status}");
    let (code, stdout, stderr) = run(&pki.service, &["pki", "status"]);
    assert_eq!(code, 1);
    assert!(stdout.starts_with("PKI Status: RECOVERY\nRecovery:\n  Backup of:   20"), "{stdout}");
    assert!(stderr.contains("hint: ") && stderr.contains("recovery confirm"), "{stderr}");

    for path in ["/pki/ca/bundle", "/.well-known/spiffe-bundle", "/pki/crl", "/.well-known/jwks.json"] {
        assert_eq!(http.get(path).unwrap().status, 200, "{path}");
    }
    for path in ["/pki/certificates", "/pki/audit", "/pki/identities/denied", "/auth/tokens", "/pki/ca"] {
        ok(&pki.get(path));
    }
    // A CA that can't revoke is none.
    let before = pki.crl("services").number();
    let denied = pki.deny(&spiffe_id("node", "known"), false);
    assert_eq!(denied["crlPending"], false);
    let crl = pki.crl("services");
    assert!(crl.number() > before);
    assert_eq!(pki.status_of(lost.known.serial()), "held");
    pki.allow(&spiffe_id("node", "known"));
    let revoked = pki.post(&format!("/pki/certificates/{}/revoke", lost.known.serial()), &json!({}));
    ok(&revoked);
    done(&pki.service, &CONFIRM);
    assert!(http.get("/metrics").unwrap().text().contains("\ncatalyst_pki_recovery 0\n"));
    refused(&renewed(&pki, &lost.known, "known"), 401, "certificate_gone");
    let records = ok(&pki.get("/pki/audit?action=recovery.confirmed"));
    assert_eq!(records["records"].as_array().unwrap().len(), 1);
    pki.ready();
}

#[test]
fn a_lost_certificate_is_taken_up_over_mutual_tls_unless_its_identity_is_denied() {
    let lost = Lost::new(&["lost", "denied"]);
    let launch =
        lost.launch().env("CATALYST_PKI_TLS", "always").env("CATALYST_PKI_TLS_NAMES", "localhost,127.0.0.1");
    let pki = signing(Pki::start(launch));
    pki.deny(&spiffe_id("node", "denied"), false);
    // Nothing is issued to the service itself either.
    let shown = Https::open(&pki.service, &Trust::anything()).unwrap().chain();
    assert!(crate::x509::Certificate::from_der(&shown[0]).uris().is_empty());

    let ask = |connection: &mut Https, instance: &str| {
        let (_, csr) = request("node", instance);
        connection
            .post("/pki/csr/sign", &json!({"csrPem": csr, "serviceType": "node", "instanceId": instance}))
    };
    let mut known = Https::open(&pki.service, &Trust::holding(&lost.lost[0])).unwrap();
    in_recovery(&ask(&mut known, "lost"));
    done(&pki.service, &CONFIRM);
    ok(&ask(&mut known, "lost"));
    let row = ok(&pki.get(&format!("/pki/certificates/{}", lost.lost[0].serial())));
    assert_eq!(row["status"], "active");
    let adopted = ok(&pki.get("/pki/audit?action=certificate.adopted"));
    let adopted = adopted["records"].as_array().unwrap().clone();
    assert_eq!(adopted.len(), 1);
    assert_eq!(adopted[0]["subject"], spiffe_id("node", "lost"));

    let mut denied = Https::open(&pki.service, &Trust::holding(&lost.lost[1])).unwrap();
    refused(&ask(&mut denied, "denied"), 401, "credential_invalid");
    // Lifted, it may come back; its certificate was never known to be bad.
    pki.allow(&spiffe_id("node", "denied"));
    ok(&ask(&mut denied, "denied"));
    // The service has an SVID of its own again.
    crate::tls::shown_own(&pki.service);
}

#[test]
fn without_a_restore_an_unknown_certificate_is_nobodys() {
    let lost = Lost::new(&["lost"]);
    let store = Connection::open(lost.directory.path().join("certs.db")).unwrap();
    store.execute("DELETE FROM restoration", []).unwrap();
    drop(store);
    let pki = lost.start().ready();
    refused(&renewed(&pki, &lost.lost[0], "lost"), 401, "credential_invalid");
    // Nor after one whose copy was made later.
    let mut pki = pki;
    assert!(pki.service.stop().unwrap().success());
    put_back(lost.directory.path(), now() + 120_000);
    let pki = lost.start();
    refused(&renewed(&pki, &lost.lost[0], "lost"), 401, "credential_invalid");
    assert_eq!(ok(&pki.get("/pki/audit?action=certificate.adopted"))["records"], json!([]));
}
