//! How connections are protected.

use super::{
    Effective, SettingsError, list, required,
    values::{self, HostName},
};
use std::path::PathBuf;

/// How connections are protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// Where HTTPS is spoken.
    pub mode: TlsMode,
    /// The operator's own certificate; `None`: the service's SVID.
    pub files: Option<TlsFiles>,
    /// More names in the service's own certificates.
    pub names: Vec<HostName>,
    /// Plain HTTP for other machines too.
    pub insecure_http: bool,
}

/// Where HTTPS is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// On addresses beyond loopback.
    Auto,
    /// On loopback too.
    Always,
}

/// Files of a certificate that the operator provides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate and its chain, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

impl TlsSettings {
    pub(super) fn read(values: &Effective) -> Result<Self, SettingsError> {
        let path = |variable| values.text(variable).map(PathBuf::from);
        let files = match (path("CATALYST_PKI_TLS_CERT"), path("CATALYST_PKI_TLS_KEY")) {
            (Some(certificate), Some(key)) => Some(TlsFiles { certificate, key }),
            (None, None) => None,
            (Some(_), None) => {
                return Err(
                    values.invalid("CATALYST_PKI_TLS_CERT", "give its key in CATALYST_PKI_TLS_KEY too")
                );
            }
            (None, Some(_)) => {
                let wanted = "give its certificate in CATALYST_PKI_TLS_CERT too";
                return Err(values.invalid("CATALYST_PKI_TLS_KEY", wanted));
            }
        };
        Ok(Self {
            mode: match required(values, "CATALYST_PKI_TLS")? {
                "always" => TlsMode::Always,
                _ => TlsMode::Auto,
            },
            files,
            names: list(values, "CATALYST_PKI_TLS_NAMES", values::host_names)?,
            insecure_http: required(values, "CATALYST_PKI_INSECURE_HTTP")? == "true",
        })
    }
}
