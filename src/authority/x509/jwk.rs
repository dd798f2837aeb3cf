//! Public keys as JSON Web Keys (RFC 7517, 7518, 8037), for JWKS documents.

use super::EncodingError;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use const_oid::{
    ObjectIdentifier,
    db::{
        fips204::{ID_ML_DSA_65, ID_ML_DSA_87},
        rfc5912::{ID_EC_PUBLIC_KEY, RSA_ENCRYPTION, SECP_256_R_1, SECP_384_R_1},
        rfc8410::ID_ED_25519,
    },
};
use der::{Decode, Sequence, asn1::UintRef};
use serde_json::{Map, Value};
use spki::SubjectPublicKeyInfoRef;

/// RSAPublicKey (RFC 8017, A.1.1).
#[derive(Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    exponent: UintRef<'a>,
}

/// The members `kty` and the key itself; `use`, `kid` and the like are the caller's.
///
/// # Errors
/// A key type that no JWK is defined for, or an SPKI that cannot be read.
pub fn public_jwk(spki: &[u8]) -> Result<Map<String, Value>, EncodingError> {
    let spki = SubjectPublicKeyInfoRef::from_der(spki)?;
    let bits = spki.subject_public_key.raw_bytes();
    let mut jwk = Map::new();
    let mut set = |name: &str, value: &str| {
        jwk.insert(name.to_owned(), Value::from(value));
    };
    let b64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    match spki.algorithm.oid {
        ID_EC_PUBLIC_KEY => {
            let curve = spki.algorithm.parameters.and_then(|any| any.decode_as::<ObjectIdentifier>().ok());
            let (name, width) = match curve {
                Some(SECP_256_R_1) => ("P-256", 32),
                Some(SECP_384_R_1) => ("P-384", 48),
                _ => return Err(EncodingError("no JWK for this curve".into())),
            };
            let [4, point @ ..] = bits else { return Err(EncodingError("a compressed EC point".into())) };
            let Some((x, y)) = point.split_at_checked(width).filter(|(_, y)| y.len() == width) else {
                return Err(EncodingError("an EC point of the wrong length".into()));
            };
            set("kty", "EC");
            set("crv", name);
            set("x", &b64(x));
            set("y", &b64(y));
        }
        RSA_ENCRYPTION => {
            let key = RsaPublicKey::from_der(bits)?;
            set("kty", "RSA");
            set("n", &b64(key.modulus.as_bytes()));
            set("e", &b64(key.exponent.as_bytes()));
        }
        ID_ED_25519 => {
            set("kty", "OKP");
            set("crv", "Ed25519");
            set("x", &b64(bits));
        }
        oid @ (ID_ML_DSA_65 | ID_ML_DSA_87) => {
            set("kty", "AKP");
            set("alg", if oid == ID_ML_DSA_65 { "ML-DSA-65" } else { "ML-DSA-87" });
            set("pub", &b64(bits));
        }
        other => return Err(EncodingError(format!("no JWK for keys of type {other}"))),
    }
    Ok(jwk)
}
