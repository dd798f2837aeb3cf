//! SVIDs that come back: read, and held against the CA that has signed them.

use super::{EncodingError, ca_certificate::timestamp};
use crate::identity::{DnsName, KeyId, Serial, SpiffeId, SpkiHash, Timestamp};
use catalyst_signing::SignatureAlgorithm;
use der::{Decode, Encode};
use x509_cert::{
    Certificate, TbsCertificate,
    ext::pkix::{AuthorityKeyIdentifier, BasicConstraints, SubjectAltName, name::GeneralName},
};

/// What a certificate says that has the form of our SVIDs. Nothing of it is proven.
#[derive(Clone, Debug)]
pub(crate) struct IssuedSvid {
    /// Its serial number.
    pub(crate) serial: Serial,
    /// The one URI.
    pub(crate) spiffe_id: SpiffeId,
    /// Subject CN.
    pub(crate) common_name: Option<String>,
    /// Its key.
    pub(crate) spki: SpkiHash,
    /// Key identifier of the CA that it names.
    pub(crate) issuer: KeyId,
    /// Start of validity.
    pub(crate) not_before: Timestamp,
    /// End of validity.
    pub(crate) not_after: Timestamp,
    /// All DNS names.
    pub(crate) dns_names: Vec<DnsName>,
}

impl IssuedSvid {
    /// Reads a certificate.
    ///
    /// # Errors
    /// The bytes are no certificate, one of a CA, or one that has not exactly one SPIFFE id.
    pub(crate) fn from_der(der: &[u8]) -> Result<Self, EncodingError> {
        let certificate = Certificate::from_der(der)?;
        let tbs = certificate.tbs_certificate();
        let constraints = extension::<BasicConstraints>(tbs)?;
        must(constraints.is_none_or(|constraints| !constraints.ca), "it is the certificate of a CA")?;
        let authority =
            extension::<AuthorityKeyIdentifier>(tbs)?.and_then(|authority| authority.key_identifier);
        let issuer = authority.and_then(|id| <[u8; 20]>::try_from(id.as_bytes()).ok());
        let issuer = issuer.ok_or_else(|| refused("it does not say by which key it was signed"))?;
        let (uris, dns_names) = names(tbs)?;
        let [uri] = &uris[..] else { return Err(refused("it has not exactly one URI")) };
        let name = tbs.subject().common_name().map_err(|error| EncodingError(error.to_string()))?;
        Ok(Self {
            serial: Serial::try_from(tbs.serial_number().as_bytes())
                .map_err(|error| EncodingError(error.to_string()))?,
            spiffe_id: uri.parse().map_err(|_| refused("its URI is no SPIFFE id"))?,
            common_name: name.map(|name| name.value().into_owned()),
            spki: SpkiHash::of_spki(&tbs.subject_public_key_info().to_der()?),
            issuer: KeyId::from(issuer),
            not_before: timestamp(&tbs.validity().not_before),
            not_after: timestamp(&tbs.validity().not_after),
            dns_names,
        })
    }
}

/// Checks that the key of a CA has signed a certificate. Times are not looked at.
///
/// # Errors
/// A clause that says what does not hold.
pub(crate) fn check_svid(der: &[u8], issuer: &[u8]) -> Result<(), EncodingError> {
    is_signed_by(&Certificate::from_der(der)?, &Certificate::from_der(issuer)?)
}

/// The same of certificates that were read.
pub(super) fn is_signed_by(certificate: &Certificate, issuer: &Certificate) -> Result<(), EncodingError> {
    let (tbs, above) = (certificate.tbs_certificate(), issuer.tbs_certificate());
    must(tbs.issuer() == above.subject(), "its issuer is not the subject of the certificate above it")?;
    let identifier = certificate.signature_algorithm().to_der()?;
    must(tbs.signature().to_der()? == identifier, "it names two signature algorithms (RFC 5280, 4.1.1.2)")?;
    let (spki, signed) = (above.subject_public_key_info().to_der()?, tbs.to_der()?);
    let signature = certificate.signature().as_bytes().unwrap_or_default();
    let known = SignatureAlgorithm::ALL.iter().filter(|algorithm| algorithm.identifier_der() == identifier);
    let verifies = known.into_iter().any(|algorithm| algorithm.verify(&spki, &signed, signature));
    must(verifies, "its signature is not made by the key of the certificate above it")
}

type Names = (Vec<String>, Vec<DnsName>);

fn names(tbs: &TbsCertificate) -> Result<Names, EncodingError> {
    let (mut uris, mut dns_names) = (Vec::new(), Vec::new());
    for name in extension::<SubjectAltName>(tbs)?.map(|names| names.0).unwrap_or_default() {
        match name {
            GeneralName::UniformResourceIdentifier(uri) => uris.push(uri.as_str().to_owned()),
            GeneralName::DnsName(name) => {
                let name = name.as_str().parse();
                dns_names.push(name.map_err(|_| refused("a DNS name that is none"))?);
            }
            // The service's own certificate may have them, and nobody owns one.
            GeneralName::IpAddress(_) => {}
            _ => return Err(refused("a name that is neither URI, DNS nor IP address")),
        }
    }
    Ok((uris, dns_names))
}

fn extension<'a, T>(tbs: &'a TbsCertificate) -> Result<Option<T>, EncodingError>
where
    T: Decode<'a, Error = der::Error> + const_oid::AssociatedOid,
{
    let found = tbs.get_extension::<T>().map_err(|error| EncodingError(error.to_string()))?;
    Ok(found.map(|(_, value)| value))
}

fn must(holds: bool, clause: &str) -> Result<(), EncodingError> {
    if holds { Ok(()) } else { Err(refused(clause)) }
}

fn refused(clause: &str) -> EncodingError {
    EncodingError(clause.to_owned())
}
