//! A service that answers what a test wants, with certificates that a test chooses, and that remembers what it was sent.

use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, body::Bytes, body::Incoming, header::AUTHORIZATION, service::service_fn};
use hyper_util::rt::TokioIo;
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

/// A request that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) target: String,
    pub(crate) authorization: Option<String>,
    pub(crate) body: String,
}

/// What is answered: status, content type, body.
pub(crate) type Answer = (u16, &'static str, String);
type Handler = Box<dyn Fn(&str) -> Answer + Send + Sync>;

/// A certificate with its chain and its key.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: KeyPair,
}

/// A CA of tests.
pub(crate) struct TestCa {
    pub(crate) der: CertificateDer<'static>,
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl TestCa {
    pub(crate) fn new() -> Self {
        Self::with(&rcgen::PKCS_ECDSA_P384_SHA384)
    }

    pub(crate) fn with(algorithm: &'static rcgen::SignatureAlgorithm) -> Self {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, "Test Root");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).unwrap();
        let (der, pem) = (certificate.der().clone(), certificate.pem());
        Self { der, pem, issuer: Issuer::new(params, key) }
    }

    /// A server's certificate with these SANs; what has a scheme is a URI.
    pub(crate) fn server(&self, names: &[&str]) -> Identity {
        self.server_with(names, |_| {})
    }

    pub(crate) fn server_with(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Identity {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.subject_alt_names = names
            .iter()
            .map(|name| match (name.contains(':'), name.parse()) {
                (_, Ok(address)) => SanType::IpAddress(address),
                (true, _) => SanType::URI((*name).try_into().unwrap()),
                (false, _) => SanType::DnsName((*name).try_into().unwrap()),
            })
            .collect();
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity { chain: vec![certificate.der().clone()], key }
    }
}

/// Shows whatever identity is set, without asking whether certificate and key belong together.
#[derive(Debug)]
struct Shown(Mutex<Arc<CertifiedKey>>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// The service.
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    shown: Option<Arc<Shown>>,
}

impl Fake {
    /// One that speaks plain HTTP.
    pub(crate) async fn plain(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        Self::start(None, Box::new(answer)).await
    }

    /// One that speaks TLS as `identity`.
    pub(crate) async fn tls(
        identity: Identity,
        answer: impl Fn(&str) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::start(Some(Arc::new(Shown(Mutex::new(certified(identity))))), Box::new(answer)).await
    }

    /// From the next connection on it shows this.
    pub(crate) fn show(&self, identity: Identity) {
        *self.shown.as_ref().unwrap().0.lock().unwrap() = certified(identity);
    }

    /// All requests that came.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    async fn start(shown: Option<Arc<Shown>>, answer: Handler) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let acceptor = shown.clone().map(|shown| {
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let versions = ServerConfig::builder_with_provider(provider)
                .with_protocol_versions(&[&rustls::version::TLS13]);
            TlsAcceptor::from(Arc::new(versions.unwrap().with_no_client_auth().with_cert_resolver(shown)))
        });
        let (log, answer) = (seen.clone(), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (log, answer, acceptor) = (log.clone(), answer.clone(), acceptor.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => serve(stream, log, answer).await,
                        Some(acceptor) => {
                            // A client that turns away is what many tests want.
                            if let Ok(stream) = acceptor.accept(stream).await {
                                serve(stream, log, answer).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, seen, shown }
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    log: Arc<Mutex<Vec<Seen>>>,
    answer: Arc<Handler>,
) {
    let respond = |request: Request<Incoming>| {
        let (log, answer) = (log.clone(), answer.clone());
        async move {
            let (head, body) = request.into_parts();
            let target = head.uri.to_string();
            let (status, content, text) = answer(&target);
            let authorization =
                head.headers.get(AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
            let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
            log.lock().unwrap().push(Seen { target, authorization, body });
            let response = Response::builder().status(status).header("content-type", content);
            let response = if status == 302 { response.header("location", "/elsewhere") } else { response };
            Ok::<_, Infallible>(response.body(Full::new(Bytes::from(text))).unwrap())
        }
    };
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service_fn(respond))
        .await;
}

fn certified(identity: Identity) -> Arc<CertifiedKey> {
    let key = PrivateKeyDer::try_from(identity.key.serialize_der()).unwrap();
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
    Arc::new(CertifiedKey::new(identity.chain, key))
}
