//! A blocking HTTPS client that keeps its connection, and says what it was shown.

use crate::pki::Issued;
use catalyst_rigs::{
    Service,
    http::{Connection, Response},
};
use rustls::{
    ClientConfig, ClientConnection, ConfigBuilder, DigitallySignedStruct, RootCertStore, SignatureScheme,
    StreamOwned,
    client::{
        WantsClientCert,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature},
    pki_types::{
        CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime, pem::PemObject as _,
    },
};
use serde_json::Value;
use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

/// Longer than any deadline of the service.
const PATIENCE: Duration = Duration::from_secs(90);

/// Takes any certificate whose key is proven.
#[derive(Debug)]
struct Anything(Arc<CryptoProvider>);

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2".into()))
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// What a client believes.
#[derive(Clone)]
pub(crate) struct Trust(Arc<ClientConfig>);

impl Trust {
    /// Anything.
    pub(crate) fn anything() -> Self {
        Self(Arc::new(Self::unasked().with_no_client_auth()))
    }

    /// Anything, and shows this certificate where it is asked for one.
    pub(crate) fn holding(issued: &Issued) -> Self {
        let leaf =
            CertificateDer::from_pem_slice(issued.answer["certificatePem"].as_str().unwrap().as_bytes());
        Self::showing(leaf.unwrap(), PrivatePkcs8KeyDer::from(issued.key.serialize_der()).into())
    }

    /// The same with any certificate.
    pub(crate) fn showing(leaf: CertificateDer<'static>, key: PrivateKeyDer<'static>) -> Self {
        Self(Arc::new(Self::unasked().with_client_auth_cert(vec![leaf], key).unwrap()))
    }

    fn unasked() -> ConfigBuilder<ClientConfig, WantsClientCert> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anything(provider)))
    }

    /// What chains to the first certificate of a bundle, which is the root.
    pub(crate) fn root_of(bundle: &str) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(bundle.as_bytes()).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots);
        Self(Arc::new(builder.with_no_client_auth()))
    }
}

/// One connection.
pub(crate) struct Https(BufReader<StreamOwned<ClientConnection, TcpStream>>);

impl Https {
    pub(crate) fn open(service: &Service, trust: &Trust) -> io::Result<Self> {
        Self::open_at(service.address(), trust)
    }

    /// Connects as to `localhost`.
    pub(crate) fn open_at(address: SocketAddr, trust: &Trust) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from("localhost").unwrap();
        let mut session = ClientConnection::new(trust.0.clone(), name).map_err(io::Error::other)?;
        while session.is_handshaking() {
            session.complete_io(&mut stream)?;
        }
        Ok(Self(BufReader::new(StreamOwned::new(session, stream))))
    }

    /// The connection, for another protocol.
    pub(crate) fn into_stream(self) -> StreamOwned<ClientConnection, TcpStream> {
        self.0.into_inner()
    }

    pub(crate) fn session(&self) -> &ClientConnection {
        &self.0.get_ref().conn
    }

    /// What the server has shown, leaf first.
    pub(crate) fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.session().peer_certificates().unwrap().to_vec()
    }

    /// The status of an answer, and its body; the connection stays.
    pub(crate) fn get(&mut self, path: &str) -> io::Result<(u16, String)> {
        let answer = self.request("GET", path, &[], b"")?;
        Ok((answer.status, answer.text()))
    }

    /// POST of JSON; the connection stays.
    pub(crate) fn post(&mut self, path: &str, body: &Value) -> Response {
        self.request("POST", path, &[], body.to_string().as_bytes()).unwrap()
    }

    /// Any request; the connection stays.
    pub(crate) fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Response> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if method == "POST" {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        self.send(&[head.as_bytes(), b"\r\n", body].concat())?;
        self.answer()
    }

    /// Sends octets that need not be a request.
    pub(crate) fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        self.0.get_mut().write_all(octets)
    }

    /// Reads an answer whose length is announced, as that of all of ours is.
    pub(crate) fn answer(&mut self) -> io::Result<Response> {
        let mut response = Response { status: 0, headers: Vec::new(), body: Vec::new() };
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(rest) = line.strip_prefix("HTTP/1.1 ") {
                response.status = rest[..3].parse().unwrap();
            } else if let Some((name, value)) = line.split_once(':') {
                response.headers.push((name.to_lowercase(), value.trim().to_owned()));
            } else if line == "\r\n" {
                break;
            }
        }
        let length = response.header("content-length").map_or(0, |length| length.parse().unwrap());
        response.body = vec![0; length];
        self.0.read_exact(&mut response.body)?;
        Ok(response)
    }
}

/// Plain HTTP to the same address.
pub(crate) fn plain_health(service: &Service) -> u16 {
    let mut connection = Connection::open(service.address()).unwrap();
    connection.request("GET", "/health", &[], b"").unwrap().status
}
