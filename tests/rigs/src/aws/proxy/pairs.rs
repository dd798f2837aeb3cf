//! Key pairs of the proxy's own, for what LocalStack cannot sign with or not fast enough.

use aws_lc_rs::{
    digest::{Digest, SHA256, SHA384},
    encoding::{AsDer, PublicKeyX509Der},
    error::Unspecified,
    rand,
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
        KeyPair as _,
    },
};
use ml_dsa::{
    MlDsa65, MlDsa87, MlDsaParams, SigningKey, pkcs8::EncodePublicKey as _, signature::Keypair as _,
};
use std::fmt;

/// A key pair.
pub(super) enum Pair {
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    // Large: matrices and vectors.
    MlDsa65(Box<SigningKey<MlDsa65>>),
    MlDsa87(Box<SigningKey<MlDsa87>>),
}

impl Pair {
    /// A new one; `None`: the proxy has none of that kind.
    pub(super) fn new(key_spec: &str) -> Option<Self> {
        Some(match key_spec {
            "ECC_NIST_P256" => Self::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).ok()?),
            "ECC_NIST_P384" => Self::P384(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).ok()?),
            "ECC_NIST_EDWARDS25519" => Self::Ed25519(Ed25519KeyPair::generate().ok()?),
            "ML_DSA_65" => Self::MlDsa65(Box::new(SigningKey::from_seed(&seed()?.into()))),
            "ML_DSA_87" => Self::MlDsa87(Box::new(SigningKey::from_seed(&seed()?.into()))),
            _ => return None,
        })
    }

    pub(super) fn key_spec(&self) -> &'static str {
        match self {
            Self::P256(_) => "ECC_NIST_P256",
            Self::P384(_) => "ECC_NIST_P384",
            Self::Ed25519(_) => "ECC_NIST_EDWARDS25519",
            Self::MlDsa65(_) => "ML_DSA_65",
            Self::MlDsa87(_) => "ML_DSA_87",
        }
    }

    /// SubjectPublicKeyInfo (DER).
    pub(super) fn spki(&self) -> Option<Vec<u8>> {
        let der = |der: Result<PublicKeyX509Der<'_>, Unspecified>| Some(der.ok()?.as_ref().to_vec());
        match self {
            Self::P256(pair) | Self::P384(pair) => der(pair.public_key().as_der()),
            Self::Ed25519(pair) => der(pair.public_key().as_der()),
            Self::MlDsa65(pair) => Some(pair.verifying_key().to_public_key_der().ok()?.into_vec()),
            Self::MlDsa87(pair) => Some(pair.verifying_key().to_public_key_der().ok()?.into_vec()),
        }
    }

    /// Signs what is in a request that passed the checks: a digest, a message or µ.
    pub(super) fn sign(&self, message: &[u8], message_type: &str) -> Option<Vec<u8>> {
        let ecdsa =
            |pair: &EcdsaKeyPair, digest: Digest| Some(pair.sign_digest(&digest).ok()?.as_ref().to_vec());
        Some(match self {
            Self::P256(pair) => ecdsa(pair, Digest::import_less_safe(message, &SHA256).ok()?)?,
            Self::P384(pair) => ecdsa(pair, Digest::import_less_safe(message, &SHA384).ok()?)?,
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Self::MlDsa65(pair) => ml_dsa(pair, message, message_type)?,
            Self::MlDsa87(pair) => ml_dsa(pair, message, message_type)?,
        })
    }
}

fn ml_dsa<P: MlDsaParams>(pair: &SigningKey<P>, message: &[u8], message_type: &str) -> Option<Vec<u8>> {
    let key = pair.expanded_key();
    let signature = match message_type {
        "EXTERNAL_MU" => key.sign_mu_deterministic(message.try_into().ok()?),
        _ => key.sign_deterministic(message, &[]).ok()?,
    };
    Some(signature.encode().to_vec())
}

fn seed() -> Option<[u8; 32]> {
    let mut seed = [0; 32];
    rand::fill(&mut seed).ok()?;
    Some(seed)
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key_spec())
    }
}
