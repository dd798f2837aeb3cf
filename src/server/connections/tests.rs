//! Over sockets of loopback: what a request knows of where it comes from.

use super::{super::tls::tests, *};
use axum::{Extension, routing::get};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;

async fn who(Extension(peer): Extension<Peer>) -> String {
    let certificate = peer.certificate().map(|certificate| certificate.fingerprint.to_string());
    let channel = if matches!(peer.channel, Channel::Plain) { "plain" } else { "tls" };
    format!("{channel} {} {}", peer.address.ip(), certificate.unwrap_or_default())
}

async fn listening(ask: bool) -> (SocketAddr, CancellationToken, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let speaks = Speaks::Https { tls: tests::self_signed(ask), insecure_http: false };
    let serving = serve(listener, speaks, Router::new().route("/", get(who)), stop.clone());
    (address, stop, tokio::spawn(serving))
}

async fn ask<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> String {
    stream.write_all(b"GET / HTTP/1.1\r\nhost: ca\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

async fn handshake(
    address: SocketAddr,
    config: rustls::ClientConfig,
) -> tokio_rustls::client::TlsStream<TcpStream> {
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

#[tokio::test]
async fn a_request_knows_its_channel_and_the_certificate_that_was_proven_on_it() {
    let (address, stop, serving) = listening(true).await;
    let chain = tests::anybodys(1);
    let fingerprint = Fingerprint::of_certificate(&chain.0[0]);
    let shown = handshake(address, tests::client(Some(chain))).await;
    assert_eq!(ask(shown).await, format!("tls 127.0.0.1 {fingerprint}"));
    assert_eq!(ask(handshake(address, tests::client(None)).await).await, "tls 127.0.0.1 ");
    assert_eq!(ask(TcpStream::connect(address).await.unwrap()).await, "plain 127.0.0.1 ");
    stop.cancel();
    serving.await.unwrap();
}

#[tokio::test]
async fn the_end_waits_for_what_a_request_left_behind() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let (heard, mut done) = tokio::sync::oneshot::channel();
    let heard = Arc::new(std::sync::Mutex::new(Some(heard)));
    let leave = async move |Extension(stay): Extension<Stay>| {
        tokio::spawn(async move {
            stay.stopping().cancelled().await;
            tokio::time::sleep(Duration::from_millis(200)).await;
            heard.lock().unwrap().take().unwrap().send(()).unwrap();
            drop(stay);
        });
        "left"
    };
    let router = Router::new().route("/", get(leave));
    let serving = tokio::spawn(serve(listener, Speaks::Http, router, stop.clone()));
    assert_eq!(ask(TcpStream::connect(address).await.unwrap()).await, "left");
    stop.cancel();
    serving.await.unwrap();
    done.try_recv().unwrap();
}

#[tokio::test]
async fn the_end_waits_for_nobody_who_has_asked_nothing() {
    let (address, stop, serving) = listening(false).await;
    let mut silent = TcpStream::connect(address).await.unwrap();
    let mut halfway = TcpStream::connect(address).await.unwrap();
    halfway.write_all(&[0x16, 3, 1]).await.unwrap();
    // Accepted in order: once this one is answered, the others are being waited for.
    assert_eq!(ask(TcpStream::connect(address).await.unwrap()).await, "plain 127.0.0.1 ");
    stop.cancel();
    serving.await.unwrap();
    for stream in [&mut silent, &mut halfway] {
        assert!(matches!(stream.read(&mut [0; 8]).await, Ok(0) | Err(_)));
    }
}
