use super::{Key, Message, PublicKey, Takes, takes};
use aws_lc_rs::{
    digest::digest,
    signature::{
        ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519, ML_DSA_65, ML_DSA_87, ParsedPublicKey,
        RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
        RSA_PSS_2048_8192_SHA512, VerificationAlgorithm,
    },
};
use catalyst_rigs::gcp::api::{Algorithm, Enumeration as _};
use ml_dsa::{EncodedVerifyingKey, MlDsa65, MlDsa87, MlDsaParams, VerifyingKey, signature::digest::Update};

fn verified(algorithm: Algorithm) -> &'static dyn VerificationAlgorithm {
    use Algorithm as A;
    match algorithm {
        A::RsaSignPss2048Sha256 | A::RsaSignPss3072Sha256 | A::RsaSignPss4096Sha256 => {
            &RSA_PSS_2048_8192_SHA256
        }
        A::RsaSignPkcs12048Sha256 | A::RsaSignPkcs13072Sha256 | A::RsaSignPkcs14096Sha256 => {
            &RSA_PKCS1_2048_8192_SHA256
        }
        A::RsaSignPss4096Sha512 => &RSA_PSS_2048_8192_SHA512,
        A::RsaSignPkcs14096Sha512 => &RSA_PKCS1_2048_8192_SHA512,
        A::EcSignP256Sha256 => &ECDSA_P256_SHA256_ASN1,
        A::EcSignP384Sha384 => &ECDSA_P384_SHA384_ASN1,
        A::EcSignEd25519 => &ED25519,
        A::PqSignMlDsa65 | A::PqSignMlDsa65ExternalMu => &ML_DSA_65,
        A::PqSignMlDsa87 | A::PqSignMlDsa87ExternalMu => &ML_DSA_87,
        A::GoogleSymmetricEncryption => panic!("it does not sign"),
    }
}

/// µ of the message under this key, without a context.
fn mu<P: MlDsaParams>(key: &[u8], message: &[u8]) -> [u8; 64] {
    let key = VerifyingKey::<P>::decode(&EncodedVerifyingKey::<P>::try_from(key).unwrap());
    let absorb = |shake: &mut _| {
        Update::update(shake, message);
        Ok(())
    };
    key.compute_mu(absorb, &[]).unwrap().into()
}

#[test]
fn signatures_of_all_algorithms_verify() {
    for algorithm in Algorithm::ALL.iter().copied().filter(|algorithm| takes(*algorithm).is_some()) {
        let key = Key::generate(algorithm).unwrap();
        let (PublicKey::Spki(public) | PublicKey::NistPqc(public)) = key.public().unwrap();
        let message = match (takes(algorithm), algorithm) {
            (Some(Takes::Digest(digested)), _) => Message::Digest(digest(digested, b"message")),
            (Some(Takes::Data), _) => Message::Data(b"message".to_vec()),
            (_, Algorithm::PqSignMlDsa65ExternalMu) => Message::Mu(mu::<MlDsa65>(&public, b"message")),
            _ => Message::Mu(mu::<MlDsa87>(&public, b"message")),
        };
        let signature = key.sign(&message).unwrap();
        let public = ParsedPublicKey::new(verified(algorithm), &public).unwrap();
        assert!(public.verify_sig(b"message", &signature).is_ok(), "{}", algorithm.name());
    }
}

#[test]
fn a_key_signs_nothing_that_is_not_its_algorithms() {
    let key = Key::generate(Algorithm::EcSignEd25519).unwrap();
    assert!(key.sign(&Message::Mu([0; 64])).is_err());
}
