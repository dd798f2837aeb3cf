//! Which key and which signing algorithm of KMS stand for an algorithm of ours.

use aws_sdk_kms::types::{KeySpec, SigningAlgorithmSpec};
use catalyst_signing::{Capability, Refusal, SignError, SignatureAlgorithm};

/// The longest message that Sign takes in octets (MessageType RAW).
pub(crate) const RAW_MOST: usize = 4096;

/// In what form a message goes to KMS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As its digest.
    Digest,
    /// As it is, 4096 octets at most.
    Raw,
    /// As it is up to 4096 octets; a longer one as µ (FIPS 204, algorithm 7, line 6).
    RawOrMu,
}

/// How KMS signs with one algorithm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mechanism {
    pub(crate) key_spec: KeySpec,
    pub(crate) algorithm: SigningAlgorithmSpec,
    pub(crate) form: Form,
}

impl Mechanism {
    /// `None`: KMS has no such algorithm.
    pub(crate) fn of(algorithm: SignatureAlgorithm) -> Option<Self> {
        use SignatureAlgorithm as A;
        let (key_spec, algorithm, form) = match algorithm {
            A::EcP384 => (KeySpec::EccNistP384, SigningAlgorithmSpec::EcdsaSha384, Form::Digest),
            A::EcP256 => (KeySpec::EccNistP256, SigningAlgorithmSpec::EcdsaSha256, Form::Digest),
            A::Rsa3072 => (KeySpec::Rsa3072, SigningAlgorithmSpec::RsassaPkcs1V15Sha256, Form::Digest),
            A::Rsa4096 => (KeySpec::Rsa4096, SigningAlgorithmSpec::RsassaPkcs1V15Sha256, Form::Digest),
            A::Rsa3072Pss => (KeySpec::Rsa3072, SigningAlgorithmSpec::RsassaPssSha256, Form::Digest),
            A::Rsa4096Pss => (KeySpec::Rsa4096, SigningAlgorithmSpec::RsassaPssSha256, Form::Digest),
            A::Ed25519 => (KeySpec::EccNistEdwards25519, SigningAlgorithmSpec::Ed25519Sha512, Form::Raw),
            A::MlDsa65 => (KeySpec::MlDsa65, SigningAlgorithmSpec::MlDsaShake256, Form::RawOrMu),
            A::MlDsa87 => (KeySpec::MlDsa87, SigningAlgorithmSpec::MlDsaShake256, Form::RawOrMu),
            _ => return None,
        };
        Some(Self { key_spec, algorithm, form })
    }
}

/// What KMS can do. Whether an endpoint has ML-DSA or Ed25519 shows when a key is made there.
pub(crate) fn capabilities() -> Vec<Capability> {
    let capability = |algorithm: &SignatureAlgorithm| {
        let form = Mechanism::of(*algorithm)?.form;
        let max_message = (form == Form::Raw).then_some(RAW_MOST);
        Some(Capability { algorithm: *algorithm, max_message, creates: true })
    };
    SignatureAlgorithm::ALL.iter().filter_map(capability).collect()
}

/// The refusal of an algorithm that KMS does not have.
pub(crate) fn unsupported(algorithm: SignatureAlgorithm) -> SignError {
    SignError::refused(Refusal::Unsupported, format!("AWS KMS has no {algorithm} keys"))
}
