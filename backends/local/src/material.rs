//! Private keys in memory: making, reading and using them. aws-lc zeroizes them when they are freed.

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der},
    error::{KeyRejected, Unspecified},
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
        Ed25519KeyPair, KeyPair, ML_DSA_65_SIGNING, PqdsaKeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
    },
};
use catalyst_signing::{Capability, SignatureAlgorithm};
use std::fmt;
use zeroize::Zeroizing;

/// What local keys can be.
pub(crate) const CAPABILITIES: &[Capability] = &[
    capability(SignatureAlgorithm::EcP384),
    capability(SignatureAlgorithm::EcP256),
    capability(SignatureAlgorithm::Ed25519),
    capability(SignatureAlgorithm::Rsa3072),
    capability(SignatureAlgorithm::MlDsa65),
];

const fn capability(algorithm: SignatureAlgorithm) -> Capability {
    Capability { algorithm, max_message: None, creates: true }
}

/// A private key, ready to sign. Its Debug prints nothing of it.
pub(crate) enum Material {
    Ec(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
    MlDsa(PqdsaKeyPair),
}

impl Material {
    /// A new key as PKCS#8 (DER); `None`: not an algorithm of [`CAPABILITIES`].
    pub(crate) fn generate(algorithm: SignatureAlgorithm) -> Option<Result<Zeroizing<Vec<u8>>, Unspecified>> {
        let owned = |der: &[u8]| Zeroizing::new(der.to_vec());
        Some(match algorithm {
            SignatureAlgorithm::EcP384 | SignatureAlgorithm::EcP256 => {
                let keys = EcdsaKeyPair::generate(curve(algorithm)?);
                keys.and_then(|k| k.to_pkcs8v1()).map(|d| owned(d.as_ref()))
            }
            // Version 1, without the public key: `openssl pkey` 3.0 reads no version 2.
            SignatureAlgorithm::Ed25519 => {
                Ed25519KeyPair::generate().and_then(|k| k.to_pkcs8v1()).map(|d| owned(d.as_ref()))
            }
            SignatureAlgorithm::Rsa3072 => RsaKeyPair::generate(KeySize::Rsa3072)
                .and_then(|k| AsDer::<Pkcs8V1Der>::as_der(&k).map(|d| owned(d.as_ref()))),
            SignatureAlgorithm::MlDsa65 => PqdsaKeyPair::generate(&ML_DSA_65_SIGNING)
                .and_then(|k| k.to_pkcs8v1())
                .map(|d| owned(d.as_ref())),
            _ => return None,
        })
    }

    /// Reads PKCS#8 (DER) as a key of this algorithm; an RSA key's size is for the verifier to judge.
    pub(crate) fn read(algorithm: SignatureAlgorithm, pkcs8: &[u8]) -> Result<Self, KeyRejected> {
        match (curve(algorithm), algorithm) {
            (Some(curve), _) => EcdsaKeyPair::from_pkcs8(curve, pkcs8).map(Self::Ec),
            (None, SignatureAlgorithm::Ed25519) => Ed25519KeyPair::from_pkcs8(pkcs8).map(Self::Ed25519),
            (None, SignatureAlgorithm::MlDsa65) => {
                PqdsaKeyPair::from_pkcs8(&ML_DSA_65_SIGNING, pkcs8).map(Self::MlDsa)
            }
            (None, _) => RsaKeyPair::from_pkcs8(pkcs8).map(Self::Rsa),
        }
    }

    /// SubjectPublicKeyInfo, DER.
    pub(crate) fn spki(&self) -> Result<Vec<u8>, Unspecified> {
        let der: PublicKeyX509Der<'_> = match self {
            Self::Ec(key) => key.public_key().as_der()?,
            Self::Ed25519(key) => key.public_key().as_der()?,
            Self::Rsa(key) => key.public_key().as_der()?,
            Self::MlDsa(key) => key.public_key().as_der()?,
        };
        Ok(der.as_ref().to_vec())
    }

    /// Whether signing takes so long that it belongs off the async threads (RSA, ML-DSA).
    pub(crate) fn is_slow(&self) -> bool {
        matches!(self, Self::Rsa(_) | Self::MlDsa(_))
    }

    /// The X.509 signature value over the message.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Unspecified> {
        match self {
            Self::Ec(key) => key.sign(&SystemRandom::new(), message).map(|s| s.as_ref().to_vec()),
            Self::Ed25519(key) => key.try_sign(message).map(|s| s.as_ref().to_vec()),
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)?;
                Ok(signature)
            }
            Self::MlDsa(key) => {
                let mut signature = vec![0; key.algorithm().signature_len()];
                let length = key.sign(message, &mut signature)?;
                signature.truncate(length);
                Ok(signature)
            }
        }
    }
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("private key")
    }
}

fn curve(algorithm: SignatureAlgorithm) -> Option<&'static EcdsaSigningAlgorithm> {
    match algorithm {
        SignatureAlgorithm::EcP384 => Some(&ECDSA_P384_SHA384_ASN1_SIGNING),
        SignatureAlgorithm::EcP256 => Some(&ECDSA_P256_SHA256_ASN1_SIGNING),
        _ => None,
    }
}
