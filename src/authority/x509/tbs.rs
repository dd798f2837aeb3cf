//! TBSCertificate of each profile, built by x509-cert's builder from content that is already decided.

use super::{CaCertificate, EncodingError, ca_certificate::timestamp, extensions as ext};
use crate::identity::{DnsName, KeyId, Serial, SpiffeId, Timestamp};
use catalyst_signing::KeyPin;
use const_oid::db::rfc4519;
use der::{
    Decode, Document, Encode,
    asn1::{PrintableStringRef, SetOfVec, Utf8StringRef},
};
use spki::{
    AlgorithmIdentifierOwned, DynSignatureAlgorithmIdentifier, EncodePublicKey, SubjectPublicKeyInfoOwned,
    SubjectPublicKeyInfoRef,
};
use std::{net::IpAddr, time::Duration};
use x509_cert::{
    TbsCertificate,
    attr::AttributeTypeAndValue,
    builder::{self, Builder, CertificateBuilder, profile::BuilderProfile},
    der::asn1::Any,
    ext::Extension,
    name::{Name, RdnSequence, RelativeDistinguishedName},
    serial_number::SerialNumber,
    time::{Time, Validity},
};

/// The public half of whoever will sign: all that a TBS says of its signer.
#[derive(Clone, Copy)]
pub(crate) struct Signer<'a> {
    /// The key that signs.
    pub(crate) pin: &'a KeyPin,
    /// Its certificate; `None` for a root, which signs itself.
    pub(crate) certificate: Option<&'a CaCertificate>,
}

/// What a CA certificate will say.
pub(crate) struct CaContent<'a> {
    pub(crate) serial: Serial,
    pub(crate) common_name: &'a str,
    pub(crate) spki: &'a [u8],
    pub(crate) path_length: u8,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
}

/// What an SVID will say.
pub(crate) struct SvidContent<'a> {
    pub(crate) serial: Serial,
    pub(crate) spiffe_id: &'a SpiffeId,
    /// `None`: the subject stays empty.
    pub(crate) common_name: Option<&'a str>,
    pub(crate) dns_names: &'a [DnsName],
    /// None but for the service's own.
    pub(crate) ip_addresses: &'a [IpAddr],
    pub(crate) spki: &'a [u8],
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
}

/// TBSCertificate of a CA, DER.
pub(crate) fn ca_tbs(signer: Signer<'_>, content: &CaContent<'_>) -> Result<Vec<u8>, EncodingError> {
    let subject = name_of(Some(content.common_name))?;
    let profile = Profile {
        issuer: signer.certificate.map_or_else(|| subject.clone(), |ca| ca.subject().clone()),
        subject,
        extensions: vec![
            ext::basic_constraints_ca(content.path_length)?,
            ext::key_usage_ca()?,
            ext::subject_key_identifier(&key_id_of(content.spki)?)?,
            ext::authority_key_identifier(&signer_id(signer)?)?,
        ],
    };
    build(profile, content.serial, content.spki, content.not_before, content.not_after, signer)
}

/// TBSCertificate of an SVID, DER.
pub(crate) fn svid_tbs(signer: Signer<'_>, content: &SvidContent<'_>) -> Result<Vec<u8>, EncodingError> {
    let Some(issuer) = signer.certificate else {
        return Err(EncodingError("an SVID needs an issuing CA certificate".into()));
    };
    let profile = Profile {
        issuer: issuer.subject().clone(),
        subject: name_of(content.common_name)?,
        extensions: vec![
            ext::basic_constraints_leaf()?,
            ext::key_usage_leaf()?,
            ext::extended_key_usage()?,
            ext::subject_alt_name(
                content.common_name.is_none(),
                content.spiffe_id,
                content.dns_names,
                content.ip_addresses,
            )?,
            ext::subject_key_identifier(&key_id_of(content.spki)?)?,
            ext::authority_key_identifier(&signer_id(signer)?)?,
        ],
    };
    build(profile, content.serial, content.spki, content.not_before, content.not_after, signer)
}

fn build(
    profile: Profile,
    serial: Serial,
    spki: &[u8],
    not_before: Timestamp,
    not_after: Timestamp,
    signer: Signer<'_>,
) -> Result<Vec<u8>, EncodingError> {
    let serial = SerialNumber::new(serial.as_bytes())?;
    let validity = Validity::new(time(not_before)?, time(not_after)?);
    let spki = SubjectPublicKeyInfoOwned::from_der(spki)?;
    let mut builder = CertificateBuilder::new(profile, serial, validity, spki)?;
    Ok(builder.finalize(&PublicHalf(signer))?)
}

/// What a CA's TBSCertificate says.
pub(crate) struct Meant {
    /// Subject CN.
    pub(crate) common_name: String,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
}

/// Reads a CA's TBSCertificate that was committed before.
pub(crate) fn meant(tbs: &[u8]) -> Result<Meant, EncodingError> {
    let tbs = TbsCertificate::from_der(tbs)?;
    let name = tbs.subject().common_name()?;
    let validity = tbs.validity();
    Ok(Meant {
        common_name: name.map(|name| name.value().into_owned()).unwrap_or_default(),
        not_before: timestamp(&validity.not_before),
        not_after: timestamp(&validity.not_after),
    })
}

/// The key identifier of a SubjectPublicKeyInfo (RFC 7093, method 1).
pub(super) fn key_id_of(spki: &[u8]) -> Result<KeyId, EncodingError> {
    let spki = SubjectPublicKeyInfoRef::from_der(spki)?;
    Ok(KeyId::of_public_key(spki.subject_public_key.raw_bytes()))
}

fn signer_id(signer: Signer<'_>) -> Result<KeyId, EncodingError> {
    signer.certificate.map_or_else(|| key_id_of(&signer.pin.spki), |ca| Ok(ca.key_id()))
}

/// UTCTime up to 2049, GeneralizedTime from 2050 (RFC 5280, 4.1.2.5); whole seconds.
pub(super) fn time(at: Timestamp) -> Result<Time, EncodingError> {
    let seconds = u64::try_from(at.seconds()).map_err(|_| EncodingError("a time before 1970".into()))?;
    Ok(Time::try_from(std::time::UNIX_EPOCH + Duration::from_secs(seconds))?)
}

/// A name of one CN, PrintableString where its characters allow it, or of nothing.
fn name_of(common_name: Option<&str>) -> Result<Name, EncodingError> {
    let mut rdns = RdnSequence::default();
    if let Some(text) = common_name {
        let value = match PrintableStringRef::new(text) {
            Ok(printable) => Any::from(printable),
            Err(_) => Any::from(Utf8StringRef::new(text)?),
        };
        let mut rdn = SetOfVec::new();
        rdn.insert(AttributeTypeAndValue { oid: rfc4519::CN, value })?;
        rdns.push(RelativeDistinguishedName::from(rdn));
    }
    Ok(Name::from_der(&rdns.to_der()?)?)
}

/// Names and extensions are decided before the builder runs; it only puts them in place.
struct Profile {
    issuer: Name,
    subject: Name,
    extensions: Vec<Extension>,
}

impl BuilderProfile for Profile {
    fn get_issuer(&self, _subject: &Name) -> Name {
        self.issuer.clone()
    }
    fn get_subject(&self) -> Name {
        self.subject.clone()
    }
    fn build_extensions(
        &self,
        _subject: SubjectPublicKeyInfoRef<'_>,
        _issuer: SubjectPublicKeyInfoRef<'_>,
        _tbs: &TbsCertificate,
    ) -> builder::Result<Vec<Extension>> {
        Ok(self.extensions.clone())
    }
}

/// What the builder wants of a signer: the public half.
#[derive(Clone, Copy)]
struct PublicHalf<'a>(Signer<'a>);

impl signature::Keypair for PublicHalf<'_> {
    type VerifyingKey = Self;
    fn verifying_key(&self) -> Self {
        *self
    }
}

impl EncodePublicKey for PublicHalf<'_> {
    fn to_public_key_der(&self) -> spki::Result<Document> {
        Ok(self.0.pin.spki.as_slice().try_into()?)
    }
}

impl DynSignatureAlgorithmIdentifier for PublicHalf<'_> {
    fn signature_algorithm_identifier(&self) -> spki::Result<AlgorithmIdentifierOwned> {
        Ok(AlgorithmIdentifierOwned::from_der(self.0.pin.algorithm.identifier_der())?)
    }
}
