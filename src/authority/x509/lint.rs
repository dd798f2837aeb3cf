//! Reads TBS bytes again before they are signed, and holds them against the profile (RFC 5280; X509-SVID).
//!
//! It shares no code with what built them, so that a defect there does not pass unseen here.

use super::{CaCertificate, CaContent, CrlContent, SvidContent, ca_certificate::timestamp};
use crate::{
    identity::{KeyId, Timestamp},
    store::CrlEntry,
};
use catalyst_signing::KeyPin;
use const_oid::{
    AssociatedOid, ObjectIdentifier,
    db::rfc5280::{ID_KP_CLIENT_AUTH, ID_KP_SERVER_AUTH},
};
use der::{Decode, Encode};
use spki::SubjectPublicKeyInfoRef;
use std::net::IpAddr;
use x509_cert::{
    TbsCertificate, Version,
    certificate::TbsCertificateInner,
    crl::{RevokedCert, TbsCertList},
    ext::pkix::{
        AuthorityKeyIdentifier, BasicConstraints, CrlNumber, CrlReason, ExtendedKeyUsage, KeyUsage,
        KeyUsages, SubjectAltName, SubjectKeyIdentifier, name::GeneralName,
    },
    time::Time,
};

/// The bytes are not what this CA may sign; a defect, never the requester's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("refused to sign: {0}")]
pub struct LintError(pub(crate) String);

type Lint = Result<(), LintError>;

fn must(holds: bool, rule: &str) -> Lint {
    if holds { Ok(()) } else { Err(LintError(rule.to_owned())) }
}

fn unreadable(error: der::Error) -> LintError {
    LintError(format!("unreadable: {error}"))
}

/// Holds an SVID's TBS against its profile, its content and its issuer.
pub(crate) fn svid_tbs(
    bytes: &[u8],
    content: &SvidContent<'_>,
    issuer: &CaCertificate,
    key: &KeyPin,
) -> Lint {
    let tbs = TbsCertificate::from_der(bytes).map_err(unreadable)?;
    common(bytes, &tbs, content.serial.as_bytes(), content.spki, key)?;
    let issuer_subject = issuer.subject().to_der().map_err(unreadable)?;
    must(tbs.issuer().to_der().map_err(unreadable)? == issuer_subject, "issuer is not the CA's subject")?;
    validity(&tbs, content.not_before, content.not_after)?;
    must(content.not_after <= issuer.not_after(), "outlives its issuer")?;
    must(content.not_before >= issuer.not_before(), "begins before its issuer")?;
    only_extensions(
        &tbs,
        &[
            BasicConstraints::OID,
            KeyUsage::OID,
            ExtendedKeyUsage::OID,
            SubjectAltName::OID,
            SubjectKeyIdentifier::OID,
            AuthorityKeyIdentifier::OID,
        ],
    )?;
    let (critical, constraints) = extension::<BasicConstraints>(&tbs)?;
    must(
        critical && !constraints.ca && constraints.path_len_constraint.is_none(),
        "basicConstraints are not a leaf's",
    )?;
    let (critical, usage) = extension::<KeyUsage>(&tbs)?;
    must(critical && usage.0 == KeyUsages::DigitalSignature, "keyUsage is not digitalSignature alone")?;
    let (critical, extended) = extension::<ExtendedKeyUsage>(&tbs)?;
    must(
        !critical && extended.0 == [ID_KP_SERVER_AUTH, ID_KP_CLIENT_AUTH],
        "extKeyUsage is not serverAuth, clientAuth",
    )?;
    names(&tbs, content)?;
    key_ids(&tbs, content.spki, issuer.key_id())
}

/// Holds a CA's TBS against its profile; `issuer` is `None` for a root.
pub(crate) fn ca_tbs(
    bytes: &[u8],
    content: &CaContent<'_>,
    issuer: Option<&CaCertificate>,
    key: &KeyPin,
) -> Lint {
    let tbs = TbsCertificate::from_der(bytes).map_err(unreadable)?;
    common(bytes, &tbs, content.serial.as_bytes(), content.spki, key)?;
    let subject = tbs.subject().to_der().map_err(unreadable)?;
    let issuer_name = tbs.issuer().to_der().map_err(unreadable)?;
    must(common_name(&tbs)?.as_deref() == Some(content.common_name), "subject is not the CA's common name")?;
    validity(&tbs, content.not_before, content.not_after)?;
    let issuer_key_id = match issuer {
        Some(ca) => {
            must(
                issuer_name == ca.subject().to_der().map_err(unreadable)?,
                "issuer is not the CA's subject",
            )?;
            must(subject != issuer_name, "an intermediate has the root's name")?;
            must(content.not_after <= ca.not_after(), "outlives its issuer")?;
            ca.key_id()
        }
        None => {
            must(subject == issuer_name, "a root is not its own issuer")?;
            must(content.spki == key.spki, "a root's key is not the one that signs")?;
            key_id(content.spki)?
        }
    };
    only_extensions(
        &tbs,
        &[BasicConstraints::OID, KeyUsage::OID, SubjectKeyIdentifier::OID, AuthorityKeyIdentifier::OID],
    )?;
    let (critical, constraints) = extension::<BasicConstraints>(&tbs)?;
    must(
        critical && constraints.ca && constraints.path_len_constraint == Some(content.path_length),
        "basicConstraints are not the CA's",
    )?;
    let (critical, usage) = extension::<KeyUsage>(&tbs)?;
    must(
        critical && usage.0 == KeyUsages::KeyCertSign | KeyUsages::CRLSign,
        "keyUsage is not keyCertSign, cRLSign",
    )?;
    key_ids(&tbs, content.spki, issuer_key_id)
}

/// Holds a TBSCertList against its content and its issuer.
pub(crate) fn crl_tbs(bytes: &[u8], content: &CrlContent<'_>, issuer: &CaCertificate, key: &KeyPin) -> Lint {
    let list: TbsCertList = TbsCertList::from_der(bytes).map_err(unreadable)?;
    must(list.to_der().map_err(unreadable)? == bytes, "not in DER")?;
    must(list.version == Version::V2, "not version 2")?;
    must(
        list.signature.to_der().map_err(unreadable)? == key.algorithm.identifier_der(),
        "another signature algorithm",
    )?;
    let issuer_subject = issuer.subject().to_der().map_err(unreadable)?;
    must(list.issuer.to_der().map_err(unreadable)? == issuer_subject, "issuer is not the CA's subject")?;
    must(timestamp(&list.this_update) == content.this_update.whole_seconds(), "another thisUpdate")?;
    let next_update = list.next_update.as_ref().map(timestamp);
    must(next_update == Some(content.next_update.whole_seconds()), "another nextUpdate")?;
    must(next_update > Some(timestamp(&list.this_update)), "nextUpdate does not follow thisUpdate")?;
    let listed = list.revoked_certificates.as_deref();
    must(listed.is_none_or(|entries| !entries.is_empty()), "an empty revokedCertificates")?;
    let listed = listed.unwrap_or_default();
    must(listed.len() == content.entries.len(), "more or fewer entries than reserved")?;
    for (listed, reserved) in listed.iter().zip(content.entries) {
        must(is_entry(listed, reserved)?, "another entry than reserved")?;
    }
    let extensions = list.crl_extensions.unwrap_or_default();
    let oids: Vec<ObjectIdentifier> = extensions.iter().map(|e| e.extn_id).collect();
    must(
        oids == [AuthorityKeyIdentifier::OID, CrlNumber::OID],
        "other CRL extensions than AKI and CRLNumber",
    )?;
    must(extensions.iter().all(|e| !e.critical), "a critical CRL extension")?;
    let authority =
        AuthorityKeyIdentifier::from_der(extensions[0].extn_value.as_bytes()).map_err(unreadable)?;
    let authority = authority.key_identifier.as_ref().map(|id| id.as_bytes());
    must(authority == Some(issuer.key_id().as_bytes().as_slice()), "AKI is not the issuer's SKI")?;
    let number = CrlNumber::from_der(extensions[1].extn_value.as_bytes()).map_err(unreadable)?;
    let value = number.0.as_bytes().iter().fold(0_i64, |value, octet| value << 8 | i64::from(*octet));
    must(value == content.number, "another CRLNumber")
}

/// Serial number, date and reason are the reserved ones; the reason is left out where it is unspecified.
fn is_entry(listed: &RevokedCert, reserved: &CrlEntry) -> Result<bool, LintError> {
    let extensions = listed.crl_entry_extensions.as_deref().unwrap_or_default();
    let reason = match extensions {
        [] => listed.crl_entry_extensions.is_none().then_some(0),
        [only] if only.extn_id == CrlReason::OID && !only.critical => {
            Some(CrlReason::from_der(only.extn_value.as_bytes()).map_err(unreadable)? as u8)
        }
        _ => None,
    };
    Ok(listed.serial_number.as_bytes() == reserved.serial.as_bytes()
        && timestamp(&listed.revocation_date) == reserved.revoked_at.whole_seconds()
        && reason == Some(reserved.reason.code()))
}

fn common(bytes: &[u8], tbs: &TbsCertificate, serial: &[u8], spki: &[u8], key: &KeyPin) -> Lint {
    must(tbs.to_der().map_err(unreadable)? == bytes, "not in DER")?;
    must(tbs.version() == Version::V3, "not version 3")?;
    must(tbs.serial_number().as_bytes() == serial, "another serial number")?;
    must(
        tbs.signature().to_der().map_err(unreadable)? == key.algorithm.identifier_der(),
        "another signature algorithm",
    )?;
    must(tbs.subject_public_key_info().to_der().map_err(unreadable)? == spki, "another public key")?;
    must(tbs.issuer_unique_id().is_none() && tbs.subject_unique_id().is_none(), "a unique identifier")
}

fn validity(tbs: &TbsCertificateInner, not_before: Timestamp, not_after: Timestamp) -> Lint {
    let validity = tbs.validity();
    must(timestamp(&validity.not_before) == not_before.whole_seconds(), "another notBefore")?;
    must(timestamp(&validity.not_after) == not_after.whole_seconds(), "another notAfter")?;
    must(not_before < not_after, "ends before it begins")?;
    must([validity.not_before, validity.not_after].iter().all(right_time_form), "a time in the wrong form")
}

/// UTCTime through 2049, GeneralizedTime after (RFC 5280, 4.1.2.5).
fn right_time_form(time: &Time) -> bool {
    matches!(time, Time::UtcTime(_)) == (time.to_date_time().year() < 2050)
}

fn only_extensions(tbs: &TbsCertificate, expected: &[ObjectIdentifier]) -> Lint {
    let found: Vec<ObjectIdentifier> = tbs.extensions().into_iter().flatten().map(|e| e.extn_id).collect();
    must(found == expected, "other extensions than the profile's")
}

/// Decodes an extension and holds it against its one DER encoding: some decoders take more than that.
fn extension<'a, T>(tbs: &'a TbsCertificate) -> Result<(bool, T), LintError>
where
    T: AssociatedOid + Encode + Decode<'a, Error = der::Error>,
{
    let found = tbs.extensions().into_iter().flatten().find(|e| e.extn_id == T::OID);
    let found = found.ok_or_else(|| LintError(format!("extension {} is missing", T::OID)))?;
    let value = T::from_der(found.extn_value.as_bytes()).map_err(unreadable)?;
    must(value.to_der().map_err(unreadable)? == found.extn_value.as_bytes(), "an extension is not in DER")?;
    Ok((found.critical, value))
}

fn common_name(tbs: &TbsCertificate) -> Result<Option<String>, LintError> {
    must(tbs.subject().len() <= 1, "a subject of more than a common name")?;
    let name = tbs.subject().common_name().map_err(unreadable)?;
    must(name.is_some() != tbs.subject().is_empty(), "a subject without a common name")?;
    Ok(name.map(|name| name.value().into_owned()))
}

fn names(tbs: &TbsCertificate, content: &SvidContent<'_>) -> Lint {
    must(common_name(tbs)?.as_deref() == content.common_name, "another subject")?;
    let (critical, names) = extension::<SubjectAltName>(tbs)?;
    must(
        critical == tbs.subject().is_empty(),
        "subjectAltName is critical exactly where the subject is empty",
    )?;
    let mut uris = 0;
    let (mut dns_names, mut ip_addresses) = (Vec::new(), Vec::new());
    for name in &names.0 {
        match name {
            GeneralName::UniformResourceIdentifier(uri) => {
                uris += 1;
                must(uri.as_str() == content.spiffe_id.as_str(), "another SPIFFE id")?;
            }
            GeneralName::DnsName(name) => dns_names.push(name.as_str()),
            GeneralName::IpAddress(octets) => ip_addresses.push(ip_address(octets.as_bytes())?),
            _ => return Err(LintError("a name that is neither URI, DNS nor IP address".into())),
        }
    }
    must(uris == 1, "not exactly one URI")?;
    must(content.dns_names.iter().map(|name| name.as_str()).eq(dns_names), "other DNS names")?;
    must(content.ip_addresses == ip_addresses, "other IP addresses")
}

fn ip_address(octets: &[u8]) -> Result<IpAddr, LintError> {
    let address = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    address
        .or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from))
        .map_err(|_| LintError("an IP address of neither 4 nor 16 octets".into()))
}

fn key_ids(tbs: &TbsCertificate, spki: &[u8], issuer: KeyId) -> Lint {
    let (critical, subject) = extension::<SubjectKeyIdentifier>(tbs)?;
    must(!critical && subject.0.as_bytes() == key_id(spki)?.as_bytes(), "SKI is not the key's")?;
    let (critical, authority) = extension::<AuthorityKeyIdentifier>(tbs)?;
    let id = authority.key_identifier.as_ref().map(|id| id.as_bytes());
    must(!critical && id == Some(issuer.as_bytes().as_slice()), "AKI is not the issuer's SKI")?;
    must(
        authority.authority_cert_issuer.is_none() && authority.authority_cert_serial_number.is_none(),
        "AKI names more than the key",
    )
}

fn key_id(spki: &[u8]) -> Result<KeyId, LintError> {
    let spki = SubjectPublicKeyInfoRef::from_der(spki).map_err(unreadable)?;
    Ok(KeyId::of_public_key(spki.subject_public_key.raw_bytes()))
}

#[cfg(test)]
mod tests;
