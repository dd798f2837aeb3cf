//! How the server's certificate is judged: what the operator pinned, and what follows from it.

use super::{
    ClientError, Result,
    connection::{Endpoint, Route},
    url::ServiceUrl,
    verifier::{Rule, configuration, root_of},
};
use crate::identity::{Fingerprint, hex};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// What the operator pinned.
#[derive(Clone, Debug, Default)]
pub enum Trust {
    /// Nothing.
    #[default]
    Nothing,
    /// `--ca-file`: certificates of CAs, PEM.
    CaFile(PathBuf),
    /// `--root-fingerprint`: the root certificate with this SHA-256.
    Root(Fingerprint),
    /// `--server-fingerprint`: the server's certificate itself.
    Server(Fingerprint),
}

/// `--ca-file`, `--root-fingerprint` and `--server-fingerprint`, as they were given in one place.
#[derive(Clone, Debug, Default)]
pub struct TrustOptions {
    /// A path.
    pub ca_file: Option<String>,
    /// A fingerprint.
    pub root: Option<String>,
    /// A fingerprint.
    pub server: Option<String>,
}

impl Trust {
    /// At most one of the three holds.
    ///
    /// # Errors
    /// Two of them, or a fingerprint that is none.
    pub fn from_options(options: TrustOptions) -> Result<Self> {
        let fingerprint = |flag: &str, text: String| {
            text.parse::<Fingerprint>().map_err(|error| {
                ClientError::usage(format!("{flag} is {error}"))
                    .with_hint("openssl x509 -in certificate.pem -noout -fingerprint -sha256 prints one")
            })
        };
        match (options.ca_file, options.root, options.server) {
            (None, None, None) => Ok(Self::Nothing),
            (Some(path), None, None) => Ok(Self::CaFile(path.into())),
            (None, Some(text), None) => fingerprint("--root-fingerprint", text).map(Self::Root),
            (None, None, Some(text)) => fingerprint("--server-fingerprint", text).map(Self::Server),
            _ => Err(ClientError::usage(
                "two of --ca-file, --root-fingerprint and --server-fingerprint are given",
            )
            .with_hint("give one of them; CATALYST_CA_FILE, CATALYST_ROOT_FINGERPRINT and CATALYST_SERVER_FINGERPRINT count too")),
        }
    }
}

/// The way to the service over which secrets may go.
///
/// # Errors
/// Plain HTTP to another machine, TLS with nothing pinned, or a pin that can't be resolved.
pub(super) async fn resolve(url: ServiceUrl, trust: &Trust, insecure_http: bool) -> Result<Endpoint> {
    if !url.is_tls() {
        return plain(url, insecure_http);
    }
    let rule = match trust {
        Trust::Nothing => return Err(nothing_pinned(&url).await?),
        Trust::Server(fingerprint) => Rule::Exactly(*fingerprint),
        Trust::CaFile(path) => Rule::Chain { anchors: Arc::new(anchors_of(path)?), hosts: true },
        Trust::Root(fingerprint) => {
            let anchors = Arc::new(fetch_root(&url, fingerprint).await?);
            // The bundle holds the service's own root alone, and under that the CA always has its own name.
            Rule::Chain { anchors, hosts: false }
        }
    };
    through_tls(url, rule)
}

fn plain(url: ServiceUrl, insecure_http: bool) -> Result<Endpoint> {
    let route = match (insecure_http, url.is_loopback()) {
        (true, _) => Route::Plain,
        (false, true) => Route::PlainLoopback,
        (false, false) => {
            return Err(ClientError::usage(format!(
                "{url} is another machine, and plain HTTP would show the token to everybody on the way"
            ))
            .with_hint("use https:// or wss:// with --root-fingerprint, or --insecure-http if the way is protected otherwise"));
        }
    };
    Ok(Endpoint { url, route })
}

fn through_tls(url: ServiceUrl, rule: Rule) -> Result<Endpoint> {
    let config =
        configuration(rule).map_err(|error| ClientError::failed(format!("TLS cannot be used: {error}")))?;
    Ok(Endpoint { url, route: Route::Tls(Arc::new(config)) })
}

/// Looks at what the server shows, sends nothing, and says how to pin it.
async fn nothing_pinned(url: &ServiceUrl) -> Result<ClientError> {
    let shown = through_tls(url.clone(), Rule::Any)?.presented().await?;
    let line = |what: &str, der: &CertificateDer<'_>| {
        let fingerprint = Fingerprint::of_certificate(der);
        format!("\n  {what}: SHA-256 {fingerprint} (hex {})", hex(fingerprint.as_bytes()))
    };
    let leaf = shown.first().map(|leaf| line("certificate of the server", leaf)).unwrap_or_default();
    let root = root_of(&shown).map(|root| line("root it rests on", root)).unwrap_or_default();
    Ok(ClientError::usage(format!("nothing says that {url} is the service that is meant; it shows{leaf}{root}"))
        .with_hint(
            "compare with what the service's operator gave you or its log says, then pass --root-fingerprint (lasts), \
             --server-fingerprint (until the certificate changes) or --ca-file",
        ))
}

fn anchors_of(path: &Path) -> Result<RootCertStore> {
    let unusable = |why: String| {
        ClientError::usage(format!("--ca-file {}: {why}", path.display()))
            .with_hint("give a file of PEM certificates, such as GET /pki/ca/bundle answers")
    };
    let text = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
    let mut anchors = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        anchors.add(certificate).map_err(|error| unusable(error.to_string()))?;
    }
    if anchors.is_empty() { Err(unusable("there is no certificate in it".into())) } else { Ok(anchors) }
}

/// Fetches the bundle from whoever answers, without a credential: of all that comes, only what has the fingerprint counts.
async fn fetch_root(url: &ServiceUrl, wanted: &Fingerprint) -> Result<RootCertStore> {
    let bundle = through_tls(url.clone(), Rule::Any)?.bundle().await?;
    let root = CertificateDer::pem_slice_iter(&bundle)
        .filter_map(std::result::Result::ok)
        .find(|certificate| Fingerprint::of_certificate(certificate) == *wanted);
    let Some(root) = root else {
        return Err(ClientError::unreachable(format!(
            "no certificate in the bundle of {url} has the SHA-256 {wanted}: another CA answers there, or the pin is another's"
        ))
        .with_hint("check --root-fingerprint against what the service's operator gave you; the token was not sent"));
    };
    let mut anchors = RootCertStore::empty();
    anchors
        .add(root)
        .map_err(|error| ClientError::unreachable(format!("the root of {url} cannot be used: {error}")))?;
    Ok(anchors)
}
