//! Listening sockets: HTTP/1.1 and HTTP/2 in clear, with deadlines, a cap, and an orderly end.

use super::patience::Patient;
use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use std::{sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::sync::CancellationToken;

/// How long a client may take to send a request's head, the wait on an idle connection included.
const HEAD_DEADLINE: Duration = Duration::from_secs(30);
/// How long a client may take nothing of an answer that waits to be sent.
const WRITE_DEADLINE: Duration = Duration::from_secs(30);
/// How many connections one listener holds; more wait in the kernel's queue.
const MOST_CONNECTIONS: usize = 4096;
/// How long connections may finish what they are at when the service ends.
const GRACE: Duration = Duration::from_secs(20);
/// After accept fails (no file descriptors left), it is tried again this soon.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Serves until the token is cancelled, then lets connections finish.
pub(super) async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let server = server();
    loop {
        let permit = tokio::select! {
            () = stop.cancelled() => break,
            permit = room.clone().acquire_owned() => permit,
        };
        let Ok(permit) = permit else { break };
        let (stream, address) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, address)) => (stream, address),
                Err(error) => {
                    tracing::warn!(target: "catalyst.pki", error = %error, "Connection not accepted");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    continue;
                }
            },
        };
        let Some(io) = prepared(stream) else { continue };
        let service = TowerToHyperService::new(
            router
                .clone()
                .layer(axum::Extension(super::peer::Peer { address, channel: super::peer::Channel::Plain })),
        );
        let connection = graceful.watch(server.serve_connection(io, service).into_owned());
        tokio::spawn(async move {
            // A peer that goes away is no event for us.
            let _ended = connection.await;
            drop(permit);
        });
    }
    drop(listener);
    if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!(target: "catalyst.pki", "Connections cut off at shutdown");
    }
}

fn server() -> auto::Builder<TokioExecutor> {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_DEADLINE);
    server
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(HEAD_DEADLINE))
        .keep_alive_timeout(HEAD_DEADLINE)
        .max_concurrent_streams(128)
        .max_header_list_size(16 * 1024);
    server
}

/// Answers are small: waiting to fill a packet would only delay them (RFC 1122, 4.2.3.4).
fn prepared(stream: TcpStream) -> Option<TokioIo<Patient<TcpStream>>> {
    stream.set_nodelay(true).ok()?;
    Some(TokioIo::new(Patient::new(stream, HEAD_DEADLINE, WRITE_DEADLINE)))
}
