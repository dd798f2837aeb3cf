//! What the service must know of a certificate that others made.

use super::{EncodingError, ca_certificate::timestamp};
use crate::identity::Timestamp;
use der::Decode;
use x509_cert::Certificate;

/// notBefore and notAfter of any certificate (DER).
///
/// # Errors
/// The bytes are no certificate.
pub(crate) fn validity_of(der: &[u8]) -> Result<(Timestamp, Timestamp), EncodingError> {
    let certificate = Certificate::from_der(der)?;
    let validity = certificate.tbs_certificate().validity();
    Ok((timestamp(&validity.not_before), timestamp(&validity.not_after)))
}
