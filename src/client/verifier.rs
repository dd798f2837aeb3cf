//! Whether the server at the other end is the one that is meant.

use super::certificate::{Holder, holder};
use crate::identity::Fingerprint;
use aws_lc_rs::constant_time;
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{
        CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs::default_provider, verify_tls13_signature,
    },
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};
use std::{fmt, sync::Arc};

/// Which server is accepted.
#[derive(Clone, Debug)]
pub(super) enum Rule {
    /// One whose certificate chains to these anchors, and is the CA's own (`spiffe://<td>/auth/…`); or, if it names no
    /// SPIFFE id and `hosts` holds, one of this host name.
    Chain { anchors: Arc<RootCertStore>, hosts: bool },
    /// The one with exactly this certificate.
    Exactly(Fingerprint),
    /// Any. For a first look, over which no secret goes.
    Any,
}

/// A [`Rule`] as rustls asks for it. Whatever the rule: the server proves to hold the certificate's key.
#[derive(Debug)]
pub(super) struct Verifier {
    rule: Rule,
    algorithms: WebPkiSupportedAlgorithms,
}

/// Why a certificate that is otherwise in order is not accepted.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Exactly one certificate is accepted, and this is another.
    AnotherThanPinned {
        /// Of the certificate that came.
        shown: Fingerprint,
        /// Of the certificate that is accepted.
        wanted: Fingerprint,
    },
    /// Whose it is; a clause.
    Holder(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AnotherThanPinned { shown, wanted } => {
                write!(f, "its SHA-256 is {shown}, and {wanted} is wanted")
            }
            Self::Holder(clause) => f.write_str(clause),
        }
    }
}

impl std::error::Error for Refusal {}

fn refuse(refusal: Refusal) -> Error {
    CertificateError::Other(OtherError(Arc::new(refusal))).into()
}

/// TLS 1.3 towards a server that this rule accepts. No session is resumed, so that every connection shows its certificate.
pub(super) fn configuration(rule: Rule) -> Result<rustls::ClientConfig, Error> {
    let provider: Arc<CryptoProvider> = Arc::new(default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier { rule, algorithms }))
        .with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.rule {
            Rule::Any => {}
            Rule::Exactly(wanted) => {
                let shown = Fingerprint::of_certificate(certificate);
                constant_time::verify_slices_are_equal(wanted.as_bytes(), shown.as_bytes())
                    .map_err(|_| refuse(Refusal::AnotherThanPinned { shown, wanted: *wanted }))?;
            }
            Rule::Chain { anchors, hosts } => {
                let parsed = ParsedCertificate::try_from(certificate)?;
                // What CAs sign with is more than what TLS signs with: ML-DSA is among it.
                verify_server_cert_signed_by_trust_anchor(
                    &parsed,
                    anchors,
                    intermediates,
                    now,
                    webpki::ALL_VERIFICATION_ALGS,
                )?;
                match holder(certificate).map_err(|why| refuse(Refusal::Holder(why)))? {
                    Holder::Workload(id) if id.path().starts_with("auth/") => {}
                    Holder::Workload(id) => {
                        let why = format!("it is {id}, and a CA is spiffe://<trust domain>/auth/…");
                        return Err(refuse(Refusal::Holder(why)));
                    }
                    Holder::Host if *hosts => verify_server_name(&parsed, name)?,
                    Holder::Host => {
                        let why = "it names no SPIFFE id, so it is not the CA's own".to_owned();
                        return Err(refuse(Refusal::Holder(why)));
                    }
                }
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken here".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The last certificate of a chain that a server showed, if it is what the first one rests on.
pub(super) fn root_of<'a>(chain: &'a [CertificateDer<'a>]) -> Option<&'a CertificateDer<'a>> {
    let (leaf, rest) = chain.split_first()?;
    let (last, between) = rest.split_last()?;
    let mut anchors = RootCertStore::empty();
    anchors.add(last.clone().into_owned()).ok()?;
    let parsed = ParsedCertificate::try_from(leaf).ok()?;
    let algorithms = default_provider().signature_verification_algorithms.all;
    verify_server_cert_signed_by_trust_anchor(&parsed, &anchors, between, UnixTime::now(), algorithms)
        .ok()?;
    is_self_signed(last).then_some(last)
}

/// Any intermediate will do as an anchor; only one that has issued itself is a root.
fn is_self_signed(der: &[u8]) -> bool {
    use der::Decode as _;
    x509_cert::Certificate::from_der(der)
        .is_ok_and(|ca| ca.tbs_certificate().issuer() == ca.tbs_certificate().subject())
}
