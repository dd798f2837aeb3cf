//! Handshakes with clients of rustls, in memory.

use super::*;
use crate::identity::Timestamp;
use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime},
};
use std::io;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio_rustls::{TlsConnector, client, server};

/// Takes whatever the server shows: these tests are about the other direction.
#[derive(Debug)]
struct AnyServer;

impl ServerCertVerifier for AnyServer {
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
        Ok(HandshakeSignatureValid::assertion())
    }
    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

type Chain = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// A configuration of a client, with a certificate or without.
pub(in crate::server) fn client(certificate: Option<Chain>) -> ClientConfig {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServer));
    match certificate {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).unwrap(),
        None => builder.with_no_client_auth(),
    }
}

/// A certificate that nobody but its holder has signed, which is over since 1980.
pub(in crate::server) fn anybodys(count: usize) -> Chain {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["anybody.example".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(1980, 1, 1);
    let certificate = params.self_signed(&key).unwrap().der().clone();
    (vec![certificate; count], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
}

/// An acceptor that shows a self-signed certificate.
pub(in crate::server) fn self_signed(ask: bool) -> TlsAcceptor {
    let made = SelfSigned::new(&[], Timestamp::from_seconds(1_800_000_000)).unwrap();
    acceptor(Arc::new(Shown(ArcSwap::new(made.key().clone()))), ask).unwrap()
}

type Ends = (io::Result<client::TlsStream<DuplexStream>>, io::Result<server::TlsStream<DuplexStream>>);

async fn handshake(acceptor: &TlsAcceptor, config: ClientConfig) -> Ends {
    let (near, far) = duplex(64 * 1024);
    let name = ServerName::try_from("localhost").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    tokio::join!(connector.connect(name, near), acceptor.accept(far))
}

#[tokio::test]
async fn a_clients_certificate_needs_its_key_and_nothing_else_here() {
    let (chain, key) = anybodys(1);
    let (_client, server) = handshake(&self_signed(true), client(Some((chain.clone(), key)))).await;
    let server = server.unwrap();
    assert_eq!(server.get_ref().1.peer_certificates().unwrap(), chain);

    let (_client, server) = handshake(&self_signed(true), client(None)).await;
    assert!(server.unwrap().get_ref().1.peer_certificates().is_none());

    let (_client, server) = handshake(&self_signed(false), client(Some(anybodys(1)))).await;
    assert!(server.unwrap().get_ref().1.peer_certificates().is_none(), "nobody was asked");
}

/// Shows a certificate whose key it has not.
#[derive(Debug)]
struct Thief(Arc<CertifiedKey>);

impl rustls::client::ResolvesClientCert for Thief {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
    fn has_certs(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn a_certificate_without_its_key_or_without_end_is_refused() {
    let load = |key| provider().key_provider.load_private_key(key).unwrap();
    let stolen = Arc::new(CertifiedKey::new(anybodys(1).0, load(anybodys(1).1)));
    let mut config = client(None);
    config.client_auth_cert_resolver = Arc::new(Thief(stolen));
    let (_client, server) = handshake(&self_signed(true), config).await;
    server.unwrap_err();

    let (_client, server) = handshake(&self_signed(true), client(Some(anybodys(6)))).await;
    server.unwrap_err();
    let (_client, server) = handshake(&self_signed(true), client(Some(anybodys(5)))).await;
    server.unwrap();

    let (chain, key) = anybodys(1);
    let garbage =
        Arc::new(CertifiedKey::new(vec![CertificateDer::from(chain[0][..100].to_vec())], load(key)));
    let mut config = client(None);
    config.client_auth_cert_resolver = Arc::new(Thief(garbage));
    let (_client, server) = handshake(&self_signed(true), config).await;
    server.unwrap_err();
}

#[tokio::test]
async fn the_hybrid_group_is_taken_and_nothing_is_resumed() {
    let acceptor = self_signed(true);
    let mut config = client(None);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    for _ in 0..2 {
        let (client, server) = handshake(&acceptor, config.clone()).await;
        let (mut client, mut server) = (client.unwrap(), server.unwrap());
        server.write_all(b"hello").await.unwrap();
        client.read_exact(&mut [0; 5]).await.unwrap();
        let session = server.get_ref().1;
        assert_eq!(
            session.negotiated_key_exchange_group().unwrap().name(),
            rustls::NamedGroup::X25519MLKEM768
        );
        assert_eq!(session.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
        assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
        let session = client.get_ref().1;
        assert_eq!(session.handshake_kind(), Some(rustls::HandshakeKind::Full));
        assert_eq!(session.tls13_tickets_received(), 0);
    }
}

#[test]
fn https_is_spoken_beyond_loopback_and_on_it_where_that_is_asked_for() {
    for (address, auto) in [
        ("127.0.0.1:4020", false),
        ("[::1]:4020", false),
        ("[::ffff:127.0.0.1]:4020", false),
        ("0.0.0.0:4020", true),
        ("[::]:4020", true),
        ("192.0.2.1:4020", true),
    ] {
        let address = address.parse().unwrap();
        assert_eq!(speaks_https(TlsMode::Auto, address), auto, "{address}");
        assert!(speaks_https(TlsMode::Always, address));
    }
}

#[test]
fn a_name_given_twice_is_in_the_certificate_once() {
    let names = ["a.example", "a.example"].map(|name| HostName::Dns(name.into()));
    let address = HostName::Ip("192.0.2.1".parse().unwrap());
    let names = [&names[..], &[address.clone(), address]].concat();
    let own = own_names(&names).unwrap();
    assert_eq!((own.dns_names.len(), own.ip_addresses.len()), (1, 1));
}
