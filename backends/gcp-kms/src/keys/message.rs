//! What AsymmetricSign is given: a digest, the message itself, or µ; and its checksum.

use super::{
    Mechanism,
    mechanism::{DATA_MOST, Form},
};
use catalyst_signing::{KeyPin, Refusal, Result, SignError};
use google_cloud_kms::{builder::key_management_service::AsymmetricSign, model::Digest};

/// A message as AsymmetricSign takes it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Message {
    /// A digest, or what stands for one.
    Digest(Digest, i64),
    /// The message itself.
    Data(Vec<u8>, i64),
}

impl Message {
    /// # Errors
    /// [`Refusal::Unsupported`] where the message is longer than the algorithm takes, or empty: nothing at all is no data
    /// to Cloud KMS.
    pub(super) fn of(message: &[u8], mechanism: &Mechanism, pin: &KeyPin) -> Result<Self> {
        let digested = |set: fn(Digest, Vec<u8>) -> Digest, octets: Vec<u8>| {
            let checksum = checksum(&octets);
            Self::Digest(set(Digest::new(), octets), checksum)
        };
        Ok(match (mechanism.form, pin.algorithm.digest(message)) {
            (Form::Sha256, Some(digest)) => digested(Digest::set_sha256, digest),
            (Form::Sha384, Some(digest)) => digested(Digest::set_sha384, digest),
            (Form::Mu, _) => digested(Digest::set_external_mu, pin.external_mu(message)?.to_vec()),
            (Form::Data, _) if (1..=DATA_MOST).contains(&message.len()) => {
                Self::Data(message.to_vec(), checksum(message))
            }
            _ => {
                return Err(SignError::refused(
                    Refusal::Unsupported,
                    format!(
                        "Google Cloud KMS signs 1 to {DATA_MOST} octets with {}, this message has {}",
                        pin.algorithm,
                        message.len()
                    ),
                ));
            }
        })
    }

    /// Puts it into a request.
    pub(super) fn put(self, request: AsymmetricSign) -> AsymmetricSign {
        match self {
            Self::Digest(digest, checksum) => request.set_digest(digest).set_digest_crc32c(checksum),
            Self::Data(data, checksum) => request.set_data(data).set_data_crc32c(checksum),
        }
    }

    pub(super) fn is_digest(&self) -> bool {
        matches!(self, Self::Digest(..))
    }
}

/// CRC32C (RFC 3385), as Cloud KMS carries it.
pub(super) fn checksum(octets: &[u8]) -> i64 {
    i64::from(crc32c::crc32c(octets))
}

#[cfg(test)]
mod tests {
    use super::checksum;
    use proptest::prelude::*;

    proptest! {
        /// As two programs compute it that have nothing in common, and other than before wherever one bit changed.
        #[test]
        fn a_checksum_is_the_rigs_and_shows_every_flipped_bit(
            octets in prop::collection::vec(any::<u8>(), 1..5000),
            at in any::<prop::sample::Index>(),
            bit in 0_u32..8,
        ) {
            prop_assert_eq!(checksum(&octets), i64::from(catalyst_rigs::gcp::crc32c(&octets)));
            let mut flipped = octets.clone();
            flipped[at.index(octets.len())] ^= 1 << bit;
            prop_assert_ne!(checksum(&flipped), checksum(&octets));
        }
    }
}
