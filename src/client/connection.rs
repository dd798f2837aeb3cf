//! One request over one connection, with an end to everything: time, size and redirects.

use super::{ClientError, Result, change, url::ServiceUrl, verifier::Refusal};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::{
    HeaderMap, Method, Request, StatusCode,
    body::Bytes,
    header::{ACCEPT, HOST, HeaderValue, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use rustls::{
    CertificateError, ClientConfig,
    pki_types::{CertificateDer, ServerName},
};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

const CONNECT: Duration = Duration::from_secs(10);
/// A page of ten thousand records fits well.
const LARGEST: usize = 64 << 20;
/// Of a server that nobody has verified yet.
const LARGEST_BUNDLE: usize = 1 << 20;

/// Where to connect, and how.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    pub(super) url: ServiceUrl,
    pub(super) route: Route,
}

/// What protects the way.
#[derive(Clone, Debug)]
pub(super) enum Route {
    /// Nothing; the operator said so.
    Plain,
    /// Nothing is needed: it stays on this machine, which is looked at after connecting.
    PlainLoopback,
    /// TLS.
    Tls(Arc<ClientConfig>),
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Endpoint {
    /// Sends a request and reads its answer.
    pub(super) async fn exchange(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer> {
        self.exchange_limited(method, path, headers, body, LARGEST).await
    }

    /// `GET /pki/ca/bundle` as PEM, without a credential.
    pub(super) async fn bundle(&self) -> Result<Bytes> {
        let (path, none) = ("/pki/ca/bundle", HeaderMap::new());
        let answer = self.exchange_limited(Method::GET, path, none, Bytes::new(), LARGEST_BUNDLE).await?;
        if answer.status == StatusCode::OK {
            return Ok(answer.body);
        }
        Err(ClientError::unreachable(format!("{}{path} answered {}", self.url, answer.status))
            .with_hint("before the CA is initialized there is no root: pin the server with --server-fingerprint, which its log names"))
    }

    /// The certificates that the server shows. Nothing but the handshake is sent.
    pub(super) async fn presented(&self) -> Result<Vec<CertificateDer<'static>>> {
        let Route::Tls(config) = &self.route else { return Ok(Vec::new()) };
        let stream = in_time(CONNECT, &self.url, self.connect_tls(config)).await?;
        let (_, session) = stream.get_ref();
        Ok(session
            .peer_certificates()
            .unwrap_or_default()
            .iter()
            .map(|der| der.clone().into_owned())
            .collect())
    }

    async fn exchange_limited(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
        most: usize,
    ) -> Result<Answer> {
        let request = self.request(method.clone(), path, headers, body)?;
        let sent = AtomicBool::new(false);
        let answer = in_time(change::patience(&method, path), &self.url, async {
            match &self.route {
                Route::Plain | Route::PlainLoopback => {
                    let stream = in_time(CONNECT, &self.url, self.connect()).await?;
                    self.speak(stream, request, most, &sent).await
                }
                Route::Tls(config) => {
                    let stream = in_time(CONNECT, &self.url, self.connect_tls(config)).await?;
                    self.speak(stream, request, most, &sent).await
                }
            }
        });
        answer.await.map_err(|error| match sent.load(Ordering::Relaxed) {
            true => change::perhaps_done(error, &method, path),
            false => error,
        })
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .body(Full::new(body))
            .map_err(|error| ClientError::failed(format!("no request can be made of {path}: {error}")))?;
        let host = HeaderValue::from_str(&self.url.authority());
        let host = host.map_err(|error| ClientError::usage(format!("{}: {error}", self.url)))?;
        *request.headers_mut() = headers;
        let all = request.headers_mut();
        all.insert(HOST, host);
        all.insert(USER_AGENT, HeaderValue::from_static(concat!("catalyst/", env!("CARGO_PKG_VERSION"))));
        all.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        Ok(request)
    }

    async fn connect(&self) -> Result<TcpStream> {
        let stream = TcpStream::connect((self.url.host(), self.url.port())).await.map_err(|error| {
            ClientError::unreachable(format!("cannot connect to {}: {error}", self.url))
                .with_hint("is the service running there? --auth-url or CATALYST_AUTH_URL says where it is")
        })?;
        let peer = stream.peer_addr().map_err(|error| self.broken(&error))?;
        // A resolver may say anything of 'localhost'.
        if matches!(self.route, Route::PlainLoopback) && !peer.ip().is_loopback() {
            return Err(ClientError::usage(format!("{} is {peer}, which is another machine", self.url))
                .with_hint("use https:// or wss:// with --root-fingerprint"));
        }
        Ok(stream)
    }

    async fn connect_tls(&self, config: &Arc<ClientConfig>) -> Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(self.url.host().to_owned())
            .map_err(|error| ClientError::usage(format!("{}: {error}", self.url)))?;
        let stream = self.connect().await?;
        TlsConnector::from(config.clone())
            .connect(name, stream)
            .await
            .map_err(|error| self.not_trusted(&error))
    }

    async fn speak(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        request: Request<Full<Bytes>>,
        most: usize,
        sent: &AtomicBool,
    ) -> Result<Answer> {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.broken(&error))?;
        // It ends with the answer, or when the sender is dropped.
        let driver = tokio::spawn(connection);
        sent.store(true, Ordering::Relaxed);
        let response = sender.send_request(request).await.map_err(|error| self.broken(&error))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, most).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                ClientError::failed(format!("the answer of {} has more than {} MiB", self.url, most >> 20))
                    .with_hint("ask for less with --limit")
            } else {
                self.broken(&*error)
            }
        })?;
        driver.abort();
        Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes() })
    }

    fn broken(&self, error: &(dyn std::error::Error + 'static)) -> ClientError {
        let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        let failed =
            ClientError::unreachable(format!("no whole answer came from {}: {error}{cause}", self.url));
        if self.url.is_tls() {
            return failed;
        }
        failed.with_hint("if the service speaks TLS there, use https:// or wss:// in --auth-url")
    }

    fn not_trusted(&self, error: &io::Error) -> ClientError {
        let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
        let (url, nothing_sent) = (&self.url, "nothing was sent");
        match cause {
            Some(rustls::Error::InvalidCertificate(certificate)) => {
                let refusal = match certificate {
                    CertificateError::Other(other) => other.0.downcast_ref::<Refusal>(),
                    _ => None,
                };
                let why = match certificate {
                    CertificateError::Other(_) => {
                        refusal.map_or_else(|| certificate.to_string(), ToString::to_string)
                    }
                    CertificateError::UnknownIssuer => "it does not chain to what is pinned".into(),
                    CertificateError::BadSignature => {
                        "it does not chain to what is pinned, or the server does not hold its key".into()
                    }
                    other => other.to_string(),
                };
                ClientError::unreachable(format!(
                    "the certificate of {url} is not accepted: {why}; {nothing_sent}"
                ))
                .with_hint(match refusal {
                    Some(Refusal::AnotherThanPinned { .. }) => "once after the CA was made this is expected, for then the service shows a certificate of its own CA: use --root-fingerprint, which lasts; at any other time it is a reason for alarm, for something may answer in the service's place",
                    _ => "check the pin, and whether something between here and the service answers in its place",
                })
            }
            Some(rustls::Error::InvalidMessage(_)) => {
                ClientError::unreachable(format!("{url} does not speak TLS: {error}"))
                    .with_hint("if it is plain HTTP on this machine, use http:// or ws:// in --auth-url")
            }
            _ => ClientError::unreachable(format!("no TLS connection to {url}: {error}"))
                .with_hint("TLS 1.3 is wanted; is the port the service's?"),
        }
    }
}

async fn in_time<T>(limit: Duration, url: &ServiceUrl, work: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(limit, work).await.unwrap_or_else(|_| {
        Err(ClientError::unreachable(format!("{url} did not answer within {} seconds", limit.as_secs()))
            .with_hint("is the port of --auth-url the service's? If it is, the service is busy or hangs, and its log says more"))
    })
}
