//! TBSCertList (RFC 5280, 5.1): version 2, with nextUpdate, CRLNumber and AKI.

use super::{CaCertificate, EncodingError, extensions as ext, tbs::time};
use crate::{
    identity::Timestamp,
    store::{CrlEntry, RevocationReason},
};
use catalyst_signing::SignatureAlgorithm;
use const_oid::AssociatedOid;
use der::{
    Decode, Encode,
    asn1::{OctetString, Uint},
};
use spki::AlgorithmIdentifierOwned;
use x509_cert::{
    Version,
    crl::{RevokedCert, TbsCertList},
    ext::{
        Extension,
        pkix::{CrlNumber, CrlReason},
    },
    serial_number::SerialNumber,
};

/// What a CRL will say.
pub(crate) struct CrlContent<'a> {
    pub(crate) number: i64,
    pub(crate) this_update: Timestamp,
    pub(crate) next_update: Timestamp,
    pub(crate) entries: &'a [CrlEntry],
}

/// TBSCertList of this issuer, DER.
pub(crate) fn crl_tbs(
    issuer: &CaCertificate,
    algorithm: SignatureAlgorithm,
    content: &CrlContent<'_>,
) -> Result<Vec<u8>, EncodingError> {
    let revoked = content.entries.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
    let list: TbsCertList = TbsCertList {
        version: Version::V2,
        signature: AlgorithmIdentifierOwned::from_der(algorithm.identifier_der())?,
        issuer: issuer.subject().clone(),
        this_update: time(content.this_update)?,
        next_update: Some(time(content.next_update)?),
        // RFC 5280, 5.1.2.6: absent, not empty, when nothing is revoked.
        revoked_certificates: (!revoked.is_empty()).then_some(revoked),
        crl_extensions: Some(vec![ext::authority_key_identifier(&issuer.key_id())?, number(content.number)?]),
    };
    Ok(list.to_der()?)
}

fn number(number: i64) -> Result<Extension, EncodingError> {
    let value = CrlNumber(Uint::new(&number.to_be_bytes())?);
    Ok(Extension { extn_id: CrlNumber::OID, critical: false, extn_value: OctetString::new(value.to_der()?)? })
}

fn entry(entry: &CrlEntry) -> Result<RevokedCert, EncodingError> {
    // RFC 5280, 5.3.1: unspecified is said by leaving the extension out.
    let reason = match entry.reason {
        RevocationReason::Unspecified => None,
        RevocationReason::KeyCompromise => Some(CrlReason::KeyCompromise),
        RevocationReason::CaCompromise => Some(CrlReason::CaCompromise),
        RevocationReason::Superseded => Some(CrlReason::Superseded),
        RevocationReason::CessationOfOperation => Some(CrlReason::CessationOfOperation),
        RevocationReason::CertificateHold => Some(CrlReason::CertificateHold),
    };
    let extensions = match reason {
        None => None,
        Some(reason) => Some(vec![Extension {
            extn_id: CrlReason::OID,
            critical: false,
            extn_value: OctetString::new(reason.to_der()?)?,
        }]),
    };
    Ok(RevokedCert {
        serial_number: SerialNumber::new(entry.serial.as_bytes())?,
        revocation_date: time(entry.revoked_at)?,
        crl_entry_extensions: extensions,
    })
}
