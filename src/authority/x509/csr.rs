//! Certification requests (RFC 2986): proof of possession, the key, and the names asked for. Nothing else of a CSR
//! is ever used.

use crate::identity::sha256;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P256_SHA512_ASN1, ECDSA_P384_SHA256_ASN1,
    ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA512_ASN1, UnparsedPublicKey, VerificationAlgorithm,
};
use const_oid::{
    AssociatedOid, ObjectIdentifier,
    db::rfc5912::{
        ECDSA_WITH_SHA_256, ECDSA_WITH_SHA_384, ECDSA_WITH_SHA_512, ID_EC_PUBLIC_KEY, SECP_256_R_1,
        SECP_384_R_1,
    },
};
use der::{
    Decode, Encode, Sequence,
    asn1::{AnyRef, BitStringRef},
    oid::db::rfc5912::ID_EXTENSION_REQ,
};
use rustls_pki_types::{CertificateSigningRequestDer, pem::PemObject};
use spki::AlgorithmIdentifierRef;
use x509_cert::{
    ext::{
        Extensions,
        pkix::{SubjectAltName, name::GeneralName},
    },
    request::CertReqInfo,
};

/// The longest CSR that is looked at, in bytes of DER; one for a P-384 key and ten names has about 1,000.
const MAX_DER: usize = 16 * 1024;

/// The first octet of an uncompressed point.
const UNCOMPRESSED: u8 = 4;

/// A CSR whose signature verifies under its own key, which is P-256 or P-384.
#[derive(Clone, Debug)]
pub struct VerifiedCsr {
    sha256: [u8; 32],
    spki: Vec<u8>,
    uris: Vec<String>,
    dns_names: Vec<String>,
}

/// Why a CSR is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CsrError {
    /// No PEM or no PKCS#10.
    #[error("not a PEM certification request: {0}")]
    Malformed(String),
    /// Signed with another key or altered.
    #[error(
        "the request's signature does not verify under its own public key: sign it with the key it carries"
    )]
    ProofOfPossession,
    /// A key that SVIDs may not have.
    #[error("the request's key is {0}: use an EC key on P-384 or P-256")]
    KeyType(String),
    /// A signature algorithm that does not fit the key.
    #[error("the request is signed with {0}: use ECDSA with SHA-256, SHA-384 or SHA-512")]
    SignatureAlgorithm(String),
    /// A kind of name that SVIDs do not have.
    #[error("the request asks for {0}: an SVID has one URI and DNS names, nothing else")]
    NameKind(&'static str),
}

/// The outer frame; its first part stays as the bytes that were signed.
#[derive(Sequence)]
struct Request<'a> {
    info: AnyRef<'a>,
    algorithm: AlgorithmIdentifierRef<'a>,
    signature: BitStringRef<'a>,
}

impl VerifiedCsr {
    /// Reads the first `CERTIFICATE REQUEST` of a PEM text.
    ///
    /// # Errors
    /// See [`CsrError`].
    pub fn from_pem(text: &str) -> Result<Self, CsrError> {
        let der = CertificateSigningRequestDer::from_pem_slice(text.as_bytes())
            .map_err(|_| CsrError::Malformed("no CERTIFICATE REQUEST block found".into()))?;
        Self::from_der(&der)
    }

    /// Reads a CSR, DER.
    ///
    /// # Errors
    /// See [`CsrError`].
    pub fn from_der(der: &[u8]) -> Result<Self, CsrError> {
        if der.len() > MAX_DER {
            return Err(CsrError::Malformed(format!("more than {MAX_DER} bytes")));
        }
        let malformed = |error: der::Error| CsrError::Malformed(error.to_string());
        let request = Request::from_der(der).map_err(malformed)?;
        let signed = request.info.to_der().map_err(malformed)?;
        let info = CertReqInfo::from_der(&signed).map_err(malformed)?;
        let spki = info.public_key.to_der().map_err(malformed)?;
        let verifier = verifier(curve(&info)?, request.algorithm.oid)?;
        one_form(&info)?;
        let signature = request.signature.as_bytes().ok_or(CsrError::ProofOfPossession)?;
        UnparsedPublicKey::new(verifier, &spki)
            .verify(&signed, signature)
            .map_err(|_| CsrError::ProofOfPossession)?;
        let mut csr = Self { sha256: sha256(der), spki, uris: Vec::new(), dns_names: Vec::new() };
        csr.read_names(&info)?;
        Ok(csr)
    }

    /// Of a key that was made here, so that there is nothing to prove; it asks for no names.
    pub(in crate::authority) fn of_own_key(spki: Vec<u8>) -> Self {
        Self { sha256: [0; 32], spki, uris: Vec::new(), dns_names: Vec::new() }
    }

    /// SHA-256 of its DER; zeroes where there is none.
    pub fn sha256(&self) -> [u8; 32] {
        self.sha256
    }

    /// SubjectPublicKeyInfo of the key that was proven, DER.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// URIs in its subject alternative name, as written.
    pub fn uris(&self) -> &[String] {
        &self.uris
    }

    /// DNS names in its subject alternative name, as written.
    pub fn dns_names(&self) -> &[String] {
        &self.dns_names
    }

    fn read_names(&mut self, info: &CertReqInfo) -> Result<(), CsrError> {
        let malformed = |error: der::Error| CsrError::Malformed(error.to_string());
        let mut requests = info.attributes.iter().filter(|attribute| attribute.oid == ID_EXTENSION_REQ);
        let Some(request) = requests.next() else { return Ok(()) };
        if requests.next().is_some() || request.values.len() != 1 {
            return Err(CsrError::Malformed("more than one extension request".into()));
        }
        let Some(value) = request.values.get(0) else { return Ok(()) };
        let extensions = Extensions::from_der(&value.to_der().map_err(malformed)?).map_err(malformed)?;
        let mut names = extensions.iter().filter(|extension| extension.extn_id == SubjectAltName::OID);
        let Some(extension) = names.next() else { return Ok(()) };
        if names.next().is_some() {
            return Err(CsrError::Malformed("more than one subject alternative name extension".into()));
        }
        let names = SubjectAltName::from_der(extension.extn_value.as_bytes()).map_err(malformed)?;
        for name in names.0 {
            match name {
                GeneralName::UniformResourceIdentifier(uri) => self.uris.push(uri.as_str().to_owned()),
                GeneralName::DnsName(name) => self.dns_names.push(name.as_str().to_owned()),
                GeneralName::IpAddress(_) => return Err(CsrError::NameKind("an IP address")),
                GeneralName::Rfc822Name(_) => return Err(CsrError::NameKind("a mail address")),
                _ => return Err(CsrError::NameKind("a name of another kind")),
            }
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
enum Curve {
    P256,
    P384,
}

fn curve(info: &CertReqInfo) -> Result<Curve, CsrError> {
    let algorithm = &info.public_key.algorithm;
    if algorithm.oid != ID_EC_PUBLIC_KEY {
        return Err(CsrError::KeyType(format!("of type {}", describe(algorithm.oid))));
    }
    let named = algorithm.parameters.as_ref().and_then(|any| any.decode_as::<ObjectIdentifier>().ok());
    match named {
        Some(SECP_256_R_1) => Ok(Curve::P256),
        Some(SECP_384_R_1) => Ok(Curve::P384),
        Some(other) => Err(CsrError::KeyType(format!("an EC key on {}", describe(other)))),
        None => Err(CsrError::KeyType("an EC key without a named curve".into())),
    }
}

/// A point has three encodings (SEC 1, 2.3.3). One is taken, else a key that is refused by the hash of its SPKI (a
/// CA's, a revoked one, another identity's) would come back in another form.
fn one_form(info: &CertReqInfo) -> Result<(), CsrError> {
    match info.public_key.subject_public_key.as_bytes() {
        Some([UNCOMPRESSED, ..]) => Ok(()),
        _ => Err(CsrError::KeyType("an EC key whose point is not in the uncompressed form".into())),
    }
}

fn verifier(
    curve: Curve,
    signed_with: ObjectIdentifier,
) -> Result<&'static dyn VerificationAlgorithm, CsrError> {
    Ok(match (curve, signed_with) {
        (Curve::P384, ECDSA_WITH_SHA_384) => &ECDSA_P384_SHA384_ASN1,
        (Curve::P384, ECDSA_WITH_SHA_256) => &ECDSA_P384_SHA256_ASN1,
        (Curve::P384, ECDSA_WITH_SHA_512) => &ECDSA_P384_SHA512_ASN1,
        (Curve::P256, ECDSA_WITH_SHA_256) => &ECDSA_P256_SHA256_ASN1,
        (Curve::P256, ECDSA_WITH_SHA_384) => &ECDSA_P256_SHA384_ASN1,
        (Curve::P256, ECDSA_WITH_SHA_512) => &ECDSA_P256_SHA512_ASN1,
        (_, other) => return Err(CsrError::SignatureAlgorithm(describe(other))),
    })
}

/// A name people know, with the OID.
fn describe(oid: ObjectIdentifier) -> String {
    match const_oid::db::DB.by_oid(&oid) {
        Some(name) => format!("{name} ({oid})"),
        None => oid.to_string(),
    }
}
