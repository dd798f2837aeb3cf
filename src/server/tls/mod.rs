//! HTTPS: which certificate is shown, and what is asked of clients.
//!
//! TLS 1.3 alone. Nothing is resumed: no tickets, no session cache, no early data. A resumed session would bring back
//! the client certificate of an earlier handshake without a proof of its key, and 0-RTT requests can be replayed. A
//! full handshake costs less than the signature that most callers come for.

mod client_certificate;
mod files;
mod own;
mod self_signed;

use crate::{
    authority::{Authority, OwnNames},
    identity::{Clock, SystemClock, Workload},
    settings::{HostName, Settings, TlsMode},
};
use arc_swap::ArcSwap;
use client_certificate::AnyClientCertificate;
use files::Files;
use own::Own;
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    server::{ClientHello, NoServerSessionStorage, ResolvesServerCert},
    sign::CertifiedKey,
};
use self_signed::SelfSigned;
use std::{error::Error, sync::Arc};
use tokio_rustls::TlsAcceptor;

type Failure = Box<dyn Error + Send + Sync>;

/// The certificate that new connections are shown. Replacing it touches no connection that is open.
#[derive(Debug)]
struct Shown(ArcSwap<CertifiedKey>);

impl Shown {
    fn show(&self, key: Arc<CertifiedKey>) {
        self.0.store(key);
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// Where the certificate comes from.
#[derive(Debug)]
enum Source {
    /// Files of the operator.
    Files(Files),
    /// The service's own SVID; the self-signed certificate while there is none.
    Own(OwnNames, SelfSigned),
}

/// What the service needs to speak HTTPS.
#[derive(Debug)]
pub(super) struct ServerTls {
    shown: Arc<Shown>,
    source: Source,
}

impl ServerTls {
    /// The operator's files, read and checked, or else a self-signed certificate for the beginning. `None` where no
    /// listener speaks HTTPS.
    ///
    /// # Errors
    /// A sentence for the operator: files that can't be used.
    pub(super) fn prepare(settings: &Settings) -> Result<Option<Self>, Failure> {
        let addresses = [Some(settings.listen), settings.public_listen];
        let wanted = |address: std::net::SocketAddr| speaks_https(settings.tls.mode, address);
        if !addresses.into_iter().flatten().any(wanted) {
            if settings.tls.files.is_some() {
                tracing::warn!(target: "catalyst.pki",
                    "CATALYST_PKI_TLS_CERT is not used — all listeners are on loopback; set CATALYST_PKI_TLS=always");
            }
            return Ok(None);
        }
        let at = SystemClock.now();
        let (first, source) = match &settings.tls.files {
            Some(paths) => {
                let (files, key) = Files::open(paths.clone(), at)?;
                (key, Source::Files(files))
            }
            None => {
                let made = SelfSigned::new(&settings.tls.names, at)?;
                (made.key().clone(), Source::Own(own_names(&settings.tls.names)?, made))
            }
        };
        Ok(Some(Self { shown: Arc::new(Shown(ArcSwap::new(first))), source }))
    }

    /// Takes handshakes. `ask` says whether clients may show a certificate.
    ///
    /// # Errors
    /// The crypto provider's; none is known.
    pub(super) fn acceptor(&self, ask: bool) -> Result<TlsAcceptor, rustls::Error> {
        acceptor(self.shown.clone(), ask)
    }

    /// Sees to it that a good certificate is shown, as long as the service runs.
    pub(super) async fn keep(self, authority: Arc<Authority>, own: Workload) {
        match self.source {
            Source::Files(files) => files.keep(&self.shown, authority.clock().as_ref()).await,
            Source::Own(names, self_signed) => {
                Own::new(self.shown, authority, own, names, self_signed).keep().await;
            }
        }
    }
}

/// Whether a listener on this address speaks HTTPS.
pub(super) fn speaks_https(mode: TlsMode, address: std::net::SocketAddr) -> bool {
    mode == TlsMode::Always || !address.ip().to_canonical().is_loopback()
}

fn acceptor(shown: Arc<dyn ResolvesServerCert>, ask: bool) -> Result<TlsAcceptor, rustls::Error> {
    let provider = provider();
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])?;
    let builder = if ask {
        builder.with_client_cert_verifier(Arc::new(AnyClientCertificate::new(&provider)))
    } else {
        builder.with_no_client_auth()
    };
    let mut config = builder.with_cert_resolver(shown);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// aws-lc-rs, whatever the process holds for its default, with the hybrid of X25519 and ML-KEM-768 before the groups
/// that a quantum computer would break (draft-ietf-tls-ecdhe-mlkem).
fn provider() -> Arc<CryptoProvider> {
    let kx_groups = vec![
        aws_lc_rs::kx_group::X25519MLKEM768,
        aws_lc_rs::kx_group::X25519,
        aws_lc_rs::kx_group::SECP256R1,
        aws_lc_rs::kx_group::SECP384R1,
    ];
    Arc::new(CryptoProvider { kx_groups, ..aws_lc_rs::default_provider() })
}

fn own_names(names: &[HostName]) -> Result<OwnNames, Failure> {
    let mut own = OwnNames::default();
    for name in names {
        match name {
            HostName::Dns(name) => {
                let name = name.parse().map_err(|error| format!("CATALYST_PKI_TLS_NAMES: {error}"))?;
                if !own.dns_names.contains(&name) {
                    own.dns_names.push(name);
                }
            }
            HostName::Ip(address) if own.ip_addresses.contains(address) => {}
            HostName::Ip(address) => own.ip_addresses.push(*address),
        }
    }
    Ok(own)
}

#[cfg(test)]
pub(super) mod tests;
