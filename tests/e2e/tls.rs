//! HTTPS: what the service shows, when, and to whom.

use crate::{
    https::{Https, Trust, plain_health},
    pki::{Pki, eventually, launch_in, ok, spiffe_id},
    x509::Certificate,
};
use catalyst_rigs::{Launch, Service, checkers::openssl};
use rcgen::{CertificateParams, KeyPair};
use rustls::NamedGroup;
use serde_json::json;
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};
use tempfile::TempDir;

const OWN: &str = "Serving the service's own SVID";
const SELF_SIGNED: &str = "Serving a self-signed certificate";

fn launch(data_dir: &Path) -> Launch {
    launch_in(data_dir)
        .env("CATALYST_PKI_TLS", "always")
        .env("CATALYST_PKI_TLS_NAMES", "localhost,127.0.0.1,pki.example.org")
        .env("CATALYST_NODE_ID", "pki-1.example.org")
}

pub(crate) fn dev() -> Pki {
    Pki::dev_with(|launch| {
        launch
            .env("CATALYST_PKI_TLS", "always")
            .env("CATALYST_PKI_TLS_NAMES", "localhost,127.0.0.1")
            .env("CATALYST_NODE_ID", "pki-1.example.org")
    })
}

/// What a new connection is shown.
fn shown(service: &Service) -> Certificate {
    Certificate::from_der(&Https::open(service, &Trust::anything()).unwrap().chain()[0])
}

pub(crate) fn shown_own(service: &Service) -> Certificate {
    eventually("the service's own SVID", || {
        Some(shown(service)).filter(|certificate| !certificate.uris().is_empty())
    })
}

fn shown_self_signed(service: &Service) -> Certificate {
    eventually("a self-signed certificate", || {
        Some(shown(service)).filter(|certificate| certificate.uris().is_empty())
    })
}

/// What openssl says of a connection; fails where it refuses it.
fn s_client(service: &Service, args: &[&str]) -> Result<String, catalyst_rigs::RigError> {
    let address = service.address().to_string();
    openssl(&[&["s_client", "-connect", &address, "-servername", "localhost"], args].concat())
}

#[test]
fn the_service_begins_with_a_self_signed_certificate_and_goes_on_with_its_own_svid() {
    let directory = TempDir::new().unwrap();
    let pki = Pki::start(launch(directory.path()));
    let first = shown(&pki.service);
    let line = pki.logged(SELF_SIGNED, &first.fingerprint());
    assert_eq!(line.level, "info");
    let mut before = Https::open(&pki.service, &Trust::anything()).unwrap();
    assert_eq!(before.get("/health").unwrap().0, 200);

    ok(&pki.admin.request("POST", "/pki/initialize", &[], b"").unwrap());
    let own = shown_own(&pki.service);
    own.assert_is_a_leaf();
    assert_eq!(own.uris(), [spiffe_id("auth", "pki-1.example.org")]);
    assert_eq!(own.dns_names(), ["pki-1.example.org", "pki.example.org", "auth", "localhost"]);
    assert_eq!(pki.status_of(&own.serial()), "active");
    pki.logged(OWN, &own.fingerprint());

    // The connection of before is none the worse for it.
    assert_eq!(before.get("/health").unwrap().0, 200);
    let bundle = pki.bundle();
    let mut trusted = Https::open(&pki.service, &Trust::root_of(&bundle)).unwrap();
    assert_eq!(trusted.get("/health").unwrap().0, 200);
    assert_eq!(trusted.chain().len(), 2, "the certificate and its issuer, without the root");
    let group = trusted.session().negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, NamedGroup::X25519MLKEM768);
    assert_eq!(trusted.session().tls13_tickets_received(), 0);
    assert_eq!(plain_health(&pki.service), 200);
}

#[test]
fn openssl_and_curl_find_tls_1_3_and_a_certificate_they_believe() {
    let pki = dev();
    shown_own(&pki.service);
    let directory = TempDir::new().unwrap();
    let bundle = directory.path().join("bundle.pem");
    fs::write(&bundle, pki.bundle()).unwrap();
    let bundle = bundle.to_str().unwrap();
    for name in
        [&["-verify_hostname", "localhost"], &["-verify_hostname", "auth"], &["-verify_ip", "127.0.0.1"]]
    {
        let args = [&["-CAfile", bundle, "-verify_return_error", "-x509_strict"][..], name].concat();
        let said = s_client(&pki.service, &args).unwrap();
        assert!(said.contains("TLSv1.3") && said.contains("Verify return code: 0 (ok)"), "{said}");
    }
    let args = ["-CAfile", bundle, "-verify_return_error", "-verify_hostname", "other.example.org"];
    s_client(&pki.service, &args).unwrap_err();
    let refused = s_client(&pki.service, &["-tls1_2"]).unwrap_err().to_string();
    assert!(refused.contains("alert protocol version"), "{refused}");
    s_client(&pki.service, &["-groups", "P-256"]).unwrap();
    let said = s_client(&pki.service, &["-alpn", "h2,http/1.1"]).unwrap();
    assert!(said.contains("ALPN protocol: h2"), "{said}");

    let port = pki.service.address().port();
    for (version, number) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let output = Command::new("curl")
            .args(["-sS", "--noproxy", "*", "--max-time", "30", "--cacert", bundle, version])
            .args(["-o", "/dev/null", "-w", "%{http_code} %{http_version}"])
            .arg(format!("https://localhost:{port}/pki/ca/bundle"))
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("200 {number}"), "{output:?}");
    }
}

/// Of a body that nobody reads nothing must come between the client and the answer.
#[test]
fn curl_sees_each_refusal_over_http_2_although_nobody_reads_what_it_sends() {
    let pki = dev();
    let port = pki.service.address().port();
    // Half of them were lost once.
    for _ in 0..20 {
        let output = Command::new("curl")
            .args(["-sSk", "--noproxy", "*", "--max-time", "30", "--http2", "-w", " %{http_code}"])
            .args(["-H", "authorization: Bearer nobody", "-d", &"x".repeat(2_000)])
            .arg(format!("https://localhost:{port}/pki/csr/sign"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.ends_with(r#""code":"credential_invalid"} 401"#), "{output:?}");
    }
}

#[test]
fn a_hundred_busy_connections_live_through_renewals() {
    let directory = TempDir::new().unwrap();
    let pki = Pki::initialized(launch(directory.path()).env("CATALYST_PKI_SVID_TTL", "6"));
    let first = shown_own(&pki.service).serial();
    let trust = Trust::root_of(&pki.bundle());
    let (done, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| {
                let mut connection = Https::open(&pki.service, &trust).unwrap();
                while !done.load(Ordering::Relaxed) {
                    assert_eq!(connection.get("/health").unwrap().0, 200);
                    answered.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(20));
                }
                // The same connection still, after certificates came and went.
                assert_eq!(connection.get("/health").unwrap().0, 200);
            });
        }
        let mut seen = vec![first];
        eventually("three renewals", || {
            // Every one that is shown is good at that moment: the client looks at its times.
            let shown = Https::open(&pki.service, &trust).map(|connection| connection.chain());
            let serial = Certificate::from_der(&shown.unwrap()[0]).serial();
            if !seen.contains(&serial) {
                seen.push(serial);
            }
            (seen.len() > 3).then_some(())
        });
        done.store(true, Ordering::Relaxed);
    });
    assert!(answered.load(Ordering::Relaxed) > 1000);
}

#[test]
fn a_denied_service_shows_its_svid_no_more_until_it_is_allowed_again() {
    let pki = dev();
    let own = shown_own(&pki.service);
    let id = spiffe_id("auth", "pki-1.example.org");
    pki.deny(&id, false);
    let fallback = shown_self_signed(&pki.service);
    assert_eq!(pki.logged("The service's own SVID was revoked, or its identity denied", &id).level, "error");
    let line = pki.logged(SELF_SIGNED, "was revoked");
    assert_eq!((line.level.as_str(), line.property("fingerprint")), ("warn", Some(&*fallback.fingerprint())));
    let status = pki.get("/pki/status").json().unwrap();
    assert_eq!(status["status"], "degraded");
    assert!(status["warnings"].to_string().contains("is this service itself, and is denied"), "{status}");
    pki.allow(&id);
    assert_ne!(shown_own(&pki.service).serial(), own.serial());
}

#[test]
fn an_svid_that_ended_without_a_successor_is_shown_no_more() {
    let directory = TempDir::new().unwrap();
    let pki = Pki::initialized(launch(directory.path()).env("CATALYST_PKI_SVID_TTL", "6"));
    shown_own(&pki.service);
    // Nothing can be recorded while somebody else holds the database for writing.
    let holder = rusqlite::Connection::open(directory.path().join("certs.db")).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let fallback = shown_self_signed(&pki.service);
    let line = pki.logged(SELF_SIGNED, "has expired");
    assert_eq!((line.level.as_str(), line.property("fingerprint")), ("warn", Some(&*fallback.fingerprint())));
    holder.execute_batch("ROLLBACK").unwrap();
    shown_own(&pki.service);
}

#[test]
fn a_revoked_svid_and_one_of_a_revoked_ca_are_replaced_at_once() {
    let pki = dev();
    let first = shown_own(&pki.service);
    ok(&pki.post(&format!("/pki/certificates/{}/revoke", first.serial()), &json!({})));
    let second = eventually("another SVID", || {
        Some(shown_own(&pki.service)).filter(|shown| shown.serial() != first.serial())
    });
    let cas = ok(&pki.get("/pki/ca"));
    let services = cas.as_array().unwrap().iter().find(|ca| ca["role"] == "services").unwrap();
    let ski = services["ski"].as_str().unwrap();
    ok(&pki.post(&format!("/pki/ca/{ski}/revoke"), &json!({})));
    shown_self_signed(&pki.service);
    let next = ok(&pki.post("/pki/intermediary", &json!({"commonName": "Catalyst Services CA v2"})));
    let ski = next["ski"].as_str().unwrap();
    ok(&pki.post(&format!("/pki/ca/{ski}/activate"), &json!({"now": true})));
    let third = shown_own(&pki.service);
    assert_eq!(third.issuer_name(), "Catalyst Services CA v2");
    assert_ne!(third.serial(), second.serial());
}

#[test]
fn a_tls_name_of_another_instance_is_left_out_and_localhost_is_nobodys() {
    let directory = TempDir::new().unwrap();
    let mut pki = Pki::initialized(launch_in(directory.path()));
    pki.issue("node", "pki.example.org");
    pki.service.stop().unwrap();
    let pki = Pki::start(launch(directory.path())).ready();
    let own = shown_own(&pki.service);
    assert_eq!(own.dns_names(), ["pki-1.example.org", "auth", "localhost"]);
    let left_out = "Name of CATALYST_PKI_TLS_NAMES left out — it belongs to another instance";
    assert_eq!(pki.logged(left_out, "pki.example.org").level, "warn");
    let owner = rusqlite::Connection::open(directory.path().join("certs.db")).unwrap();
    let owned: i64 = owner
        .query_row("SELECT count(*) FROM name_owner WHERE name = 'localhost'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(owned, 0);
}

/// A pair of files that an operator provides.
struct Files {
    directory: TempDir,
}

impl Files {
    fn new() -> Self {
        let files = Self { directory: TempDir::new().unwrap() };
        files.write();
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A new pair in the place of the old.
    fn write(&self) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        fs::write(self.path("tls.crt"), params.self_signed(&key).unwrap().pem()).unwrap();
        fs::write(self.path("tls.key"), key.serialize_pem()).unwrap();
        fs::set_permissions(self.path("tls.key"), fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn certificate(&self) -> Certificate {
        Certificate::from_pem(&fs::read_to_string(self.path("tls.crt")).unwrap())
    }

    fn named_in(&self, launch: Launch) -> Launch {
        launch
            .env("CATALYST_PKI_TLS_CERT", self.path("tls.crt").to_str().unwrap())
            .env("CATALYST_PKI_TLS_KEY", self.path("tls.key").to_str().unwrap())
    }
}

#[test]
fn files_are_served_and_read_again_and_a_broken_pair_is_not_taken() {
    let files = Files::new();
    let pki = Pki::dev_with(|launch| files.named_in(launch.env("CATALYST_PKI_TLS", "always")));
    assert_eq!(shown(&pki.service).fingerprint(), files.certificate().fingerprint());
    let mut open = Https::open(&pki.service, &Trust::anything()).unwrap();

    let before = files.certificate().fingerprint();
    fs::write(files.path("tls.crt"), "-----BEGIN CERTIFICATE-----\nMIIB\n").unwrap();
    let kept = "TLS certificate not reloaded — the one before is still served";
    assert_eq!(pki.logged(kept, "tls.crt").level, "error");
    assert_eq!(shown(&pki.service).fingerprint(), before);

    files.write();
    eventually("the new pair", || {
        (shown(&pki.service).fingerprint() == files.certificate().fingerprint()).then_some(())
    });
    assert_eq!(open.get("/health").unwrap().0, 200);
    // The hierarchy is there: files outrank the SVID.
    assert!(!pki.service.log().contains(OWN));
}

#[test]
fn files_that_cannot_be_used_end_the_start() {
    let start = |files: &Files| {
        let directory = TempDir::new().unwrap();
        files.named_in(launch(directory.path())).run_to_end().unwrap()
    };
    let files = Files::new();
    fs::set_permissions(files.path("tls.key"), fs::Permissions::from_mode(0o644)).unwrap();
    let (status, log) = start(&files);
    assert!(!status.success() && log.contains("chmod 600"), "{log}");
    let other = Files::new();
    fs::copy(other.path("tls.crt"), files.path("tls.crt")).unwrap();
    fs::set_permissions(files.path("tls.key"), fs::Permissions::from_mode(0o600)).unwrap();
    let (status, log) = start(&files);
    assert!(!status.success() && log.contains("the key it is for"), "{log}");
    let directory = TempDir::new().unwrap();
    let half = launch(directory.path()).env("CATALYST_PKI_TLS_KEY", "/nowhere");
    let (status, log) = half.run_to_end().unwrap();
    assert!(status.code() == Some(2) && log.contains("CATALYST_PKI_TLS_CERT"), "{log}");
}

#[test]
fn a_loopback_listener_speaks_plain_http_unless_it_is_told_otherwise() {
    let pki = Pki::dev();
    assert_eq!(plain_health(&pki.service), 200);
    Https::open(&pki.service, &Trust::anything()).map(drop).unwrap_err();
    assert!(!pki.service.log().contains(SELF_SIGNED));
}

#[test]
fn the_public_listener_speaks_https_too_and_asks_for_no_certificate() {
    let mut pki = Pki::dev_with(|launch| {
        launch
            .env("CATALYST_PKI_TLS", "always")
            .env("CATALYST_PKI_PUBLIC_LISTEN", "127.0.0.1:0")
            .env("CATALYST_PKI_TLS_NAMES", "localhost")
    });
    let line = pki.service.wait_for("Listening for public reads").unwrap();
    let address = line.property("address").unwrap().to_owned();
    shown_own(&pki.service);
    let mut public = Https::open_at(address.parse().unwrap(), &Trust::root_of(&pki.bundle())).unwrap();
    assert_eq!(public.get("/pki/ca/bundle").unwrap().0, 200);
    assert_eq!(public.get("/pki/status").unwrap().0, 404);
    let said = |address: &str| openssl(&["s_client", "-connect", address, "-msg"]).unwrap();
    assert!(!said(&address).contains("CertificateRequest"));
    assert!(said(&pki.service.address().to_string()).contains("CertificateRequest"));
}
