//! PKCS#12 (RFC 7292): the private keys and certificates in a file that a password protects.

use super::{Found, ImportError, mac, scheme, unlock};
use der::{
    Decode as _, Sequence,
    asn1::{AnyRef, ObjectIdentifier, OctetStringRef},
};
use pkcs8::AlgorithmIdentifierRef;
use secrecy::SecretString;
use zeroize::Zeroizing;

const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const ENCRYPTED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.6");
const KEY_BAG: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.10.1.1");
const SHROUDED_KEY_BAG: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.10.1.2");
const CERTIFICATE_BAG: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.10.1.3");
const SAFE_CONTENTS_BAG: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.10.1.6");
const X509_CERTIFICATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.22.1");

/// PFX (RFC 7292, 4).
#[derive(Sequence)]
struct Pfx<'a> {
    version: u8,
    auth_safe: ContentInfo<'a>,
    mac_data: Option<mac::MacData<'a>>,
}

/// ContentInfo (RFC 5652, 3).
#[derive(Sequence)]
struct ContentInfo<'a> {
    content_type: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    content: AnyRef<'a>,
}

/// EncryptedData (RFC 5652, 8), without attributes.
#[derive(Sequence)]
struct EncryptedData<'a> {
    version: u8,
    content: EncryptedContent<'a>,
}

/// EncryptedContentInfo (RFC 5652, 6.1).
#[derive(Sequence)]
struct EncryptedContent<'a> {
    content_type: ObjectIdentifier,
    algorithm: AlgorithmIdentifierRef<'a>,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT")]
    encrypted: &'a OctetStringRef,
}

/// SafeBag (RFC 7292, 4.2). Names and key identifiers are of no use here.
#[derive(Sequence)]
struct SafeBag<'a> {
    id: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    value: AnyRef<'a>,
    attributes: Option<AnyRef<'a>>,
}

/// CertBag (RFC 7292, 4.2.3).
#[derive(Sequence)]
struct CertificateBag<'a> {
    id: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    value: AnyRef<'a>,
}

pub(super) fn read(content: &[u8], password: Option<&SecretString>) -> Result<Found, ImportError> {
    let pfx = Pfx::from_der(content).map_err(|_| ImportError::Unreadable)?;
    // Public-key integrity: signedData (RFC 7292, 4.1).
    if pfx.auth_safe.content_type != DATA {
        return Err(ImportError::UnknownForm);
    }
    let authenticated = octets(&pfx.auth_safe.content)?;
    let safes = Vec::<ContentInfo<'_>>::from_der(authenticated).map_err(|_| ImportError::Unreadable)?;
    // Before anything is decrypted: what is outdated is told without a password.
    safes.iter().try_for_each(check_scheme)?;
    if let Some(mac) = &pfx.mac_data {
        mac.check(authenticated, password)?;
    }
    let mut found = Found::default();
    for safe in &safes {
        match safe.content_type {
            DATA => read_bags(octets(&safe.content)?, password, &mut found)?,
            ENCRYPTED_DATA => {
                let EncryptedData { content, .. } = encrypted(safe)?;
                let bags = unlock(&scheme(content.algorithm)?, content.encrypted.as_bytes(), password)?;
                read_bags(&bags, password, &mut found)?;
            }
            _ => return Err(ImportError::UnknownForm),
        }
    }
    Ok(found)
}

fn check_scheme(safe: &ContentInfo<'_>) -> Result<(), ImportError> {
    match safe.content_type {
        ENCRYPTED_DATA => scheme(encrypted(safe)?.content.algorithm).map(drop),
        _ => Ok(()),
    }
}

fn encrypted<'a>(safe: &ContentInfo<'a>) -> Result<EncryptedData<'a>, ImportError> {
    safe.content.decode_as().map_err(|_| ImportError::Unreadable)
}

fn octets<'a>(content: &AnyRef<'a>) -> Result<&'a [u8], ImportError> {
    content.decode_as::<&OctetStringRef>().map(OctetStringRef::as_bytes).map_err(|_| ImportError::Unreadable)
}

/// SafeContents (RFC 7292, 4.2).
fn read_bags(der: &[u8], password: Option<&SecretString>, found: &mut Found) -> Result<(), ImportError> {
    for bag in Vec::<SafeBag<'_>>::from_der(der).map_err(|_| ImportError::Unreadable)? {
        let value =
            || der::Encode::to_der(&bag.value).map(Zeroizing::new).map_err(|_| ImportError::Unreadable);
        match bag.id {
            KEY_BAG => found.keys.push(value()?),
            SHROUDED_KEY_BAG => found.keys.push(super::decrypt(&value()?, password)?),
            CERTIFICATE_BAG => {
                let bag: CertificateBag<'_> = bag.value.decode_as().map_err(|_| ImportError::Unreadable)?;
                if bag.id == X509_CERTIFICATE {
                    found.certificates.push(octets(&bag.value)?.to_vec());
                }
            }
            SAFE_CONTENTS_BAG => return Err(ImportError::UnknownForm),
            // CRLs and other secrets.
            _ => {}
        }
    }
    Ok(())
}
