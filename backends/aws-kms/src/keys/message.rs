//! What Sign is given: a digest, the message itself, or µ.

use super::{
    Mechanism,
    mechanism::{Form, RAW_MOST},
};
use aws_lc_rs::digest::{self, SHA256, SHA384};
use aws_sdk_kms::{primitives::Blob, types::MessageType};
use catalyst_signing::{KeyPin, Refusal, Result, SignError};
use sha3::{
    Shake256,
    digest::{ExtendableOutput, Update, XofReader},
};
use spki::{SubjectPublicKeyInfoRef, der::Decode};

/// A message as Sign takes it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Message {
    pub(super) kind: MessageType,
    pub(super) octets: Blob,
}

impl Message {
    /// # Errors
    /// [`Refusal::Unsupported`] where the message is longer than the algorithm takes, or empty where it takes no digest.
    pub(super) fn of(message: &[u8], mechanism: &Mechanism, pin: &KeyPin) -> Result<Self> {
        // Nothing at all is no Message to KMS.
        let fits = (1..=RAW_MOST).contains(&message.len());
        let (kind, octets) = match mechanism.form {
            Form::Sha256 => (MessageType::Digest, digest::digest(&SHA256, message).as_ref().to_vec()),
            Form::Sha384 => (MessageType::Digest, digest::digest(&SHA384, message).as_ref().to_vec()),
            Form::Raw | Form::RawOrMu if fits => (MessageType::Raw, message.to_vec()),
            Form::RawOrMu => (MessageType::ExternalMu, mu(pin, message)?.to_vec()),
            Form::Raw => {
                return Err(SignError::refused(
                    Refusal::Unsupported,
                    format!(
                        "AWS KMS signs 1 to {RAW_MOST} octets with {}, this message has {}",
                        pin.algorithm,
                        message.len()
                    ),
                ));
            }
        };
        Ok(Self { kind, octets: Blob::new(octets) })
    }
}

/// µ of ML-DSA with an empty context (FIPS 204, algorithms 2 and 7): SHAKE256(SHAKE256(pk, 64) ‖ 0 ‖ 0 ‖ M, 64).
fn mu(pin: &KeyPin, message: &[u8]) -> Result<[u8; 64]> {
    let raw = SubjectPublicKeyInfoRef::from_der(&pin.spki)
        .ok()
        .and_then(|spki| spki.subject_public_key.as_bytes())
        .ok_or_else(|| SignError::integrity(format!("the public key pinned for {} is no key", pin.uri)))?;
    Ok(shake(&[&shake(&[raw]), &[0, 0], message]))
}

fn shake(parts: &[&[u8]]) -> [u8; 64] {
    let mut hash = Shake256::default();
    for part in parts {
        hash.update(part);
    }
    let mut output = [0; 64];
    hash.finalize_xof().read(&mut output);
    output
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::{
        encoding::AsDer,
        signature::{KeyPair, ML_DSA_65_SIGNING, PqdsaKeyPair},
    };
    use catalyst_signing::{KeyUri, SignatureAlgorithm};

    /// Another implementation of FIPS 204 made a signature of this µ with this key, and it verifies over the message.
    const MU: &str = "e479f5b89203762127a2819ea278602c9464fe9deb2f0d33c23d32495b9040a3\
                      0f12f7daa83f27d0292a8c7141c93256844b76911c2ac4af6d9124331cd746f4";

    #[test]
    fn a_long_message_is_signed_by_its_mu() {
        let seed: Vec<u8> = (0..32).collect();
        let key = PqdsaKeyPair::from_seed(&ML_DSA_65_SIGNING, &seed).unwrap();
        let arn = "awskms:arn:aws:kms:eu-central-1:111122223333:key/1";
        let pin = KeyPin {
            uri: KeyUri::parse(arn).unwrap(),
            algorithm: SignatureAlgorithm::MlDsa65,
            spki: key.public_key().as_der().unwrap().as_ref().to_vec(),
        };
        let mechanism = Mechanism::of(pin.algorithm).unwrap();
        let message = Message::of(&[7; 5000], &mechanism, &pin).unwrap();
        assert_eq!(message.kind, MessageType::ExternalMu);
        let mu: String = message.octets.as_ref().iter().map(|octet| format!("{octet:02x}")).collect();
        assert_eq!(mu, MU);

        let unreadable = KeyPin { spki: vec![0x30], ..pin };
        assert!(matches!(Message::of(&[7; 5000], &mechanism, &unreadable), Err(SignError::Integrity { .. })));
    }
}
