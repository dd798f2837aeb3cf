//! The extensions of our profiles, encoded (RFC 5280, 4.2).

use crate::identity::{DnsName, KeyId, SpiffeId};
use const_oid::{
    AssociatedOid,
    db::rfc5280::{ID_KP_CLIENT_AUTH, ID_KP_SERVER_AUTH},
};
use der::{
    Encode,
    asn1::{Ia5String, OctetString},
};
use std::net::IpAddr;
use x509_cert::ext::{
    Extension,
    pkix::{
        AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName,
        SubjectKeyIdentifier, name::GeneralName,
    },
};

fn extension<T: AssociatedOid + Encode>(critical: bool, value: &T) -> der::Result<Extension> {
    Ok(Extension { extn_id: T::OID, critical, extn_value: OctetString::new(value.to_der()?)? })
}

/// CA certificates: critical, with a path length (RFC 5280, 4.2.1.9).
pub(super) fn basic_constraints_ca(path_length: u8) -> der::Result<Extension> {
    extension(true, &BasicConstraints { ca: true, path_len_constraint: Some(path_length) })
}

/// SVIDs: critical, `cA` FALSE.
pub(super) fn basic_constraints_leaf() -> der::Result<Extension> {
    extension(true, &BasicConstraints { ca: false, path_len_constraint: None })
}

/// CA certificates: critical, keyCertSign and cRLSign.
pub(super) fn key_usage_ca() -> der::Result<Extension> {
    extension(true, &KeyUsage(KeyUsages::KeyCertSign | KeyUsages::CRLSign))
}

/// SVIDs: critical, digitalSignature alone (X509-SVID, 4.3).
pub(super) fn key_usage_leaf() -> der::Result<Extension> {
    extension(true, &KeyUsage(KeyUsages::DigitalSignature.into()))
}

/// SVIDs: serverAuth and clientAuth (X509-SVID, 4.4).
pub(super) fn extended_key_usage() -> der::Result<Extension> {
    extension(false, &ExtendedKeyUsage(vec![ID_KP_SERVER_AUTH, ID_KP_CLIENT_AUTH]))
}

/// SVIDs: exactly one URI, then the DNS names, then the IP addresses (4 or 16 octets); critical only where the subject
/// is empty (RFC 5280, 4.2.1.6).
pub(super) fn subject_alt_name(
    critical: bool,
    id: &SpiffeId,
    names: &[DnsName],
    addresses: &[IpAddr],
) -> der::Result<Extension> {
    let mut alt_names = vec![GeneralName::UniformResourceIdentifier(Ia5String::new(id.as_str())?)];
    for name in names {
        alt_names.push(GeneralName::DnsName(Ia5String::new(name.as_str())?));
    }
    for address in addresses {
        alt_names.push(GeneralName::IpAddress(match address {
            IpAddr::V4(v4) => OctetString::new(v4.octets())?,
            IpAddr::V6(v6) => OctetString::new(v6.octets())?,
        }));
    }
    extension(critical, &SubjectAltName(alt_names))
}

/// All certificates (RFC 5280, 4.2.1.2).
pub(super) fn subject_key_identifier(id: &KeyId) -> der::Result<Extension> {
    extension(false, &SubjectKeyIdentifier(OctetString::new(id.as_bytes().as_slice())?))
}

/// All certificates and CRLs (RFC 5280, 4.2.1.1 and 5.2.1).
pub(super) fn authority_key_identifier(id: &KeyId) -> der::Result<Extension> {
    let value = AuthorityKeyIdentifier {
        key_identifier: Some(OctetString::new(id.as_bytes().as_slice())?),
        ..AuthorityKeyIdentifier::default()
    };
    extension(false, &value)
}
