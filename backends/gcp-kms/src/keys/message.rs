//! What AsymmetricSign is given: a digest, the message itself, or µ; and its checksum.

use super::{
    Mechanism,
    mechanism::{DATA_MOST, Form},
};
use aws_lc_rs::digest::{self, SHA256, SHA384};
use catalyst_signing::{KeyPin, Refusal, Result, SignError, external_mu};
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
        let digested = |set: fn(Digest, Vec<u8>) -> Digest, octets: &[u8]| {
            Self::Digest(set(Digest::new(), octets.to_vec()), checksum(octets))
        };
        Ok(match mechanism.form {
            Form::Sha256 => digested(Digest::set_sha256, digest::digest(&SHA256, message).as_ref()),
            Form::Sha384 => digested(Digest::set_sha384, digest::digest(&SHA384, message).as_ref()),
            Form::Mu => digested(Digest::set_external_mu, &mu(pin, message)?),
            Form::Data if (1..=DATA_MOST).contains(&message.len()) => {
                Self::Data(message.to_vec(), checksum(message))
            }
            Form::Data => {
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

fn mu(pin: &KeyPin, message: &[u8]) -> Result<[u8; 64]> {
    let unreadable = || SignError::integrity(format!("the public key pinned for {} is no key", pin.uri));
    external_mu(&pin.spki, message).ok_or_else(unreadable)
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
