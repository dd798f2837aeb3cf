//! PEM (RFC 7468) of what leaves the CA.

use super::EncodingError;
use der::pem::{LineEnding, encode_string};
use zeroize::Zeroizing;

/// A certificate's DER as `CERTIFICATE`.
pub(crate) fn certificate_pem(der: &[u8]) -> Result<String, EncodingError> {
    encode("CERTIFICATE", der)
}

/// A CRL's DER as `X509 CRL`.
pub(crate) fn crl_pem(der: &[u8]) -> Result<String, EncodingError> {
    encode("X509 CRL", der)
}

fn encode(label: &str, der: &[u8]) -> Result<String, EncodingError> {
    encode_string(label, LineEnding::LF, der).map_err(|error| EncodingError(error.to_string()))
}

/// A PKCS#8 key as `PRIVATE KEY`; wiped when dropped.
pub(crate) fn private_key_pem(pkcs8: &[u8]) -> Result<Zeroizing<String>, EncodingError> {
    encode("PRIVATE KEY", pkcs8).map(Zeroizing::new)
}
