//! X.509 as bytes: the only place that knows the types of x509-cert and der.
//!
//! Everything that leaves this folder is DER, PEM or a word of [`crate::identity`].

mod ca_certificate;
#[cfg(feature = "server")]
mod chain;
mod crl;
mod csr;
mod extensions;
mod frame;
mod jwk;
mod lint;
mod pem;
#[cfg(feature = "server")]
mod read_crl;
mod svid;
mod tbs;
#[cfg(feature = "server")]
mod validity;

pub(crate) use ca_certificate::CaCertificate;
#[cfg(feature = "server")]
pub(crate) use chain::{ca_facts, check_issued};
pub(crate) use crl::{CrlContent, crl_tbs};
pub use csr::{CsrError, VerifiedCsr};
pub(crate) use frame::frame;
pub use jwk::public_jwk;
pub use lint::LintError;
pub(crate) use lint::{ca_tbs as lint_ca, crl_tbs as lint_crl, svid_tbs as lint_svid};
pub(crate) use pem::{certificate_pem, crl_pem, private_key_pem};
#[cfg(feature = "server")]
pub(crate) use read_crl::{check_crl, read_crl};
pub(crate) use svid::{IssuedSvid, check_svid};
pub(crate) use tbs::{CaContent, Signer, SvidContent, ca_tbs, meant, svid_tbs};
#[cfg(feature = "server")]
pub(crate) use validity::validity_of;

/// The DER library refused; with inputs that are parsed at the edge it means a defect here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("X.509 encoding: {0}")]
pub struct EncodingError(pub(crate) String);

impl From<der::Error> for EncodingError {
    fn from(error: der::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<x509_cert::builder::Error> for EncodingError {
    fn from(error: x509_cert::builder::Error) -> Self {
        Self(error.to_string())
    }
}
