//! Certificates and CRLs, read again.

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use const_oid::{AssociatedOid, ObjectIdentifier};
use der::{Decode, Encode};
use x509_cert::{
    TbsCertificate,
    crl::CertificateList,
    ext::pkix::{
        BasicConstraints, CrlNumber, CrlReason, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName,
        SubjectKeyIdentifier, name::GeneralName,
    },
};

pub(crate) struct Certificate {
    pub(crate) der: Vec<u8>,
    inner: x509_cert::Certificate,
}

impl Certificate {
    pub(crate) fn from_pem(pem: &str) -> Self {
        let (label, der) = der::pem::decode_vec(pem.as_bytes()).unwrap();
        assert_eq!(label, "CERTIFICATE");
        Self::from_der(&der)
    }

    pub(crate) fn from_der(der: &[u8]) -> Self {
        Self { inner: x509_cert::Certificate::from_der(der).unwrap(), der: der.to_vec() }
    }

    /// Every certificate of a bundle.
    pub(crate) fn all(pem: &str) -> Vec<Self> {
        split_pem(pem).iter().map(|one| Self::from_pem(one)).collect()
    }

    pub(crate) fn tbs(&self) -> &TbsCertificate {
        self.inner.tbs_certificate()
    }

    pub(crate) fn common_name(&self) -> Option<String> {
        self.tbs().subject().common_name().unwrap().map(|name| name.value().into_owned())
    }

    pub(crate) fn issuer_name(&self) -> String {
        self.tbs().issuer().common_name().unwrap().unwrap().value().into_owned()
    }

    pub(crate) fn serial(&self) -> String {
        hex(self.tbs().serial_number().as_bytes())
    }

    pub(crate) fn fingerprint(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(&SHA256, &self.der))
    }

    pub(crate) fn spki(&self) -> Vec<u8> {
        self.tbs().subject_public_key_info().to_der().unwrap()
    }

    pub(crate) fn key_id(&self) -> String {
        let (_, id) = self.tbs().get_extension::<SubjectKeyIdentifier>().unwrap().unwrap();
        hex(id.0.as_bytes())
    }

    /// notBefore and notAfter, in seconds.
    pub(crate) fn validity(&self) -> (u64, u64) {
        let validity = self.tbs().validity();
        let seconds = |time: x509_cert::time::Time| time.to_unix_duration().as_secs();
        (seconds(validity.not_before), seconds(validity.not_after))
    }

    /// Every extension with whether it is critical.
    pub(crate) fn extensions(&self) -> Vec<(ObjectIdentifier, bool)> {
        self.tbs().extensions().unwrap().iter().map(|one| (one.extn_id, one.critical)).collect()
    }

    fn names(&self) -> (bool, Vec<GeneralName>) {
        let (critical, names) = self.tbs().get_extension::<SubjectAltName>().unwrap().unwrap();
        (critical, names.0)
    }

    pub(crate) fn names_are_critical(&self) -> bool {
        self.names().0
    }

    pub(crate) fn uris(&self) -> Vec<String> {
        let uri = |name| match name {
            GeneralName::UniformResourceIdentifier(uri) => Some(uri.as_str().to_owned()),
            _ => None,
        };
        self.names().1.into_iter().filter_map(uri).collect()
    }

    pub(crate) fn dns_names(&self) -> Vec<String> {
        let dns = |name| match name {
            GeneralName::DnsName(name) => Some(name.as_str().to_owned()),
            _ => None,
        };
        self.names().1.into_iter().filter_map(dns).collect()
    }

    /// Has exactly the extensions of an SVID, and in them what an SVID may do.
    #[track_caller]
    pub(crate) fn assert_is_a_leaf(&self) {
        let named = !self.tbs().subject().is_empty();
        let expected = [
            (BasicConstraints::OID, true),
            (KeyUsage::OID, true),
            (ExtendedKeyUsage::OID, false),
            (SubjectAltName::OID, !named),
            (SubjectKeyIdentifier::OID, false),
            (x509_cert::ext::pkix::AuthorityKeyIdentifier::OID, false),
        ];
        assert_eq!(self.extensions(), expected);
        let (_, constraints) = self.tbs().get_extension::<BasicConstraints>().unwrap().unwrap();
        assert!(!constraints.ca);
        let (_, usage) = self.tbs().get_extension::<KeyUsage>().unwrap().unwrap();
        assert_eq!(usage.0, KeyUsages::DigitalSignature);
    }
}

pub(crate) struct Crl {
    pub(crate) der: Vec<u8>,
    inner: CertificateList,
}

impl Crl {
    pub(crate) fn from_der(der: &[u8]) -> Self {
        Self { der: der.to_vec(), inner: CertificateList::from_der(der).unwrap() }
    }

    pub(crate) fn number(&self) -> u64 {
        let extensions = self.inner.tbs_cert_list.crl_extensions.as_ref().unwrap();
        let number = extensions.iter().find(|one| one.extn_id == CrlNumber::OID).unwrap();
        let number = CrlNumber::from_der(number.extn_value.as_bytes()).unwrap();
        number.0.as_bytes().iter().fold(0, |value, octet| value << 8 | u64::from(*octet))
    }

    /// The serial numbers on it with their reasons.
    pub(crate) fn entries(&self) -> Vec<(String, Option<CrlReason>)> {
        let entries = self.inner.tbs_cert_list.revoked_certificates.as_deref().unwrap_or_default();
        let reason = |entry: &x509_cert::crl::RevokedCert| {
            let extensions = entry.crl_entry_extensions.as_ref()?;
            let reason = extensions.iter().find(|one| one.extn_id == CrlReason::OID)?;
            Some(CrlReason::from_der(reason.extn_value.as_bytes()).unwrap())
        };
        entries.iter().map(|entry| (hex(entry.serial_number.as_bytes()), reason(entry))).collect()
    }

    /// Why this certificate is on it; `None` if it is not.
    pub(crate) fn reason_for(&self, serial: &str) -> Option<CrlReason> {
        let entry = self.entries().into_iter().find(|(listed, _)| listed == serial)?;
        Some(entry.1.unwrap_or(CrlReason::Unspecified))
    }
}

/// Each PEM block of a text as a text of its own.
pub(crate) fn split_pem(text: &str) -> Vec<String> {
    let ends = text.match_indices("-----END ").map(|(at, _)| at + text[at..].find('\n').unwrap() + 1);
    let mut start = 0;
    ends.map(|end| text[std::mem::replace(&mut start, end)..end].to_owned()).collect()
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
