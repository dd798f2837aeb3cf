//! A CA certificate as it is stored, read once.

use super::{EncodingError, tbs::key_id_of};
use crate::identity::{Fingerprint, KeyId, Serial, Timestamp};
use der::{Decode, Encode};
use x509_cert::{Certificate, name::Name};

/// A CA certificate with the parts that its children repeat.
#[derive(Clone, Debug)]
pub(crate) struct CaCertificate {
    der: Vec<u8>,
    subject: Name,
    spki: Vec<u8>,
    key_id: KeyId,
    serial: Serial,
    not_before: Timestamp,
    not_after: Timestamp,
}

impl CaCertificate {
    /// Reads what the store holds.
    pub(crate) fn from_der(der: &[u8]) -> Result<Self, EncodingError> {
        let certificate = Certificate::from_der(der)?;
        let tbs = certificate.tbs_certificate();
        let spki = tbs.subject_public_key_info().to_der()?;
        let serial =
            Serial::try_from(tbs.serial_number().as_bytes()).map_err(|e| EncodingError(e.to_string()))?;
        Ok(Self {
            key_id: key_id_of(&spki)?,
            subject: tbs.subject().clone(),
            serial,
            not_before: timestamp(&tbs.validity().not_before),
            not_after: timestamp(&tbs.validity().not_after),
            spki,
            der: der.to_vec(),
        })
    }

    /// The certificate, DER.
    pub(crate) fn der(&self) -> &[u8] {
        &self.der
    }

    /// The name that its children have as issuer.
    pub(super) fn subject(&self) -> &Name {
        &self.subject
    }

    /// SubjectPublicKeyInfo, DER.
    pub(crate) fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// Its subject key identifier.
    pub(crate) fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// Its serial number.
    pub(crate) fn serial(&self) -> Serial {
        self.serial
    }

    /// SHA-256 of its DER.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of_certificate(&self.der)
    }

    /// Start of validity.
    pub(crate) fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// End of validity.
    pub(crate) fn not_after(&self) -> Timestamp {
        self.not_after
    }
}

pub(super) fn timestamp(time: &x509_cert::time::Time) -> Timestamp {
    Timestamp::from_seconds(i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX / 1000))
}
