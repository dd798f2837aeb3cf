//! Which algorithm of Cloud KMS stands for an algorithm of ours.

use crate::Protection;
use catalyst_signing::{Capability, Refusal, Result, SignError, SignatureAlgorithm};
use google_cloud_kms::model::crypto_key_version::CryptoKeyVersionAlgorithm as Algorithm;

/// The most octets that AsymmetricSign takes as `data`.
pub(crate) const DATA_MOST: usize = 65_536;

/// In what form a message goes to Cloud KMS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As its SHA-256 digest.
    Sha256,
    /// As its SHA-384 digest.
    Sha384,
    /// As it is, 64 KiB at most.
    Data,
    /// As µ (FIPS 204, algorithm 7, line 6).
    Mu,
}

/// How Cloud KMS signs with one algorithm.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Mechanism {
    /// The algorithm of ours.
    pub(crate) signature: SignatureAlgorithm,
    pub(crate) algorithm: Algorithm,
    pub(crate) form: Form,
}

impl Mechanism {
    /// `None`: Cloud KMS has no such algorithm.
    ///
    /// ML-DSA is that of an external µ: the signatures are the same, and a CRL may be longer than 64 KiB.
    pub(crate) fn of(signature: SignatureAlgorithm) -> Option<Self> {
        use SignatureAlgorithm as A;
        let (algorithm, form) = match signature {
            A::EcP384 => (Algorithm::EcSignP384Sha384, Form::Sha384),
            A::EcP256 => (Algorithm::EcSignP256Sha256, Form::Sha256),
            A::Rsa3072 => (Algorithm::RsaSignPkcs13072Sha256, Form::Sha256),
            A::Rsa4096 => (Algorithm::RsaSignPkcs14096Sha256, Form::Sha256),
            A::Rsa3072Pss => (Algorithm::RsaSignPss3072Sha256, Form::Sha256),
            A::Rsa4096Pss => (Algorithm::RsaSignPss4096Sha256, Form::Sha256),
            A::Ed25519 => (Algorithm::EcSignEd25519, Form::Data),
            A::MlDsa65 => (Algorithm::PqSignMlDsa65ExternalMu, Form::Mu),
            A::MlDsa87 => (Algorithm::PqSignMlDsa87ExternalMu, Form::Mu),
            _ => return None,
        };
        Some(Self { signature, algorithm, form })
    }

    /// The one of an algorithm of Google's.
    pub(crate) fn known(algorithm: &Algorithm) -> Option<Self> {
        SignatureAlgorithm::ALL
            .iter()
            .filter_map(|signature| Self::of(*signature))
            .find(|mechanism| mechanism.algorithm == *algorithm)
    }

    /// As Google writes it: `EC_SIGN_P384_SHA384`.
    pub(crate) fn name(&self) -> &str {
        self.algorithm.name().unwrap_or("an algorithm without a name")
    }

    /// Refuses a version (`name`) of another algorithm.
    pub(super) fn check(&self, got: &Algorithm, name: &str) -> Result<()> {
        if *got == self.algorithm {
            return Ok(());
        }
        let (wanted, written) = (self.name(), got.name().unwrap_or("an unknown algorithm"));
        let why = match (self.signature, got) {
            (SignatureAlgorithm::MlDsa65, Algorithm::PqSignMlDsa65)
            | (SignatureAlgorithm::MlDsa87, Algorithm::PqSignMlDsa87) => {
                ": its signatures are the same, but it takes 64 KiB at most, and a CRL may be longer. Choose a version of a \
                 key that was made for the other"
            }
            _ => ": choose a version of a key that was made for it",
        };
        let reason = format!("{name} is a version of {written}, and {wanted} is wanted{why}");
        Err(SignError::refused(Refusal::WrongType, reason))
    }

    /// Whether its public keys come as the octets of FIPS 204, and not as a SubjectPublicKeyInfo.
    pub(crate) fn is_post_quantum(&self) -> bool {
        self.form == Form::Mu
    }
}

/// What Cloud KMS can do at a protection level: it has ML-DSA in software alone.
pub(crate) fn capabilities(protection: Protection) -> Vec<Capability> {
    let capability = |algorithm: &SignatureAlgorithm| {
        let mechanism = Mechanism::of(*algorithm)?;
        let is_there = protection == Protection::Software || !mechanism.is_post_quantum();
        let max_message = (mechanism.form == Form::Data).then_some(DATA_MOST);
        is_there.then_some(Capability { algorithm: *algorithm, max_message, creates: true })
    };
    SignatureAlgorithm::ALL.iter().filter_map(capability).collect()
}

/// The refusal of an algorithm that Cloud KMS does not have.
pub(crate) fn unsupported(algorithm: SignatureAlgorithm) -> SignError {
    SignError::refused(Refusal::Unsupported, format!("Google Cloud KMS has no {algorithm} keys"))
}
