//! Whether one CA certificate was issued by another: for certificates that come back from a backup.

use super::{EncodingError, ca_certificate::timestamp, svid::is_signed_by};
use crate::identity::Timestamp;
use der::{Decode, Encode};
use x509_cert::{
    Certificate,
    ext::pkix::{BasicConstraints, KeyUsage},
};

/// What a backup needs to know of a CA certificate (DER).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CaFacts {
    /// SubjectPublicKeyInfo, DER.
    pub(crate) spki: Vec<u8>,
    /// Start of validity.
    pub(crate) not_before: Timestamp,
    /// End of validity.
    pub(crate) not_after: Timestamp,
}

/// Reads the certificate of a CA.
///
/// # Errors
/// The bytes are no certificate, or one that may not sign certificates (RFC 5280, 4.2.1.3 and 4.2.1.9).
pub(crate) fn ca_facts(der: &[u8]) -> Result<CaFacts, EncodingError> {
    let certificate = Certificate::from_der(der)?;
    must_be_ca(&certificate)?;
    let tbs = certificate.tbs_certificate();
    Ok(CaFacts {
        spki: tbs.subject_public_key_info().to_der()?,
        not_before: timestamp(&tbs.validity().not_before),
        not_after: timestamp(&tbs.validity().not_after),
    })
}

/// Checks that the key of one CA has signed the certificate of another, or its own. Times are not looked at: an expired
/// certificate chains as it did.
///
/// # Errors
/// A clause that says what does not hold.
pub(crate) fn check_issued(child: &[u8], issuer: &[u8]) -> Result<(), EncodingError> {
    let (child, issuer) = (Certificate::from_der(child)?, Certificate::from_der(issuer)?);
    must_be_ca(&child)?;
    must_be_ca(&issuer)?;
    is_signed_by(&child, &issuer)
}

fn must_be_ca(certificate: &Certificate) -> Result<(), EncodingError> {
    let tbs = certificate.tbs_certificate();
    let constraints = tbs.get_extension::<BasicConstraints>().map_err(|e| EncodingError(e.to_string()))?;
    must(constraints.is_some_and(|(_, constraints)| constraints.ca), "it is not the certificate of a CA")?;
    let usage = tbs.get_extension::<KeyUsage>().map_err(|e| EncodingError(e.to_string()))?;
    must(usage.is_some_and(|(_, usage)| usage.key_cert_sign()), "its key may not sign certificates")
}

pub(super) fn must(holds: bool, clause: &str) -> Result<(), EncodingError> {
    if holds { Ok(()) } else { Err(EncodingError(clause.to_owned())) }
}
