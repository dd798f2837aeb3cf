//! Certificates that come from the service, or that a server shows.
//!
//! webpki checks chains, but tells no URI names, so this reads them. The rule of the house keeps x509-cert inside
//! `authority::x509`; the client must not depend on the authority, and one extension is not worth a third module.

use super::{ClientError, Result, printable};
use crate::identity::{Fingerprint, Serial, SpiffeId};
use der::{Decode as _, Encode as _, pem::LineEnding};
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer, pem::PemObject as _};
use x509_cert::{
    ext::pkix::{SubjectAltName, name::GeneralName},
    request::CertReq,
};

/// Who a certificate says that it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// A workload of a trust domain.
    Workload(SpiffeId),
    /// Only host names and addresses.
    Host,
}

/// Reads the holder of a certificate.
///
/// # Errors
/// A certificate that can't be read, or whose SPIFFE id is not the one URI that an SVID has (X509-SVID, 2).
pub(super) fn holder(der: &[u8]) -> std::result::Result<Holder, String> {
    holder_of(&read(der)?)
}

fn read(der: &[u8]) -> std::result::Result<x509_cert::Certificate, String> {
    x509_cert::Certificate::from_der(der).map_err(unread)
}

fn unread(error: der::Error) -> String {
    format!("it cannot be read: {error}")
}

fn holder_of(certificate: &x509_cert::Certificate) -> std::result::Result<Holder, String> {
    let san = certificate.tbs_certificate().get_extension::<SubjectAltName>().map_err(unread)?;
    let names = san.map(|(_, san)| san.0).unwrap_or_default();
    let uris: Vec<&str> = names
        .iter()
        .filter_map(|name| match name {
            GeneralName::UniformResourceIdentifier(uri) => Some(uri.as_str()),
            _ => None,
        })
        .collect();
    let spiffe = |uri: &&str| uri.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("spiffe:"));
    match uris.as_slice() {
        [uri] if spiffe(uri) => {
            let named = printable(uri);
            uri.parse().map(Holder::Workload).map_err(|error| format!("it names '{named}': {error}"))
        }
        uris if uris.iter().any(spiffe) => Err("it names a SPIFFE id and other URIs besides".into()),
        _ => Ok(Holder::Host),
    }
}

/// A certificate that the service answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    spki: Vec<u8>,
    serial: Vec<u8>,
    holder: Holder,
}

impl Certificate {
    /// Reads the first `CERTIFICATE` of a PEM text.
    ///
    /// # Errors
    /// There is none, or it can't be read.
    pub fn from_pem(text: &str) -> Result<Self> {
        let failed = |why: String| {
            ClientError::failed(format!("the service answered something that is no certificate: {why}"))
                .with_hint("'catalyst version' tells this command's version; is the service's the same?")
        };
        let der =
            CertificateDer::from_pem_slice(text.as_bytes()).map_err(|error| failed(error.to_string()))?;
        let certificate = read(&der).map_err(failed)?;
        let spki = certificate.tbs_certificate().subject_public_key_info().to_der();
        let spki = spki.map_err(|error| failed(unread(error)))?;
        let serial = certificate.tbs_certificate().serial_number().as_bytes().to_vec();
        Ok(Self { spki, serial, holder: holder_of(&certificate).map_err(failed)?, der: der.to_vec() })
    }

    /// SHA-256 of its DER.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of_certificate(&self.der)
    }

    /// Its SPIFFE id, if it has one.
    pub fn spiffe_id(&self) -> Option<&SpiffeId> {
        match &self.holder {
            Holder::Workload(id) => Some(id),
            Holder::Host => None,
        }
    }

    /// Whether it has this serial number.
    pub fn has_serial(&self, serial: Serial) -> bool {
        self.serial == serial.as_bytes()
    }

    /// Whether the key of that CA has signed it. Neither's time is looked at: this machine's clock may be wrong.
    pub fn is_signed_by(&self, ca: &Self) -> bool {
        let Ok(certificate) = x509_cert::Certificate::from_der(&self.der) else { return false };
        let (Ok(signed), Some(signature)) =
            (certificate.tbs_certificate().to_der(), certificate.signature().as_bytes())
        else {
            return false;
        };
        let issuer = CertificateDer::from(ca.der.as_slice());
        let Ok(issuer) = webpki::EndEntityCert::try_from(&issuer) else { return false };
        // Which of them are for the CA's key, webpki sees for itself.
        let verifies = |algorithm| issuer.verify_signature(algorithm, &signed, signature).is_ok();
        webpki::ALL_VERIFICATION_ALGS.iter().any(|algorithm| verifies(*algorithm))
    }

    /// Whether it is for this key, a SubjectPublicKeyInfo in DER.
    pub fn is_for_key(&self, spki: &[u8]) -> bool {
        self.spki == spki
    }

    /// The certificate alone, as PEM.
    ///
    /// # Errors
    /// None that a certificate which was read has.
    pub fn pem(&self) -> Result<String> {
        pem("CERTIFICATE", &self.der)
    }
}

/// The certificates of a bundle as PEM, and nothing else that its text holds.
///
/// # Errors
/// There is none, or one that can't be read.
pub fn bundle_pem(text: &[u8]) -> Result<String> {
    let failed =
        |why: String| ClientError::failed(format!("the service answered something that is no bundle: {why}"));
    let mut bundle = String::new();
    for certificate in CertificateDer::pem_slice_iter(text) {
        let certificate = certificate.map_err(|error| failed(error.to_string()))?;
        read(&certificate).map_err(failed)?;
        bundle.push_str(&pem("CERTIFICATE", &certificate)?);
    }
    if bundle.is_empty() { Err(failed("there is no certificate in it".to_owned())) } else { Ok(bundle) }
}

/// A certification request (RFC 2986) that somebody else made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    der: Vec<u8>,
    spki: Vec<u8>,
}

impl Request {
    /// Reads a request, PEM or DER. What else a PEM text holds, such as a key, is left out.
    ///
    /// # Errors
    /// A clause that says why it is none.
    pub fn read(bytes: &[u8]) -> std::result::Result<Self, String> {
        if CertificateSigningRequestDer::pem_slice_iter(bytes).flatten().nth(1).is_some() {
            return Err(
                "there is more than one certification request in it; give each a file of its own".into()
            );
        }
        let der = match CertificateSigningRequestDer::from_pem_slice(bytes) {
            Ok(der) => der.to_vec(),
            Err(_) => bytes.to_vec(),
        };
        let request = CertReq::from_der(&der)
            .map_err(|_| "there is no certification request in it, neither PEM nor DER".to_owned())?;
        let spki = request.info.public_key.to_der().map_err(unread)?;
        Ok(Self { der, spki })
    }

    /// Its public key, a SubjectPublicKeyInfo in DER.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// The request alone, as PEM.
    ///
    /// # Errors
    /// None that a request which was read has.
    pub fn pem(&self) -> Result<String> {
        pem("CERTIFICATE REQUEST", &self.der)
    }
}

fn pem(label: &str, der: &[u8]) -> Result<String> {
    der::pem::encode_string(label, LineEnding::LF, der)
        .map_err(|error| ClientError::failed(format!("no PEM can be made of it: {error}")))
}
