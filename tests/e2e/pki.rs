//! A running CA, and what its clients do: ask, and look at the answer.

use crate::x509::{Certificate, Crl};
use catalyst_rigs::{
    Launch, Service, catalyst,
    checkers::openssl_verify,
    http::{Client, Response},
    logs::LogLine,
};
use rcgen::KeyPair;
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tempfile::TempDir;

pub(crate) const DOMAIN: &str = "catalyst.example.com";
/// Of the key files of services that run without `--dev`.
const PASSPHRASE: &str = "a passphrase for tests alone";
/// Service types with the role of the CA that issues to them.
pub(crate) const SERVICE_TYPES: [(&str, &str); 6] = [
    ("orchestrator", "Services"),
    ("auth", "Services"),
    ("node", "Services"),
    ("gateway", "Services"),
    ("envoy/app", "Transport"),
    ("envoy/transport", "Transport"),
];

/// `catalyst serve` without `--dev` in this directory.
pub(crate) fn launch_in(data_dir: &Path) -> Launch {
    Launch::new(&catalyst().unwrap(), data_dir).env("CATALYST_PKI_LOCAL_PASSPHRASE", PASSPHRASE)
}

pub(crate) fn spiffe_id(service_type: &str, instance: &str) -> String {
    format!("spiffe://{DOMAIN}/{service_type}/{instance}")
}

/// Asks until the answer is there; a service that starts, or signs a CRL, takes a moment.
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    for _ in 0..600 {
        if let Some(answer) = ask() {
            return answer;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("{what}: not within half a minute");
}

/// Another program finds the leaf good under this bundle.
#[track_caller]
pub(crate) fn verifies(bundle: &str, leaf: &str) {
    let directory = TempDir::new().unwrap();
    let [bundle_file, leaf_file] = ["bundle.pem", "leaf.pem"].map(|name| directory.path().join(name));
    fs::write(&bundle_file, bundle).unwrap();
    fs::write(&leaf_file, leaf).unwrap();
    openssl_verify(&bundle_file, &leaf_file).unwrap();
}

/// An answer of 200, as JSON.
#[track_caller]
pub(crate) fn ok(answer: &Response) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json().unwrap()
}

/// An answer that refuses with this status and code, a sentence for people, and nothing else. Gives the sentence.
#[track_caller]
pub(crate) fn refused(answer: &Response, status: u16, code: &str) -> String {
    let text = answer.text();
    assert_eq!(answer.status, status, "{text}");
    let body = answer.json().unwrap();
    assert_eq!(body["code"], code, "{text}");
    assert_eq!(body.as_object().unwrap().len(), 2, "{text}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("retry-after").is_some(), matches!(status, 429 | 503), "{:?}", answer.headers);
    let sentence = body["error"].as_str().unwrap().to_owned();
    assert!(sentence.contains(' '), "no sentence: {sentence}");
    sentence
}

/// The data directory of a CA that was just made with `--dev`, for tests to copy: making its keys takes the service
/// three times as long as opening them, and nearly every test wants one. Made anew for another binary, and each hour
/// for the sake of its CRLs.
fn made_once() -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let binary = fs::metadata(catalyst().unwrap()).unwrap();
    let since_epoch = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap();
    let built = since_epoch(binary.modified().unwrap()).as_nanos();
    let hour = since_epoch(SystemTime::now()).as_secs() / 3600;
    let made = directory.join(format!("dev-ca-{built}-{hour}"));
    // Each test is a process; the first one makes it.
    let lock = File::create(directory.join("dev-ca.lock")).unwrap();
    lock.lock().unwrap();
    if !made.exists() {
        let mut first = Pki::first_dev();
        assert!(first.service.stop().unwrap().success());
        let unfinished = directory.join("dev-ca.new");
        // What an interrupted run left; there may be nothing.
        let _ = fs::remove_dir_all(&unfinished);
        copy(first.service.data_dir(), &unfinished);
        fs::rename(&unfinished, &made).unwrap();
    }
    made
}

/// Copies what is in a directory, modes included.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// A running CA and its administrator.
pub(crate) struct Pki {
    pub(crate) service: Service,
    pub(crate) token: String,
    pub(crate) admin: Client,
}

/// A certificate with its key and the answer that brought it.
pub(crate) struct Issued {
    pub(crate) key: KeyPair,
    pub(crate) answer: Value,
    pub(crate) certificate: Certificate,
}

impl Issued {
    pub(crate) fn serial(&self) -> &str {
        self.answer["serial"].as_str().unwrap()
    }
}

impl Pki {
    /// `catalyst serve --dev`, ready to sign. Its hierarchy is there already: see [`made_once`].
    pub(crate) fn dev() -> Self {
        Self::dev_with(|launch| launch)
    }

    /// The same with settings.
    pub(crate) fn dev_with(settings: impl FnOnce(Launch) -> Launch) -> Self {
        let launch = Launch::dev().unwrap();
        copy(&made_once(), launch.data_dir());
        Self::start(settings(launch)).ready()
    }

    /// `catalyst serve --dev` on an empty directory.
    pub(crate) fn first_dev() -> Self {
        Self::start(Launch::dev().unwrap()).ready()
    }

    /// A service that takes its token; its CA may be missing.
    pub(crate) fn start(launch: Launch) -> Self {
        let service = launch.start().unwrap();
        let file = service.data_dir().join("system-token");
        let token = eventually("the system token", || {
            let text = std::fs::read_to_string(&file).ok()?;
            Some(text.trim().to_owned()).filter(|token| !token.is_empty())
        });
        let admin = service.http().with_token(&token);
        let pki = Self { service, token, admin };
        eventually("an open token key", || {
            (pki.admin.get("/pki/status").unwrap().status != 503).then_some(())
        });
        pki
    }

    /// Waits until the keys of both networks are open.
    pub(crate) fn ready(self) -> Self {
        eventually("a token key that signs", || {
            self.service.log().contains("JWTTokenFactory initialized").then_some(())
        });
        eventually("readiness", || {
            let answer = self.service.http().get("/ready").unwrap();
            (answer.status == 200 && answer.json().unwrap()["signing"] == "ok").then_some(())
        });
        self
    }

    /// A CA without `--dev`, initialized, in this directory.
    pub(crate) fn initialized(launch: Launch) -> Self {
        let pki = Self::start(launch);
        ok(&pki.admin.request("POST", "/pki/initialize", &[], b"").unwrap());
        pki.ready()
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        self.admin.get(path).unwrap()
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Response {
        self.admin.post(path, body).unwrap()
    }

    pub(crate) fn sign(&self, service_type: &str, instance: &str, csr: &str) -> Response {
        let body = json!({"csrPem": csr, "serviceType": service_type, "instanceId": instance});
        self.post("/pki/csr/sign", &body)
    }

    /// A certificate for a fresh P-384 key.
    #[track_caller]
    pub(crate) fn issue(&self, service_type: &str, instance: &str) -> Issued {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        self.issue_for(service_type, instance, key)
    }

    #[track_caller]
    pub(crate) fn issue_for(&self, service_type: &str, instance: &str, key: KeyPair) -> Issued {
        let csr = crate::csr::of(&key, &[&spiffe_id(service_type, instance)], &[]);
        let answer = ok(&self.sign(service_type, instance, &csr));
        let certificate = Certificate::from_pem(answer["certificatePem"].as_str().unwrap());
        Issued { key, answer, certificate }
    }

    /// How many end-entity certificates are recorded.
    pub(crate) fn recorded(&self) -> usize {
        let page = ok(&self.get("/pki/certificates"));
        let rows = page["certificates"].as_array().unwrap();
        rows.iter().filter(|row| row["type"] == "end-entity").count()
    }

    /// What the list says of this certificate.
    pub(crate) fn status_of(&self, serial: &str) -> String {
        ok(&self.get(&format!("/pki/certificates/{serial}")))["status"].as_str().unwrap().to_owned()
    }

    pub(crate) fn crl(&self, ca: &str) -> Crl {
        let answer = self.service.http().get(&format!("/pki/crl/{ca}")).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        Crl::from_der(&answer.body)
    }

    pub(crate) fn bundle(&self) -> String {
        let answer = self.service.http().get("/pki/ca/bundle").unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text()
    }

    #[track_caller]
    pub(crate) fn deny(&self, spiffe_id: &str, compromised: bool) -> Value {
        let body = json!({"spiffeId": spiffe_id, "reason": "stolen laptop", "compromised": compromised});
        ok(&self.post("/pki/identities/deny", &body))
    }

    #[track_caller]
    pub(crate) fn allow(&self, spiffe_id: &str) -> Value {
        ok(&self.post("/pki/identities/allow", &json!({"spiffeId": spiffe_id})))
    }

    /// The log line of this message that names this.
    pub(crate) fn logged(&self, message: &str, part: &str) -> LogLine {
        eventually(message, || {
            let lines = self.service.log_lines();
            lines.into_iter().find(|line| line.message == message && line.raw.contains(part))
        })
    }

    /// It answers and signs, whatever went before.
    #[track_caller]
    pub(crate) fn still_works(&self) {
        assert_eq!(self.service.http().get("/health").unwrap().status, 200);
        let recorded = self.recorded();
        self.issue("node", &format!("still-works-{recorded}"));
        assert_eq!(self.recorded(), recorded + 1);
    }
}
