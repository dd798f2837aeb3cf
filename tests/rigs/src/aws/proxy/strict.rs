//! What AWS refuses and LocalStack lets pass.

use super::{
    answer::Answer,
    request::{Request, Scope},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

/// The longest message of MessageType RAW in octets.
const RAW_MOST: usize = 4096;
/// The length of µ in octets.
const MU: usize = 64;

/// A request that is signed for KMS and names one of its operations.
pub(super) fn addressed(request: &Request) -> Result<&Scope, Answer> {
    let scope = request.scope.as_ref().ok_or_else(|| {
        Answer::error("MissingAuthenticationTokenException", "Missing Authentication Token")
    })?;
    if scope.service != "kms" {
        return Err(Answer::error(
            "InvalidSignatureException",
            "Credential should be scoped to correct service: 'kms'.",
        ));
    }
    if request.operation.is_empty() || request.body.is_null() {
        return Err(Answer::error("UnknownOperationException", ""));
    }
    Ok(scope)
}

/// An ARN names its Region, and another's endpoint does not know it.
pub(super) fn region(request: &Request) -> Result<(), Answer> {
    let region = request.named().and_then(|named| named.strip_prefix("arn:")?.split(':').nth(2));
    match region {
        Some(region) if region != request.region() => {
            Err(Answer::error("NotFoundException", format!("Invalid arn {}", request.region())))
        }
        _ => Ok(()),
    }
}

/// A key policy is a policy document.
pub(super) fn key_policy(request: &Request) -> Result<(), Answer> {
    let read =
        |policy: &str| serde_json::from_str::<Value>(policy).ok().filter(|read| read["Statement"].is_array());
    match request.text("Policy") {
        Some(policy) if read(policy).is_none() => Err(Answer::error("MalformedPolicyDocumentException", "")),
        _ => Ok(()),
    }
}

/// The algorithm goes with the key, and the message with both. Gives the message.
pub(super) fn signing(request: &Request, key_spec: &str) -> Result<Vec<u8>, Answer> {
    let algorithm = request.text("SigningAlgorithm").unwrap_or_default();
    if !algorithms(key_spec).contains(&algorithm) {
        return Err(Answer::invalid(format!(
            "Algorithm {algorithm} is incompatible with key spec {key_spec}."
        )));
    }
    let message = request.text("Message").and_then(|message| STANDARD.decode(message).ok());
    let message = message.filter(|message| !message.is_empty());
    let message =
        message.ok_or_else(|| Answer::invalid("1 validation error detected: Value at 'message'"))?;
    let wrong = |wanted: &str| Err(Answer::invalid(format!("{wanted}; it has {} octets", message.len())));
    let prehashed = algorithm == "ED25519_PH_SHA_512";
    match request.text("MessageType").unwrap_or("RAW") {
        "RAW" if message.len() > RAW_MOST => wrong("a RAW message has at most 4096 octets"),
        "RAW" if !prehashed => Ok(message),
        "DIGEST" => match digest(algorithm) {
            Some(length) if length == message.len() => Ok(message),
            Some(length) => wrong(&format!("Digest is invalid length for algorithm {algorithm}: {length}")),
            None => Err(Answer::invalid(format!("{algorithm} takes no DIGEST"))),
        },
        "EXTERNAL_MU" if algorithm == "ML_DSA_SHAKE_256" && message.len() == MU => Ok(message),
        "EXTERNAL_MU" if algorithm == "ML_DSA_SHAKE_256" => wrong("EXTERNAL_MU has 64 octets"),
        other => Err(Answer::invalid(format!("{algorithm} takes no MessageType {other}"))),
    }
}

/// How long a digest is in octets.
fn digest(algorithm: &str) -> Option<usize> {
    match algorithm {
        "ED25519_SHA_512" => None,
        _ if algorithm.ends_with("SHA_256") => Some(32),
        _ if algorithm.ends_with("SHA_384") => Some(48),
        _ if algorithm.ends_with("SHA_512") => Some(64),
        _ => None,
    }
}

/// What a key signs with.
pub(super) fn algorithms(key_spec: &str) -> &'static [&'static str] {
    match key_spec {
        "ECC_NIST_P256" | "ECC_SECG_P256K1" => &["ECDSA_SHA_256"],
        "ECC_NIST_P384" => &["ECDSA_SHA_384"],
        "ECC_NIST_P521" => &["ECDSA_SHA_512"],
        "RSA_2048" | "RSA_3072" | "RSA_4096" => &[
            "RSASSA_PKCS1_V1_5_SHA_256",
            "RSASSA_PKCS1_V1_5_SHA_384",
            "RSASSA_PKCS1_V1_5_SHA_512",
            "RSASSA_PSS_SHA_256",
            "RSASSA_PSS_SHA_384",
            "RSASSA_PSS_SHA_512",
        ],
        "ECC_NIST_EDWARDS25519" => &["ED25519_SHA_512", "ED25519_PH_SHA_512"],
        "ML_DSA_65" | "ML_DSA_87" => &["ML_DSA_SHAKE_256"],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::HeaderMap;
    use serde_json::json;

    fn code(key_spec: &str, algorithm: &str, message_type: &str, length: usize) -> String {
        let body = json!({
            "Message": STANDARD.encode(vec![0; length]),
            "MessageType": message_type,
            "SigningAlgorithm": algorithm,
        });
        let request = Request { operation: "Sign".to_owned(), scope: None, headers: HeaderMap::new(), body };
        match signing(&request, key_spec) {
            Ok(message) => message.len().to_string(),
            Err(answer) => answer.body["__type"].as_str().unwrap().to_owned(),
        }
    }

    #[test]
    fn a_message_has_the_length_that_its_type_and_algorithm_want() {
        let invalid = "ValidationException";
        for (key_spec, algorithm, message_type, length, wanted) in [
            ("ECC_NIST_P384", "ECDSA_SHA_384", "DIGEST", 48, "48"),
            ("ECC_NIST_P384", "ECDSA_SHA_384", "DIGEST", 32, invalid),
            ("ECC_NIST_P384", "ECDSA_SHA_256", "DIGEST", 32, invalid),
            ("ECC_NIST_P384", "ECDSA_SHA_384", "RAW", 4096, "4096"),
            ("ECC_NIST_P384", "ECDSA_SHA_384", "RAW", 4097, invalid),
            ("ECC_NIST_P384", "ECDSA_SHA_384", "EXTERNAL_MU", 64, invalid),
            ("RSA_3072", "RSASSA_PSS_SHA_256", "DIGEST", 32, "32"),
            ("RSA_3072", "RSASSA_PSS_SHA_256", "RAW", 0, invalid),
            ("ECC_NIST_EDWARDS25519", "ED25519_SHA_512", "DIGEST", 64, invalid),
            ("ECC_NIST_EDWARDS25519", "ED25519_SHA_512", "RAW", 4096, "4096"),
            ("ML_DSA_65", "ML_DSA_SHAKE_256", "EXTERNAL_MU", 64, "64"),
            ("ML_DSA_65", "ML_DSA_SHAKE_256", "EXTERNAL_MU", 63, invalid),
            ("ML_DSA_65", "ML_DSA_SHAKE_256", "DIGEST", 64, invalid),
        ] {
            assert_eq!(
                code(key_spec, algorithm, message_type, length),
                wanted,
                "{algorithm} {message_type} {length}"
            );
        }
    }
}
