//! How a connection begins: TLS or plain HTTP, told by its first octet, and who may do which.

use serde_json::json;
use std::{io, net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// How long a client may take to send its first octet.
const FIRST_OCTET: Duration = Duration::from_secs(10);
/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a client that is turned away may take to hear it.
const FAREWELL: Duration = Duration::from_secs(2);
/// How much of what it sent is read meanwhile.
const FAREWELL_OCTETS: u64 = 64 * 1024;
/// The content type of every TLS handshake record (RFC 8446, 5.1); no method of HTTP begins with it.
const HANDSHAKE_RECORD: u8 = 0x16;

/// What a listener speaks.
#[derive(Clone)]
pub(super) enum Speaks {
    /// Plain HTTP, to whoever comes: the listener is on loopback.
    Http,
    /// HTTPS, and plain HTTP to clients on this machine.
    Https {
        /// Takes the handshakes.
        tls: TlsAcceptor,
        /// Plain HTTP to other machines too.
        insecure_http: bool,
    },
}

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opening {
    Tls,
    Plain,
    Refused,
}

/// A connection that HTTP may be spoken on.
pub(super) enum Opened {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Speaks {
    /// For the log.
    pub(super) fn words(&self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Https { insecure_http: false, .. } => "HTTPS, and HTTP to this machine",
            Self::Https { insecure_http: true, .. } => "HTTPS and HTTP",
        }
    }

    /// Sees a connection through its opening. `None`: it was turned away, or did not come to the point in time.
    pub(super) async fn open(&self, mut stream: TcpStream, peer: SocketAddr) -> Option<Opened> {
        let Self::Https { tls, insecure_http } = self else { return Some(Opened::Plain(stream)) };
        let mut first = [0];
        // Left in the socket, so that whoever reads the stream next begins at its beginning.
        let peeked = timeout(FIRST_OCTET, stream.peek(&mut first)).await.ok()?.ok()?;
        if peeked == 0 {
            return None;
        }
        match opening(first[0], is_this_machine(peer), *insecure_http) {
            Opening::Plain => Some(Opened::Plain(stream)),
            Opening::Tls => match timeout(HANDSHAKE, tls.accept(stream)).await.ok()? {
                Ok(stream) => Some(Opened::Tls(Box::new(stream))),
                Err(error) => {
                    tracing::debug!(target: "catalyst.pki", peer = %peer, error = %error, "TLS handshake failed");
                    None
                }
            },
            Opening::Refused => {
                // Whether it heard is its own affair.
                let _ = timeout(FAREWELL, turn_away(&mut stream)).await;
                None
            }
        }
    }
}

/// Of a listener that speaks HTTPS.
fn opening(first: u8, from_this_machine: bool, insecure_http: bool) -> Opening {
    match first {
        HANDSHAKE_RECORD => Opening::Tls,
        _ if from_this_machine || insecure_http => Opening::Plain,
        _ => Opening::Refused,
    }
}

/// IPv4 clients have mapped addresses on an IPv6 socket.
fn is_this_machine(peer: SocketAddr) -> bool {
    peer.ip().to_canonical().is_loopback()
}

/// Says in plain HTTP what is wrong. Nothing of the request is looked at.
async fn turn_away<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> io::Result<()> {
    let body = json!({"error": "this port speaks HTTPS: use https://", "code": "https_required"}).to_string();
    let head = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: {}\r\ncache-control: no-store\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await?;
    stream.shutdown().await?;
    // A socket that is closed with something unread resets the connection, and the answer with it.
    tokio::io::copy(&mut stream.take(FAREWELL_OCTETS), &mut tokio::io::sink()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_octet_and_the_peer_decide() {
        for first in [b'G', b'P', 0, 0x15, 0x80, 0xff] {
            assert_eq!(opening(first, true, false), Opening::Plain, "{first:#x}");
            assert_eq!(opening(first, false, false), Opening::Refused, "{first:#x}");
            assert_eq!(opening(first, false, true), Opening::Plain, "{first:#x}");
        }
        for (loopback, insecure) in [(true, true), (true, false), (false, true), (false, false)] {
            assert_eq!(opening(0x16, loopback, insecure), Opening::Tls);
        }
    }

    #[test]
    fn this_machine_is_known_in_every_form_of_its_address() {
        for (address, here) in [
            ("127.0.0.1:1", true),
            ("127.9.9.9:1", true),
            ("[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("192.0.2.1:1", false),
            ("[::ffff:192.0.2.1]:1", false),
            ("[2001:db8::1]:1", false),
            ("0.0.0.0:1", false),
        ] {
            assert_eq!(is_this_machine(address.parse().unwrap()), here, "{address}");
        }
    }

    #[tokio::test]
    async fn who_speaks_plain_http_from_elsewhere_is_told_so() {
        let (mut client, mut server) = tokio::io::duplex(4096);
        client.write_all(b"GET /health HTTP/1.1\r\nhost: ca\r\n\r\n").await.unwrap();
        let told = tokio::spawn(async move { turn_away(&mut server).await });
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        drop(client);
        told.await.unwrap().unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{head}");
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{head}");
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["code"], "https_required");
    }
}
