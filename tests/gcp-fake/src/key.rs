//! Key pairs, and what each algorithm signs.

use aws_lc_rs::{
    digest::{self, Digest},
    encoding::AsDer as _,
    error::Unspecified,
    rand::{SecureRandom as _, SystemRandom},
    rsa::{self, KeySize},
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
        KeyPair as _, ML_DSA_65_SIGNING, ML_DSA_87_SIGNING, PqdsaKeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512,
        RSA_PSS_SHA256, RSA_PSS_SHA512, RsaEncoding,
    },
};
use catalyst_rigs::gcp::api::Algorithm;
use ml_dsa::{ExpandedSigningKey, MlDsa65, MlDsa87, SigningKey};

/// What an algorithm signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// A digest; or data, which the service hashes.
    Digest(&'static digest::Algorithm),
    /// Data alone.
    Data,
    /// A µ (FIPS 204, algorithm 7, line 6) alone.
    Mu,
}

/// What is signed.
#[derive(Clone)]
pub(crate) enum Message {
    Digest(Digest),
    Data(Vec<u8>),
    Mu([u8; 64]),
}

/// What an algorithm signs, `None` if it does not sign.
pub(crate) fn takes(algorithm: Algorithm) -> Option<Takes> {
    use Algorithm as A;
    match algorithm {
        A::GoogleSymmetricEncryption => None,
        A::RsaSignPss4096Sha512 | A::RsaSignPkcs14096Sha512 => Some(Takes::Digest(&digest::SHA512)),
        A::EcSignP384Sha384 => Some(Takes::Digest(&digest::SHA384)),
        A::EcSignEd25519 | A::PqSignMlDsa65 | A::PqSignMlDsa87 => Some(Takes::Data),
        A::PqSignMlDsa65ExternalMu | A::PqSignMlDsa87ExternalMu => Some(Takes::Mu),
        A::RsaSignPss2048Sha256
        | A::RsaSignPss3072Sha256
        | A::RsaSignPss4096Sha256
        | A::RsaSignPkcs12048Sha256
        | A::RsaSignPkcs13072Sha256
        | A::RsaSignPkcs14096Sha256
        | A::EcSignP256Sha256 => Some(Takes::Digest(&digest::SHA256)),
    }
}

/// A public key as it is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PublicKey {
    /// SubjectPublicKeyInfo (DER).
    Spki(Vec<u8>),
    /// The octets of FIPS 204.
    NistPqc(Vec<u8>),
}

/// A key pair, in the form in which it signs.
pub(crate) enum Key {
    Ec(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(rsa::KeyPair, &'static dyn RsaEncoding),
    MlDsa(PqdsaKeyPair),
    MlDsa65Mu(Box<ExpandedSigningKey<MlDsa65>>),
    MlDsa87Mu(Box<ExpandedSigningKey<MlDsa87>>),
}

impl Key {
    /// A new one.
    pub(crate) fn generate(algorithm: Algorithm) -> Result<Self, Unspecified> {
        use Algorithm as A;
        let rsa = |size, encoding| Ok(Self::Rsa(rsa::KeyPair::generate(size)?, encoding));
        match algorithm {
            A::GoogleSymmetricEncryption => Err(Unspecified),
            A::RsaSignPss2048Sha256 => rsa(KeySize::Rsa2048, &RSA_PSS_SHA256),
            A::RsaSignPss3072Sha256 => rsa(KeySize::Rsa3072, &RSA_PSS_SHA256),
            A::RsaSignPss4096Sha256 => rsa(KeySize::Rsa4096, &RSA_PSS_SHA256),
            A::RsaSignPss4096Sha512 => rsa(KeySize::Rsa4096, &RSA_PSS_SHA512),
            A::RsaSignPkcs12048Sha256 => rsa(KeySize::Rsa2048, &RSA_PKCS1_SHA256),
            A::RsaSignPkcs13072Sha256 => rsa(KeySize::Rsa3072, &RSA_PKCS1_SHA256),
            A::RsaSignPkcs14096Sha256 => rsa(KeySize::Rsa4096, &RSA_PKCS1_SHA256),
            A::RsaSignPkcs14096Sha512 => rsa(KeySize::Rsa4096, &RSA_PKCS1_SHA512),
            A::EcSignP256Sha256 => Ok(Self::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)?)),
            A::EcSignP384Sha384 => Ok(Self::Ec(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING)?)),
            A::EcSignEd25519 => Ok(Self::Ed25519(Ed25519KeyPair::generate()?)),
            A::PqSignMlDsa65 => Ok(Self::MlDsa(PqdsaKeyPair::generate(&ML_DSA_65_SIGNING)?)),
            A::PqSignMlDsa87 => Ok(Self::MlDsa(PqdsaKeyPair::generate(&ML_DSA_87_SIGNING)?)),
            A::PqSignMlDsa65ExternalMu => {
                Ok(Self::MlDsa65Mu(Box::new(SigningKey::from_seed(&seed()?).expanded_key().clone())))
            }
            A::PqSignMlDsa87ExternalMu => {
                Ok(Self::MlDsa87Mu(Box::new(SigningKey::from_seed(&seed()?).expanded_key().clone())))
            }
        }
    }

    /// The signature; an error if this is nothing that the key signs.
    pub(crate) fn sign(&self, message: &Message) -> Result<Vec<u8>, Unspecified> {
        match (self, message) {
            (Self::Ec(pair), Message::Digest(digest)) => Ok(pair.sign_digest(digest)?.as_ref().to_vec()),
            (Self::Rsa(pair, encoding), Message::Digest(digest)) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign_digest(*encoding, digest, &mut signature)?;
                Ok(signature)
            }
            (Self::Ed25519(pair), Message::Data(data)) => Ok(pair.sign(data).as_ref().to_vec()),
            (Self::MlDsa(pair), Message::Data(data)) => {
                let mut signature = vec![0; pair.algorithm().signature_len()];
                pair.sign(data, &mut signature)?;
                Ok(signature)
            }
            (Self::MlDsa65Mu(key), Message::Mu(mu)) => {
                Ok(key.sign_mu_deterministic(&(*mu).into()).encode().to_vec())
            }
            (Self::MlDsa87Mu(key), Message::Mu(mu)) => {
                Ok(key.sign_mu_deterministic(&(*mu).into()).encode().to_vec())
            }
            _ => Err(Unspecified),
        }
    }

    /// Its public half.
    pub(crate) fn public(&self) -> Result<PublicKey, Unspecified> {
        Ok(match self {
            Self::Ec(pair) => PublicKey::Spki(pair.public_key().as_der()?.as_ref().to_vec()),
            Self::Ed25519(pair) => PublicKey::Spki(pair.public_key().as_der()?.as_ref().to_vec()),
            Self::Rsa(pair, _) => PublicKey::Spki(pair.public_key().as_der()?.as_ref().to_vec()),
            Self::MlDsa(pair) => PublicKey::NistPqc(pair.public_key().as_ref().to_vec()),
            Self::MlDsa65Mu(key) => PublicKey::NistPqc(key.verifying_key().encode().to_vec()),
            Self::MlDsa87Mu(key) => PublicKey::NistPqc(key.verifying_key().encode().to_vec()),
        })
    }
}

/// The 32 octets that an ML-DSA key is made from (FIPS 204, algorithm 1).
fn seed() -> Result<ml_dsa::Seed, Unspecified> {
    let mut seed = [0; 32];
    SystemRandom::new().fill(&mut seed)?;
    Ok(seed.into())
}

#[cfg(test)]
mod tests;
