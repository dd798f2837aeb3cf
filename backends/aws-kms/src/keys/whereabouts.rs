//! Which key an alias names now.

use super::{KeyArn, Reference};
use crate::{client::Clients, trouble::Asked};
use catalyst_signing::{Result, SignError, Whereabouts};

/// The key that `reference` names now, of whatever algorithm. Permission to read the public key is enough.
pub(crate) async fn whereabouts(clients: &Clients, reference: &Reference) -> Result<Whereabouts> {
    let client = clients.of(reference.region.as_deref()).await?;
    let asked = Asked { operation: "GetPublicKey", about: &reference.key_id };
    let answer = client.get_public_key().key_id(&reference.key_id).send().await;
    let answer = answer.map_err(|error| clients.failed(asked, &error))?;
    let arn = answer.key_id().and_then(KeyArn::parse);
    match arn.zip(answer.public_key) {
        Some((arn, spki)) => Ok(Whereabouts { uri: arn.uri().clone(), spki: spki.into_inner() }),
        None => Err(SignError::integrity(format!("AWS KMS named no key for {}", reference.key_id))),
    }
}
