//! The proxy's socket.

use super::service::{Outcome, Service};
use http_body_util::BodyExt as _;
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rustix::net::sockopt::set_socket_linger;
use std::{io, os::fd::OwnedFd, sync::Arc, time::Duration};
use tokio::net::{TcpListener, TcpStream};

/// Serves connections for good.
pub(super) async fn serve(listener: std::net::TcpListener, service: Arc<Service>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    while let Ok((stream, _)) = listener.accept().await {
        let service = service.clone();
        tokio::spawn(async move {
            // What goes wrong on a connection is the caller's to notice.
            let _ = connection(stream, service).await;
        });
    }
}

async fn connection(stream: TcpStream, service: Arc<Service>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let stream = stream.into_std()?;
    let socket = Arc::new(OwnedFd::from(stream.try_clone()?));
    let stream = TokioIo::new(TcpStream::from_std(stream)?);
    let answer = service_fn(move |request: Request<Incoming>| {
        let (service, socket) = (service.clone(), socket.clone());
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
            match service.answer(head.headers, &body).await {
                Outcome::Answer(response) => Ok(response),
                Outcome::Reset => {
                    // Closed with nothing to linger for, the socket sends RST.
                    set_socket_linger(&socket, Some(Duration::ZERO))?;
                    Err(io::Error::other("reset"))
                }
            }
        }
    });
    http1::Builder::new().serve_connection(stream, answer).await.map_err(io::Error::other)
}
