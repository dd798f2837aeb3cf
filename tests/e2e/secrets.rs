//! After a busy session no key, token or passphrase lies anywhere but in the files that are there for it.

use crate::{
    deployment::{Deployment, Holder, PASSPHRASE, until},
    inspect::KEYS,
};
use catalyst_rigs::{Launch, Service, catalyst, checkers::openssl, http::Client, scan::Scanner};
use serde_json::json;
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

const PRESET: &str = "Preset-System-Token-0123456789-abcdefghijklmnop";

/// A session: its service, its client, and what must not be found.
struct Session {
    deployment: Deployment,
    service: Service,
    client: Client,
    token: String,
    passphrase: String,
    scanner: Scanner,
    answers: Vec<String>,
}

impl Session {
    fn new(deployment: Deployment, launch: Launch, token: Option<&str>) -> Self {
        let service = launch.env("CATALYST_PKI_LOG_LEVEL", "debug").start().unwrap();
        let token = token.map_or_else(|| until("a token is made", || deployment.token()), str::to_owned);
        let client = service.http().with_token(&token);
        until("credentials are checked", || (client.get("/pki/status").unwrap().status == 200).then_some(()));
        let dev = fs::read_to_string(deployment.data_dir().join("dev-passphrase"));
        let passphrase = dev.map_or(PASSPHRASE.to_owned(), |text| text.trim().to_owned());
        let mut scanner = Scanner::default();
        scanner.add("passphrase", passphrase.as_bytes());
        scanner.add("token", token.as_bytes());
        if let Some((_, signature)) = token.rsplit_once('.') {
            scanner.add("the token's signature", signature.as_bytes());
        }
        Self { deployment, service, client, token, passphrase, scanner, answers: Vec::new() }
    }

    fn keep(&mut self, answer: impl Into<String>) {
        self.answers.push(answer.into());
    }

    /// What a day brings, good and bad.
    fn be_busy(&mut self) {
        let client = self.client.clone();
        assert_eq!(client.post("/pki/initialize", &json!({})).unwrap().status, 200);
        let holder = Holder::new("gateway", "g.example.org");
        self.keep(holder.get(&client).to_string());
        let keypair = client
            .post("/pki/keypair", &json!({"serviceType": "node", "instanceId": "n1.example.org"}))
            .unwrap();
        assert_eq!((keypair.status, keypair.header("cache-control")), (200, Some("no-store")));
        let private_key = keypair.json().unwrap()["privateKeyPem"].as_str().unwrap().to_owned();
        self.know_keys(&private_key);
        assert!(!self.scanner.find(&keypair.body).is_empty(), "the scanner is blind");
        for answer in [holder.deny(&client), holder.ask(&client), holder.allow(&client)] {
            self.keep(answer.unwrap().body.to_string());
        }
        self.misuse(&private_key);
        for path in PATHS {
            self.keep(client.get(path).unwrap().text());
        }
    }

    /// Secrets in places where they don't belong.
    fn misuse(&mut self, private_key: &str) {
        let client = self.client.clone();
        let instance = json!({"serviceType": "node", "instanceId": "n2.example.org", "csrPem": private_key});
        let answer = client.post("/pki/csr/sign", &instance).unwrap();
        assert_eq!(answer.status, 400);
        self.keep(answer.text());
        let (cut, _) = self.token.split_at(self.token.len() - 1);
        let anonymous = self.service.http();
        for credential in [cut.to_owned(), format!("{}x", self.token), "Basic YTpi".to_owned()] {
            let answer = anonymous.clone().with_token(&credential).get("/pki/status").unwrap();
            assert_eq!(answer.status, 401);
            self.keep(answer.text());
        }
        for path in
            [format!("/pki/certificates/{}", self.token), format!("/pki/ca/bundle?token={}", self.token)]
        {
            let answer = client.get(&path).unwrap();
            assert!(answer.status >= 400, "{path}");
            self.keep(answer.text());
        }
        let answer = client.request("POST", "/pki/csr/sign", &[], self.passphrase.as_bytes()).unwrap();
        assert_eq!(answer.status, 400);
        self.keep(answer.text());
    }

    /// The key that was just given out, and those of the CAs, which the passphrase opens.
    fn know_keys(&mut self, private_key: &str) {
        let scratch = tempfile::TempDir::new().unwrap();
        let file = |name: &str| scratch.path().join(name);
        fs::write(file("given"), private_key).unwrap();
        fs::write(file("passphrase"), &self.passphrase).unwrap();
        let passin = format!("file:{}", text(&file("passphrase")));
        let keys = KEYS.map(|name| (name, self.deployment.key_file(name)));
        for (name, path) in keys.into_iter().chain([("given", file("given"))]) {
            let out = file("opened");
            openssl(&["pkey", "-in", text(&path), "-passin", &passin, "-outform", "DER", "-out", text(&out)])
                .unwrap();
            let der = fs::read(out).unwrap();
            self.scanner.add(&format!("the key {name}"), &der);
            self.scanner.add(&format!("the number of {name}"), number_of(&der));
        }
    }

    fn look_everywhere(&self) {
        for (path, content) in files_below(&self.deployment.data_dir()) {
            let name = path.file_name().unwrap().to_str().unwrap();
            let expected = match name {
                "system-token" => vec!["the token's signature", "token"],
                "dev-passphrase" => vec!["passphrase"],
                _ => Vec::new(),
            };
            let found: Vec<_> = self.scanner.find(&content).into_iter().collect();
            assert_eq!(found, expected, "{}", path.display());
            let pem = path.extension().is_some_and(|extension| extension == "pem");
            let kinds = String::from_utf8_lossy(&content).matches("PRIVATE KEY-----").count();
            assert_eq!(kinds, if pem { 2 } else { 0 }, "{}", path.display());
            assert!(!pem || content.starts_with(b"-----BEGIN ENCRYPTED PRIVATE KEY-----"), "{name}");
        }
        for answer in &self.answers {
            assert!(self.scanner.find(answer.as_bytes()).is_empty(), "{answer}");
        }
        let line = fs::read(format!("/proc/{}/cmdline", self.service.pid())).unwrap();
        assert!(self.scanner.find(&line).is_empty(), "the command line");
        let log = self.service.log();
        let shown: Vec<&str> =
            log.lines().filter(|line| !self.scanner.find(line.as_bytes()).is_empty()).collect();
        let made = format!("System Admin Token: {}", self.token);
        let expected = usize::from(self.deployment.token().is_some());
        assert!(shown.len() == expected && shown.iter().all(|line| line.contains(&made)), "{shown:?}");
        assert!(!log.contains("PRIVATE KEY"), "{log}");
    }
}

const PATHS: [&str; 16] = [
    "/health",
    "/ready",
    "/metrics",
    "/openapi.json",
    "/pki/ca/bundle",
    "/pki/crl",
    "/.well-known/jwks.json",
    "/.well-known/spiffe-bundle",
    "/pki/status",
    "/pki/ca",
    "/pki/certificates",
    "/pki/certificates?limit=x",
    "/pki/certificates/00",
    "/pki/identities/denied",
    "/nothing",
    "/pki/crl/none",
];

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The private number in the DER of a P-384 key (RFC 5915: version 1, then 48 octets).
fn number_of(der: &[u8]) -> &[u8] {
    let before = [0x02, 0x01, 0x01, 0x04, 0x30];
    let at = der.windows(before.len()).position(|window| window == before).unwrap() + before.len();
    &der[at..at + 48]
}

/// Every file below a directory, with its content; others than the owner can read none of them.
pub(crate) fn files_below(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        if path.is_dir() {
            assert_eq!(mode, 0o700, "{}", path.display());
            files.extend(files_below(&path));
        } else {
            assert_eq!(mode, 0o600, "{}", path.display());
            files.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
    files
}

/// Once while it runs, with the store's log beside it, and once after it has ended.
fn leaves_no_secret_behind(mut session: Session) {
    session.be_busy();
    session.look_everywhere();
    let log = session.service.log();
    session.service.signal(rustix::process::Signal::TERM).unwrap();
    session.service.wait_for("Stopped").unwrap();
    assert!(session.service.log().len() > log.len());
    for (path, content) in files_below(&session.deployment.data_dir()) {
        let allowed = path.ends_with("system-token") || path.ends_with("dev-passphrase");
        assert!(allowed || session.scanner.find(&content).is_empty(), "{}", path.display());
    }
}

#[test]
fn a_dev_session_leaves_no_secret_behind() {
    let deployment = Deployment::dev();
    let launch = deployment.launch();
    leaves_no_secret_behind(Session::new(deployment, launch, None));
}

#[test]
fn a_session_with_secrets_from_variables_leaves_none_behind() {
    let deployment = Deployment::production();
    fs::remove_file(deployment.beside("passphrase")).unwrap();
    let launch = Launch::new(&catalyst().unwrap(), &deployment.data_dir())
        .env("CATALYST_PKI_LOCAL_PASSPHRASE", PASSPHRASE)
        .env("CATALYST_SYSTEM_TOKEN", PRESET);
    leaves_no_secret_behind(Session::new(deployment, launch, Some(PRESET)));
}

#[test]
fn a_session_with_secrets_from_files_leaves_none_behind() {
    let deployment = Deployment::production();
    fs::write(deployment.beside("token"), format!("{PRESET}\n")).unwrap();
    let launch = deployment.launch().env("CATALYST_SYSTEM_TOKEN_FILE", text(&deployment.beside("token")));
    leaves_no_secret_behind(Session::new(deployment, launch, Some(PRESET)));
}
