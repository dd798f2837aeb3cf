//! Listening sockets: HTTP/1.1 and HTTP/2 in clear or over TLS, with deadlines, a cap, and an orderly end.

mod unread;

use super::{
    opening::{Opened, Speaks},
    patience::Patient,
    peer::{Channel, Peer},
    places::{Place, Places},
};
use crate::{access::PeerCertificate, authority::x509::validity_of, identity::Fingerprint};
use axum::{Router, body::Body};
use hyper::{
    Version,
    service::{Service as _, service_fn},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto,
        graceful::{GracefulShutdown, Watcher},
    },
    service::TowerToHyperService,
};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::server::TlsStream;
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};
use unread::Unread;

/// How long a client may take to send a request's head, the wait on an idle connection included.
const HEAD_DEADLINE: Duration = Duration::from_secs(30);
/// How long a client may take nothing of an answer that waits to be sent.
const WRITE_DEADLINE: Duration = Duration::from_secs(30);
/// Octets of a head, and of what is sent before anybody reads it, that one connection may make the service hold: without
/// these limits some 400 KiB and 1 MiB, of whoever comes.
const UNREAD_HTTP1: usize = 64 * 1024;
/// As much as the protocol gives by itself (RFC 9113, 6.9.2).
const UNREAD_HTTP2: u32 = 65_535;
/// How many connections one listener holds, handshakes included; more wait in the kernel's queue.
const MOST_CONNECTIONS: usize = 4096;
/// How long connections may finish what they are at when the service ends.
const GRACE: Duration = Duration::from_secs(20);
/// After accept fails (no file descriptors left), it is tried again this soon.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// What every connection of a listener is served with.
struct Listener {
    speaks: Speaks,
    router: Router,
    server: auto::Builder<TokioExecutor>,
    stop: CancellationToken,
}

/// What a connection takes along that goes on as something else than HTTP: its place, and a part in the service's end.
/// In every request's extensions.
#[derive(Clone)]
pub(super) struct Stay {
    stop: CancellationToken,
    _kept: Arc<(Place, TaskTrackerToken)>,
}

impl Stay {
    /// Is cancelled when the service ends: then the connection has a little time left.
    pub(super) fn stopping(&self) -> &CancellationToken {
        &self.stop
    }
}

/// Serves until the token is cancelled, then lets connections finish.
pub(super) async fn serve(listener: TcpListener, speaks: Speaks, router: Router, stop: CancellationToken) {
    let places = Places::new(MOST_CONNECTIONS);
    let (graceful, stays) = (GracefulShutdown::new(), TaskTracker::new());
    let served = Arc::new(Listener { speaks, router, server: server(), stop: stop.clone() });
    loop {
        let vacancy = tokio::select! {
            () = stop.cancelled() => break,
            vacancy = places.vacancy() => vacancy,
        };
        let Some(vacancy) = vacancy else { break };
        let (stream, peer) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(target: "catalyst.pki", error = %error, "Connection not accepted");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    continue;
                }
            },
        };
        let Some(place) = places.take(vacancy, peer.ip()) else { continue };
        let (served, watcher) = (served.clone(), graceful.watcher());
        let stay = Stay { stop: stop.clone(), _kept: Arc::new((place, stays.token())) };
        // Off the loop at once: a client that is slow to open its connection delays nobody else's.
        tokio::spawn(async move { served.connection(stream, peer, stay, watcher).await });
    }
    drop(listener);
    stays.close();
    let ended = async { tokio::join!(graceful.shutdown(), stays.wait()) };
    if tokio::time::timeout(GRACE, ended).await.is_err() {
        tracing::warn!(target: "catalyst.pki", "Connections cut off at shutdown");
    }
}

impl Listener {
    async fn connection(&self, stream: TcpStream, peer: SocketAddr, stay: Stay, watcher: Watcher) {
        // Answers are small: waiting to fill a packet would only delay them (RFC 1122, 4.2.3.4).
        if stream.set_nodelay(true).is_err() {
            return;
        }
        let opened = tokio::select! {
            // Nothing was asked yet.
            () = self.stop.cancelled() => return,
            opened = self.speaks.open(stream, peer) => opened,
        };
        match opened {
            None => {}
            Some(Opened::Plain(stream)) => {
                self.requests(stream, Peer { address: peer, channel: Channel::Plain }, stay, watcher).await;
            }
            Some(Opened::Tls(stream)) => {
                let channel = Channel::Tls { certificate: certificate(&stream) };
                self.requests(stream, Peer { address: peer, channel }, stay, watcher).await;
            }
        }
    }

    /// Serves what is asked on an open connection; every request knows where it comes from.
    async fn requests<S>(&self, stream: S, peer: Peer, stay: Stay, watcher: Watcher)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let router = TowerToHyperService::new(self.router.clone());
        let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(peer.clone());
            request.extensions_mut().insert(stay.clone());
            let is_http2 = request.version() == Version::HTTP_2;
            router.call(
                request.map(|body| if is_http2 { Body::new(Unread::new(body)) } else { Body::new(body) }),
            )
        });
        let io = TokioIo::new(Patient::new(stream, HEAD_DEADLINE, WRITE_DEADLINE));
        // A peer that goes away is no event for us.
        let _ended = watcher.watch(self.server.serve_connection_with_upgrades(io, service)).await;
    }
}

/// The certificate whose key the peer has proven to hold in the handshake.
fn certificate(stream: &TlsStream<TcpStream>) -> Option<Arc<PeerCertificate>> {
    let (_, session) = stream.get_ref();
    let leaf = session.peer_certificates()?.first()?;
    let fingerprint = Fingerprint::of_certificate(leaf);
    let not_after = validity_of(leaf).ok().map(|(_, not_after)| not_after);
    Some(Arc::new(PeerCertificate { der: leaf.to_vec(), fingerprint, not_after }))
}

fn server() -> auto::Builder<TokioExecutor> {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_DEADLINE).max_buf_size(UNREAD_HTTP1);
    server
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(HEAD_DEADLINE))
        .keep_alive_timeout(HEAD_DEADLINE)
        .max_concurrent_streams(128)
        .initial_stream_window_size(UNREAD_HTTP2)
        .initial_connection_window_size(UNREAD_HTTP2)
        .max_header_list_size(16 * 1024);
    server
}

#[cfg(test)]
mod tests;
