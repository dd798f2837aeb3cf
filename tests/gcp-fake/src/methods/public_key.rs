//! GetPublicKey.

use crate::{
    checksum::checksum,
    fields::enumeration,
    http::Request,
    key::{Key, PublicKey},
    names::VersionName,
    refused::Refused,
    rules::Fate,
    service::Service,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use catalyst_rigs::gcp::api::{Code, Enumeration as _, PublicKeyFormat};
use serde_json::{Value, json};

pub(super) fn get(
    service: &Service,
    name: &VersionName,
    request: &Request,
    fate: &Fate,
) -> Result<Value, Refused> {
    let used = super::sign::usable(service, name)?;
    let format = enumeration("public_key_format", request.parameter("publicKeyFormat").unwrap_or_default())?;
    let public =
        used.with_key(fate, Key::public)?.map_err(|_| Refused::new(Code::Internal, "no public key"))?;
    let mut message = encoded(&public, format)?;
    message["name"] = json!(name.to_string());
    message["algorithm"] = json!(used.template.algorithm.name());
    message["protectionLevel"] = json!(used.template.protection_level.name());
    Ok(message)
}

/// Where no format is asked for, a PEM; otherwise octets in that format. Those of a post-quantum key have one.
fn encoded(public: &PublicKey, format: Option<PublicKeyFormat>) -> Result<Value, Refused> {
    match (public, format) {
        (PublicKey::Spki(spki), None) => {
            let pem = pem(spki);
            Ok(json!({"pem": pem, "pemCrc32c": checksum(pem.as_bytes())}))
        }
        (PublicKey::Spki(spki), Some(PublicKeyFormat::Pem)) => {
            Ok(octets(pem(spki).as_bytes(), PublicKeyFormat::Pem))
        }
        (PublicKey::Spki(spki), Some(PublicKeyFormat::Der)) => Ok(octets(spki, PublicKeyFormat::Der)),
        (PublicKey::NistPqc(raw), Some(PublicKeyFormat::NistPqc)) => {
            Ok(octets(raw, PublicKeyFormat::NistPqc))
        }
        (PublicKey::NistPqc(_), None) => {
            Err(Refused::invalid("public_key_format is required for post-quantum algorithms: NIST_PQC."))
        }
        (_, Some(format)) => {
            let format = format.name();
            Err(Refused::invalid(&format!(
                "public_key_format {format} is not valid for the key's algorithm."
            )))
        }
    }
}

fn octets(octets: &[u8], format: PublicKeyFormat) -> Value {
    json!({
        "publicKeyFormat": format.name(),
        "publicKey": {"data": BASE64_STANDARD.encode(octets), "crc32cChecksum": checksum(octets)},
    })
}

/// RFC 7468, section 13.
fn pem(spki: &[u8]) -> String {
    let base64 = BASE64_STANDARD.encode(spki);
    let mut pem = String::from("-----BEGIN PUBLIC KEY-----\n");
    for (index, letter) in base64.chars().enumerate() {
        if index > 0 && index % 64 == 0 {
            pem.push('\n');
        }
        pem.push(letter);
    }
    pem + "\n-----END PUBLIC KEY-----\n"
}
