//! What Sign is given: a digest, the message itself, or µ.

use super::{
    Mechanism,
    mechanism::{Form, RAW_MOST},
};
use aws_sdk_kms::{primitives::Blob, types::MessageType};
use catalyst_signing::{KeyPin, Refusal, Result, SignError};

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
        if let Some(digest) = pin.algorithm.digest(message) {
            return Ok(Self { kind: MessageType::Digest, octets: Blob::new(digest) });
        }
        // Nothing at all is no Message to KMS.
        let fits = (1..=RAW_MOST).contains(&message.len());
        let (kind, octets) = match mechanism.form {
            _ if fits => (MessageType::Raw, message.to_vec()),
            Form::RawOrMu => (MessageType::ExternalMu, pin.external_mu(message)?.to_vec()),
            _ => {
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

#[cfg(test)]
mod tests {
    use super::*;
    use catalyst_signing::{KeyUri, SignatureAlgorithm};

    #[test]
    fn a_pinned_key_that_is_none_is_no_key_of_a_mu() {
        let uri = KeyUri::parse("awskms:arn:aws:kms:eu-central-1:111122223333:key/1").unwrap();
        let pin = KeyPin { uri, algorithm: SignatureAlgorithm::MlDsa65, spki: vec![0x30] };
        let mechanism = Mechanism::of(pin.algorithm).unwrap();
        assert!(matches!(Message::of(&[7; 5000], &mechanism, &pin), Err(SignError::Integrity { .. })));
    }
}
