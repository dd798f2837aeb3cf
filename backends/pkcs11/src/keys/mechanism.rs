//! Which mechanism makes an algorithm's signature, what it is given, and what comes back.

use crate::token::TokenFacts;
use aws_lc_rs::digest::{self, SHA256, SHA384};
use catalyst_signing::{Capability, SignError, SignatureAlgorithm as Algorithm, ecdsa};
use cryptoki::{
    mechanism::{
        Mechanism, MechanismType,
        dsa::{HedgeType, SignAdditionalContext},
        eddsa::{EddsaParams, EddsaSignatureScheme},
        rsa::{PkcsMgfType, PkcsPssParams},
    },
    types::Ulong,
};
use std::borrow::Cow;

/// How a token makes the signatures of one algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recipe {
    /// CKM_ECDSA over a digest made here. Tokens sign what they are given, of any length, so its length is not theirs
    /// to check.
    Ecdsa(ecdsa::Curve),
    /// PKCS#1 v1.5 with SHA-256, hashed in the token (CKM_SHA256_RSA_PKCS).
    RsaInside,
    /// PKCS#1 v1.5 over a DigestInfo made here (CKM_RSA_PKCS).
    RsaDigest,
    /// PSS with SHA-256, hashed in the token (CKM_SHA256_RSA_PKCS_PSS).
    PssInside,
    /// PSS over a SHA-256 digest made here (CKM_RSA_PKCS_PSS).
    PssDigest,
    /// Pure EdDSA: the token sees the whole message.
    Eddsa,
    /// Pure ML-DSA with an empty context, hedged if the token can.
    MlDsa,
}

/// DER of DigestInfo up to the digest, for SHA-256 (RFC 8017, 9.2, note 1).
const SHA256_DIGEST_INFO: &[u8] =
    b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20";

impl Recipe {
    /// The best of what the token offers; `None`: it can't sign so.
    pub(crate) fn choose(algorithm: Algorithm, offered: &[MechanismType]) -> Option<Self> {
        Self::all(algorithm)
            .iter()
            .copied()
            .find(|recipe| offered.contains(&recipe.mechanism().mechanism_type()))
    }

    /// The one that makes the same signature of a digest, where the token offers it too.
    pub(crate) fn of_a_digest(self, offered: &[MechanismType]) -> Option<Self> {
        let other = match self {
            Self::RsaInside => Self::RsaDigest,
            Self::PssInside => Self::PssDigest,
            _ => return None,
        };
        offered.contains(&other.mechanism().mechanism_type()).then_some(other)
    }

    /// What serves an algorithm, the preferred one first.
    fn all(algorithm: Algorithm) -> &'static [Self] {
        match algorithm {
            Algorithm::EcP384 => &[Self::Ecdsa(ecdsa::Curve::P384)],
            Algorithm::EcP256 => &[Self::Ecdsa(ecdsa::Curve::P256)],
            Algorithm::Rsa3072 | Algorithm::Rsa4096 => &[Self::RsaInside, Self::RsaDigest],
            Algorithm::Rsa3072Pss | Algorithm::Rsa4096Pss => &[Self::PssInside, Self::PssDigest],
            Algorithm::Ed25519 => &[Self::Eddsa],
            Algorithm::MlDsa65 | Algorithm::MlDsa87 => &[Self::MlDsa],
            _ => &[],
        }
    }

    /// With its parameters.
    pub(crate) fn mechanism(self) -> Mechanism<'static> {
        match self {
            Self::Ecdsa(_) => Mechanism::Ecdsa,
            Self::RsaInside => Mechanism::Sha256RsaPkcs,
            Self::RsaDigest => Mechanism::RsaPkcs,
            Self::PssInside => Mechanism::Sha256RsaPkcsPss(PSS),
            Self::PssDigest => Mechanism::RsaPkcsPss(PSS),
            Self::Eddsa => Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure)),
            Self::MlDsa => Mechanism::MlDsa(SignAdditionalContext::new(HedgeType::Preferred, None)),
        }
    }

    /// What the token is given for a message.
    pub(crate) fn input(self, message: &[u8]) -> Cow<'_, [u8]> {
        let hash = |algorithm| digest::digest(algorithm, message).as_ref().to_vec();
        match self {
            Self::Ecdsa(ecdsa::Curve::P384) => Cow::Owned(hash(&SHA384)),
            Self::Ecdsa(ecdsa::Curve::P256) | Self::PssDigest => Cow::Owned(hash(&SHA256)),
            Self::RsaDigest => Cow::Owned([SHA256_DIGEST_INFO, &hash(&SHA256)].concat()),
            Self::RsaInside | Self::PssInside | Self::Eddsa | Self::MlDsa => Cow::Borrowed(message),
        }
    }

    /// The X.509 signature value of what the token gave.
    ///
    /// # Errors
    /// An integrity error where that is no signature of this form; it does not repeat the octets.
    pub(crate) fn value(self, given: Vec<u8>) -> Result<Vec<u8>, SignError> {
        match self {
            Self::Ecdsa(curve) => ecdsa::der_from_fixed(curve, &given)
                .map_err(|error| SignError::integrity(format!("the token's CKM_ECDSA answer is {error}"))),
            _ => Ok(given),
        }
    }
}

const PSS: PkcsPssParams =
    PkcsPssParams { hash_alg: MechanismType::SHA256, mgf: PkcsMgfType::MGF1_SHA256, s_len: Ulong::new(32) };

/// The longest signature of an algorithm as a token gives it, in octets.
pub(crate) fn longest(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::EcP384 => 2 * ecdsa::Curve::P384.width(),
        Algorithm::EcP256 | Algorithm::Ed25519 => 64,
        Algorithm::Rsa3072 | Algorithm::Rsa3072Pss => 384,
        Algorithm::MlDsa65 => 3309,
        Algorithm::MlDsa87 => 4627,
        _ => 512,
    }
}

/// The mechanism that makes key pairs of an algorithm.
pub(crate) fn pair_maker(algorithm: Algorithm) -> Option<Mechanism<'static>> {
    match algorithm {
        Algorithm::EcP384 | Algorithm::EcP256 => Some(Mechanism::EccKeyPairGen),
        Algorithm::Ed25519 => Some(Mechanism::EccEdwardsKeyPairGen),
        Algorithm::Rsa3072 | Algorithm::Rsa4096 | Algorithm::Rsa3072Pss | Algorithm::Rsa4096Pss => {
            Some(Mechanism::RsaPkcsKeyPairGen)
        }
        Algorithm::MlDsa65 | Algorithm::MlDsa87 => Some(Mechanism::MlDsaKeyPairGen),
        _ => None,
    }
}

/// What a token can do. No length is a limit: what is hashed here is short, and the rest tokens take whole.
pub(crate) fn capabilities(facts: &TokenFacts) -> Vec<Capability> {
    let large_enough = |algorithm, mechanism: MechanismType| {
        let known = facts.rsa_bits.iter().find(|(of, _)| *of == mechanism);
        known.is_none_or(|(_, most)| *most >= modulus_bits(algorithm))
    };
    let serves = |algorithm, mechanism: MechanismType| {
        facts.mechanisms.contains(&mechanism) && large_enough(algorithm, mechanism)
    };
    let capability = |algorithm: &Algorithm| {
        let recipe = Recipe::choose(*algorithm, &facts.mechanisms)?;
        let creates = pair_maker(*algorithm).is_some_and(|maker| serves(*algorithm, maker.mechanism_type()));
        serves(*algorithm, recipe.mechanism().mechanism_type()).then_some(Capability {
            algorithm: *algorithm,
            max_message: None,
            creates,
        })
    };
    Algorithm::ALL.iter().filter_map(capability).collect()
}

/// Of an RSA algorithm; of any other none.
fn modulus_bits(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::Rsa3072 | Algorithm::Rsa3072Pss => 3072,
        Algorithm::Rsa4096 | Algorithm::Rsa4096Pss => 4096,
        _ => 0,
    }
}

/// What this crate can do where the token can: said until a token has answered.
pub(crate) fn everything() -> Vec<Capability> {
    let capability = |algorithm: &Algorithm| {
        Some(Capability {
            algorithm: *algorithm,
            max_message: None,
            creates: pair_maker(*algorithm).is_some(),
        })
    };
    Algorithm::ALL.iter().filter(|a| !Recipe::all(**a).is_empty()).filter_map(capability).collect()
}

/// The mechanisms that would serve an algorithm, for the operator who misses one.
pub(crate) fn wanted(algorithm: Algorithm) -> String {
    let names = Recipe::all(algorithm).iter().map(|r| r.mechanism().mechanism_type().to_string());
    names.collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests;
