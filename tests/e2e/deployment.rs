//! A data directory over several lives of the service, and what clients send to it.

use catalyst_rigs::{Launch, RigError, Service, catalyst, http::Client};
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P384_SHA384, SanType};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

pub(crate) const PASSPHRASE: &str = "correct horse battery staple";
const PATIENCE: Duration = Duration::from_secs(30);

/// A data directory, and a place beside it.
pub(crate) struct Deployment {
    root: TempDir,
    dev: bool,
}

impl Deployment {
    /// One for `serve --dev`.
    pub(crate) fn dev() -> Self {
        Self::new(true)
    }

    /// One for `serve` with a passphrase file beside the data directory.
    pub(crate) fn production() -> Self {
        let deployment = Self::new(false);
        fs::write(deployment.beside("passphrase"), format!("{PASSPHRASE}\n")).unwrap();
        deployment
    }

    fn new(dev: bool) -> Self {
        let root = TempDir::new().unwrap();
        fs::create_dir(root.path().join("data")).unwrap();
        fs::set_permissions(root.path().join("data"), fs::Permissions::from_mode(0o700)).unwrap();
        Self { root, dev }
    }

    /// The same files once more, for another fate. The service is stopped.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self::new(self.dev);
        copy_tree(self.root.path(), copy.root.path());
        copy
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.beside("data")
    }

    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn key_file(&self, name: &str) -> PathBuf {
        self.data_dir().join("keys").join(format!("{name}.pem"))
    }

    pub(crate) fn launch(&self) -> Launch {
        self.dressed(Launch::new(&catalyst().unwrap(), &self.data_dir()))
    }

    /// The service through another program, see [`Launch::through`].
    pub(crate) fn launch_through(&self, wrapper: &[&str]) -> Launch {
        self.dressed(Launch::through(wrapper, &catalyst().unwrap(), &self.data_dir()))
    }

    fn dressed(&self, launch: Launch) -> Launch {
        if self.dev {
            return launch.arg("--dev");
        }
        let passphrase = self.beside("passphrase");
        launch.env("CATALYST_PKI_LOCAL_PASSPHRASE_FILE", passphrase.to_str().unwrap())
    }

    pub(crate) fn start(&self) -> Service {
        self.launch().start().unwrap()
    }

    /// Starts it, and makes the hierarchy where `--dev` does not.
    pub(crate) fn initialized(&self) -> (Service, Client) {
        let service = self.start();
        let client = self.admin(&service);
        if !self.dev {
            let made = client.post("/pki/initialize", &json!({})).unwrap();
            assert_eq!(made.status, 200, "{}", made.text());
        }
        (service, client)
    }

    pub(crate) fn token(&self) -> Option<String> {
        fs::read_to_string(self.data_dir().join("system-token")).ok().map(|text| text.trim().to_owned())
    }

    /// A client with the system token, once credentials are checked.
    pub(crate) fn admin(&self, service: &Service) -> Client {
        until("the service checks credentials", || {
            let client = service.http().with_token(&self.token()?);
            let answer = client.get("/pki/status").unwrap();
            (answer.status == 200).then_some(client)
        })
    }

    /// A start that must fail: its exit code and what it printed.
    pub(crate) fn refused(&self) -> (i32, String) {
        exit(self.launch())
    }
}

/// A start that must fail: its exit code and what it printed.
pub(crate) fn exit(launch: Launch) -> (i32, String) {
    let (status, log) = launch.run_to_end().unwrap();
    (status.code().unwrap_or_else(|| panic!("{status}: {log}")), log)
}

/// Asks again and again until there is an answer.
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "never: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn copy_tree(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            if !target.exists() {
                fs::create_dir(&target).unwrap();
                fs::set_permissions(&target, entry.metadata().unwrap().permissions()).unwrap();
            }
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A service that asks for certificates, always with the same key.
#[derive(Clone)]
pub(crate) struct Holder {
    pub(crate) spiffe_id: String,
    pub(crate) request: Value,
}

impl Holder {
    pub(crate) fn new(service_type: &str, instance: &str) -> Self {
        let spiffe_id = format!("spiffe://catalyst.example.com/{service_type}/{instance}");
        let csr_pem = csr(&spiffe_id);
        let request = json!({"csrPem": csr_pem, "serviceType": service_type, "instanceId": instance});
        Self { spiffe_id, request }
    }

    /// Asks for a certificate.
    pub(crate) fn ask(&self, client: &Client) -> Result<Answer, RigError> {
        let response = client.post("/pki/csr/sign", &self.request)?;
        Ok(Answer { status: response.status, body: response.json()? })
    }

    /// Gets a certificate.
    pub(crate) fn get(&self, client: &Client) -> Value {
        let answer = self.ask(client).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }

    pub(crate) fn deny(&self, client: &Client) -> Result<Answer, RigError> {
        let response =
            client.post("/pki/identities/deny", &json!({"spiffeId": self.spiffe_id, "reason": "a test"}))?;
        Ok(Answer { status: response.status, body: response.json()? })
    }

    pub(crate) fn allow(&self, client: &Client) -> Result<Answer, RigError> {
        let response = client.post("/pki/identities/allow", &json!({"spiffeId": self.spiffe_id}))?;
        Ok(Answer { status: response.status, body: response.json()? })
    }
}

/// A JSON answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Answer {
    /// The stable code of an error.
    pub(crate) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    pub(crate) fn error(&self) -> &str {
        self.body["error"].as_str().unwrap_or_default()
    }
}

/// A CSR (PEM) for this SPIFFE id, with a P-384 key of its own.
pub(crate) fn csr(spiffe_id: &str) -> String {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = vec![SanType::URI(spiffe_id.try_into().unwrap())];
    params.serialize_request(&key).unwrap().pem().unwrap()
}
