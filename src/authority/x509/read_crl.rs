//! CRLs that come from outside: whose they are, what they say, and whether that CA's key has signed them.

use super::{EncodingError, ca_certificate::timestamp, chain::must};
use crate::{
    identity::{KeyId, Serial, Timestamp},
    store::{CrlEntry, RevocationReason},
};
use catalyst_signing::SignatureAlgorithm;
use const_oid::AssociatedOid;
use der::{Decode, Encode};
use x509_cert::{
    Certificate,
    crl::{CertificateList, RevokedCert},
    ext::pkix::{AuthorityKeyIdentifier, CrlNumber, CrlReason},
};

/// Numbers have to rise from there, and fit into what the store counts with.
const GREATEST_NUMBER: i64 = 1 << 48;

/// What a CRL says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReadCrl {
    /// Whose it is, by its AKI.
    pub(crate) issuer: KeyId,
    /// Its CRLNumber.
    pub(crate) number: i64,
    /// thisUpdate.
    pub(crate) this_update: Timestamp,
    /// nextUpdate.
    pub(crate) next_update: Timestamp,
    /// Its lines.
    pub(crate) entries: Vec<CrlEntry>,
}

/// Reads a CRL (DER) of the form that this CA makes. Who has signed it is for [`check_crl`].
///
/// # Errors
/// A clause: no CRL, or one with what no CRL of this CA has.
pub(crate) fn read_crl(der: &[u8]) -> Result<ReadCrl, EncodingError> {
    let crl: CertificateList = CertificateList::from_der(der)?;
    let list = crl.tbs_cert_list;
    let next_update = list.next_update.as_ref().map(timestamp);
    let (mut issuer, mut number) = (None, None);
    for extension in list.crl_extensions.as_deref().unwrap_or_default() {
        let value = extension.extn_value.as_bytes();
        if extension.extn_id == AuthorityKeyIdentifier::OID {
            let octets = AuthorityKeyIdentifier::from_der(value)?.key_identifier;
            issuer = octets.and_then(|id| <[u8; 20]>::try_from(id.as_bytes()).ok()).map(KeyId::from);
        } else if extension.extn_id == CrlNumber::OID {
            number = number_of(&CrlNumber::from_der(value)?);
        } else {
            must(false, "it has an extension that no CRL of this CA has")?;
        }
    }
    let missing = |clause: &str| EncodingError(clause.to_owned());
    let entries = list.revoked_certificates.as_deref().unwrap_or_default().iter().map(entry);
    Ok(ReadCrl {
        issuer: issuer.ok_or_else(|| missing("it does not name its CA's key (RFC 5280, 5.2.1)"))?,
        number: number.ok_or_else(|| missing("it has no number of this CA's (RFC 5280, 5.2.3)"))?,
        this_update: timestamp(&list.this_update),
        next_update: next_update.ok_or_else(|| missing("it does not say when the next one comes"))?,
        entries: entries.collect::<Result<_, _>>()?,
    })
}

fn number_of(number: &CrlNumber) -> Option<i64> {
    let octets = number.0.as_bytes();
    let value =
        octets.iter().try_fold(0_i64, |value, octet| Some(value.checked_mul(256)? + i64::from(*octet)));
    value.filter(|value| *value <= GREATEST_NUMBER)
}

fn entry(listed: &RevokedCert) -> Result<CrlEntry, EncodingError> {
    let other = || EncodingError("it has a line that no CRL of this CA has".to_owned());
    let reason = match listed.crl_entry_extensions.as_deref().unwrap_or_default() {
        [] => Some(RevocationReason::Unspecified),
        [only] if only.extn_id == CrlReason::OID => {
            RevocationReason::from_code(CrlReason::from_der(only.extn_value.as_bytes())? as u8)
        }
        _ => None,
    };
    Ok(CrlEntry {
        serial: Serial::try_from(listed.serial_number.as_bytes()).map_err(|_| other())?,
        revoked_at: timestamp(&listed.revocation_date),
        reason: reason.ok_or_else(other)?,
    })
}

/// Checks that the key of a CA (its certificate, DER) has signed a CRL (DER).
///
/// # Errors
/// A clause that says what does not hold.
pub(crate) fn check_crl(crl: &[u8], issuer: &[u8]) -> Result<(), EncodingError> {
    let (crl, issuer): (CertificateList, _) =
        (CertificateList::from_der(crl)?, Certificate::from_der(issuer)?);
    let (list, above) = (&crl.tbs_cert_list, issuer.tbs_certificate());
    must(&list.issuer == above.subject(), "its issuer is not the subject of the CA's certificate")?;
    let identifier = crl.signature_algorithm.to_der()?;
    must(list.signature.to_der()? == identifier, "it names two signature algorithms (RFC 5280, 5.1.1.2)")?;
    let (spki, signed) = (above.subject_public_key_info().to_der()?, list.to_der()?);
    let signature = crl.signature.as_bytes().unwrap_or_default();
    let known = SignatureAlgorithm::ALL.iter().filter(|algorithm| algorithm.identifier_der() == identifier);
    let verifies = known.into_iter().any(|algorithm| algorithm.verify(&spki, &signed, signature));
    must(verifies, "its signature is not made by that CA's key")
}
