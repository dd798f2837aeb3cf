//! The calls about one version, each one attempt, and what their answers must say to be believed.

use super::{
    CryptoKey, Mechanism, Version,
    message::{Message, checksum},
    pages::{self, Pages},
};
use crate::{
    client::Clients,
    trouble::{Asked, Cause, Trouble},
};
use catalyst_signing::SignatureAlgorithm;
use google_cloud_kms::model::{self, ProtectionLevel, public_key::PublicKeyFormat};
use spki::{
    AlgorithmIdentifierRef, SubjectPublicKeyInfo,
    der::{Decode, Document, Encode, asn1::BitStringRef},
};

pub(super) type Answer<T> = std::result::Result<T, Trouble>;

/// A public key, and where the private one is held.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PublicKey {
    /// SubjectPublicKeyInfo (DER).
    pub(super) spki: Vec<u8>,
    pub(super) level: ProtectionLevel,
}

/// A signature, and where it was made.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Signature {
    pub(super) octets: Vec<u8>,
    pub(super) level: ProtectionLevel,
}

/// A signature of exactly this version over what was sent, as far as Cloud KMS and the checksums say.
pub(super) async fn sign(clients: &Clients, version: &Version, message: Message) -> Answer<Signature> {
    let asked = Asked {
        operation: "AsymmetricSign",
        permission: "cryptoKeyVersions.useToSign",
        about: version.as_str(),
    };
    let is_digest = message.is_digest();
    let answer = clients
        .ask(asked, |client| message.put(client.asymmetric_sign().set_name(version.as_str())).send())
        .await?;
    same(asked, "version", &answer.name, version.as_str())?;
    let verified = if is_digest { answer.verified_digest_crc32c } else { answer.verified_data_crc32c };
    if !verified {
        return Err(asked.false_answer("it did not confirm the checksum of what was to be signed"));
    }
    check(asked, "signature", &answer.signature, answer.signature_crc32c)?;
    if !(1..=SignatureAlgorithm::LONGEST_SIGNATURE).contains(&answer.signature.len()) {
        let said = format!("it gave {} octets as a signature, and none has so many", answer.signature.len());
        return Err(asked.false_answer(&said));
    }
    let level = said(asked, answer.protection_level)?;
    Ok(Signature { octets: answer.signature.to_vec(), level })
}

/// Its public key; `None`: reading it is not permitted.
pub(super) async fn public_key(
    clients: &Clients,
    version: &Version,
    mechanism: &Mechanism,
) -> Answer<Option<PublicKey>> {
    let asked = Asked {
        operation: "GetPublicKey",
        permission: "cryptoKeyVersions.viewPublicKey",
        about: version.as_str(),
    };
    let answer = clients.ask(asked, |client| {
        let request = client.get_public_key().set_name(version.as_str());
        // Post-quantum keys come in this format alone, and others are better known without one.
        let request = match mechanism.is_post_quantum() {
            true => request.set_public_key_format(PublicKeyFormat::NistPqc),
            false => request,
        };
        request.send()
    });
    let answer = match answer.await {
        Err(Trouble { cause: Cause::Denied, .. }) => return Ok(None),
        answer => answer?,
    };
    same(asked, "version", &answer.name, version.as_str())?;
    mechanism.check(&answer.algorithm, version.as_str())?;
    let spki = match answer.public_key {
        Some(raw) if mechanism.is_post_quantum() => {
            check(asked, "public key", &raw.data, raw.crc32c_checksum)?;
            wrapped(mechanism, &raw.data)
        }
        _ => {
            check(asked, "public key", answer.pem.as_bytes(), answer.pem_crc32c)?;
            Document::from_pem(&answer.pem)
                .ok()
                .filter(|(label, _)| *label == "PUBLIC KEY")
                .map(|(_, document)| document.into_vec())
        }
    };
    let spki = spki.ok_or_else(|| asked.false_answer("it gave no public key"))?;
    let level = said(asked, answer.protection_level)?;
    Ok(Some(PublicKey { spki, level }))
}

/// What Cloud KMS says of it; `None`: asking is not permitted.
pub(super) async fn version(clients: &Clients, version: &Version) -> Answer<Option<model::CryptoKeyVersion>> {
    let asked = Asked {
        operation: "GetCryptoKeyVersion",
        permission: "cryptoKeyVersions.get",
        about: version.as_str(),
    };
    let answer =
        clients.ask(asked, |client| client.get_crypto_key_version().set_name(version.as_str()).send()).await;
    let answer = match answer {
        Err(Trouble { cause: Cause::Denied, .. }) => return Ok(None),
        answer => answer?,
    };
    same(asked, "version", &answer.name, version.as_str())?;
    Ok(Some(answer))
}

/// Every version of a key.
pub(super) async fn versions(clients: &Clients, key: &CryptoKey) -> Answer<Vec<model::CryptoKeyVersion>> {
    let asked = Asked {
        operation: "ListCryptoKeyVersions",
        permission: "cryptoKeyVersions.list",
        about: key.as_str(),
    };
    let mut versions = Vec::new();
    let mut pages = Pages::default();
    loop {
        let answer = clients
            .ask(asked, |client| {
                client
                    .list_crypto_key_versions()
                    .set_parent(key.as_str())
                    .set_page_size(pages::SIZE)
                    .set_page_token(pages.token())
                    .send()
            })
            .await?;
        versions.extend(answer.crypto_key_versions);
        if !pages.turn(asked, answer.next_page_token)? {
            return Ok(versions);
        }
    }
}

/// The SubjectPublicKeyInfo of an ML-DSA key (RFC 9881, section 4): the algorithm's identifier is that of its signatures.
fn wrapped(mechanism: &Mechanism, raw: &[u8]) -> Option<Vec<u8>> {
    let identifier = mechanism.signature.identifier_der();
    let algorithm = AlgorithmIdentifierRef::from_der(identifier).ok()?;
    let subject_public_key = BitStringRef::from_bytes(raw).ok()?;
    SubjectPublicKeyInfo { algorithm, subject_public_key }.to_der().ok()
}

/// Zero is a checksum like any other, and one that is missing is none.
fn check(asked: Asked<'_>, what: &str, octets: &[u8], said: Option<i64>) -> Answer<()> {
    if said == Some(checksum(octets)) {
        return Ok(());
    }
    Err(asked.false_answer(&match said {
        Some(_) => format!("the {what} came with another checksum (CRC32C) than its own"),
        None => format!("the {what} came without its checksum (CRC32C)"),
    }))
}

fn said(asked: Asked<'_>, level: ProtectionLevel) -> Answer<ProtectionLevel> {
    match level {
        ProtectionLevel::Unspecified => {
            Err(asked.false_answer("it did not say at which protection level the key is held"))
        }
        level => Ok(level),
    }
}

fn same(asked: Asked<'_>, what: &str, got: &str, wanted: &str) -> Answer<()> {
    if got == wanted {
        return Ok(());
    }
    let got: String = got.chars().filter(|c| !c.is_control()).take(300).collect();
    Err(asked.false_answer(&format!("it answered for the {what} '{got}'")))
}
