//! Turning what an operator wrote into a pin.

use super::{KeyArn, Reference};
use crate::{client::Clients, trouble::Asked};
use catalyst_signing::{KeyPin, Result, SignError, SignatureAlgorithm};

/// The pin of the key that `reference` names.
pub(crate) async fn resolve(
    clients: &Clients,
    reference: &Reference,
    algorithm: SignatureAlgorithm,
) -> Result<KeyPin> {
    let client = clients.of(reference.region.as_deref()).await?;
    let asked = Asked { operation: "GetPublicKey", about: &reference.key_id };
    let answer = client
        .get_public_key()
        .key_id(&reference.key_id)
        .send()
        .await
        .map_err(|error| asked.failed(&error))?;
    let arn = answer.key_id().and_then(KeyArn::parse);
    match arn.zip(answer.public_key) {
        Some((arn, spki)) => Ok(KeyPin { uri: arn.uri().clone(), algorithm, spki: spki.into_inner() }),
        None => Err(SignError::integrity(format!(
            "AWS KMS named no key when asked for the public key of {}",
            reference.key_id
        ))),
    }
}
