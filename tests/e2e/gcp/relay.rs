//! Google's IAM Credentials, which impersonate: the service asks nowhere else for that, so this is an HTTPS proxy that
//! answers for them with a certificate that the service trusts, and hands everything on to the fake.

use catalyst_rigs::{Launch, gcp::FakeKms, http::Client};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivatePkcs8KeyDer},
};
use std::{
    fs,
    io::{self, BufRead, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    sync::{Arc, Mutex},
    thread,
};
use tempfile::TempDir;

const HOST: &str = "iamcredentials.googleapis.com";

pub(super) struct Relay {
    address: SocketAddr,
    directory: TempDir,
    paths: Arc<Mutex<Vec<String>>>,
}

impl Relay {
    pub(super) fn to(fake: &FakeKms) -> Self {
        let (config, ca) = identity();
        let directory = TempDir::new().unwrap();
        fs::write(directory.path().join("ca.pem"), ca).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, fake) = (listener.local_addr().unwrap(), Client::new(fake.address()));
        let paths = Arc::<Mutex<Vec<String>>>::default();
        let record = paths.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (config, fake, record) = (config.clone(), fake.clone(), record.clone());
                // What breaks off is the service's to judge.
                thread::spawn(move || answer(stream.unwrap(), config, &fake, &record));
            }
        });
        Self { address, directory, paths }
    }

    /// What sends a service here.
    pub(super) fn used_by(&self, launch: Launch) -> Launch {
        let proxy = format!("http://{}", self.address);
        let ca: PathBuf = self.directory.path().join("ca.pem");
        launch.env("HTTPS_PROXY", &proxy).env("SSL_CERT_FILE", ca.to_str().unwrap())
    }

    /// The paths that were asked for so far.
    pub(super) fn paths(&self) -> Vec<String> {
        self.paths.lock().unwrap().clone()
    }
}

/// A server's certificate and key, and its CA (PEM).
fn identity() -> (Arc<ServerConfig>, String) {
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_key = KeyPair::generate().unwrap();
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new([HOST.to_owned()]).unwrap();
    let server = server.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from(server.der().to_vec())],
            PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        )
        .unwrap();
    (Arc::new(config), ca_pem)
}

fn answer(
    mut stream: TcpStream,
    config: Arc<ServerConfig>,
    fake: &Client,
    paths: &Mutex<Vec<String>>,
) -> io::Result<()> {
    // One octet at a time: what follows is for the session.
    let asked = head(&mut BufReader::with_capacity(1, stream.try_clone()?))?;
    assert!(asked[0].starts_with(&format!("CONNECT {HOST}:443 ")), "{asked:?}");
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    let session = ServerConnection::new(config).unwrap();
    let mut inner = BufReader::new(StreamOwned::new(session, stream));
    loop {
        let asked = head(&mut inner)?;
        let Some(line) = asked.first() else { return Ok(()) };
        let path = line.split(' ').nth(1).unwrap().to_owned();
        let headers: Vec<(&str, &str)> = asked[1..].iter().filter_map(|line| line.split_once(": ")).collect();
        let header = |wanted: &str| {
            let found = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
            found.map_or("", |(_, value)| *value)
        };
        let mut body = vec![0; header("content-length").parse().unwrap_or(0)];
        inner.read_exact(&mut body)?;
        paths.lock().unwrap().push(path.clone());
        let own = ["authorization", "content-type"].map(|name| (name, header(name)));
        let answer = fake.request("POST", &path, &own, &body).unwrap();
        let head = format!(
            "HTTP/1.1 {} -\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            answer.status,
            answer.body.len()
        );
        inner.get_mut().write_all(&[head.as_bytes(), &answer.body].concat())?;
        inner.get_mut().flush()?;
    }
}

/// The lines before the empty one; none at the end.
fn head(reader: &mut dyn BufRead) -> io::Result<Vec<String>> {
    reader.lines().take_while(|line| !line.as_ref().is_ok_and(String::is_empty)).collect()
}
