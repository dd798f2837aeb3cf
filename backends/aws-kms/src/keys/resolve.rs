//! Turning what an operator wrote into a pin.

use super::{KeyArn, Mechanism, Reference, unsupported};
use crate::{
    client::Clients,
    trouble::{Asked, Cause},
};
use aws_sdk_kms::types::{KeyMetadata, KeyState as State, KeyUsageType};
use catalyst_signing::{KeyPin, Refusal, Result, SignError, SignatureAlgorithm};
use std::time::SystemTime;

/// The pin of the key that `reference` names. Permission to read the public key is enough; where the key may be
/// described too, it is checked first.
///
/// # Errors
/// A refusal where the key is of another kind than the algorithm wants, or does not sign now; whatever KMS answers.
pub(crate) async fn resolve(
    clients: &Clients,
    reference: &Reference,
    algorithm: SignatureAlgorithm,
) -> Result<KeyPin> {
    let mechanism = Mechanism::of(algorithm).ok_or_else(|| unsupported(algorithm))?;
    let client = clients.of(reference.region.as_deref()).await?;
    let asked = |operation| Asked { operation, about: &reference.key_id };

    let mut key_id = reference.key_id.clone();
    let described = client.describe_key().key_id(&key_id).send().await;
    match described.map_err(|error| clients.trouble(asked("DescribeKey"), &error)) {
        Err(trouble) if trouble.cause == Cause::Denied => {}
        Err(trouble) => return Err(trouble.error),
        Ok(described) => {
            if let Some(key) = described.key_metadata {
                fits(&key, reference, &mechanism)?;
                // The public key is asked for by what was described: an alias may be moved in between.
                if let Some(arn) = key.arn().and_then(KeyArn::parse) {
                    if !may_be(&key_id, &arn) {
                        let reason = format!("AWS KMS was asked to describe {key_id}, and described {arn}");
                        return Err(SignError::integrity(reason));
                    }
                    if let Some(made) = key.creation_date.and_then(|made| SystemTime::try_from(made).ok()) {
                        clients.born(&arn, made);
                    }
                    key_id = arn.as_str().to_owned();
                }
            }
        }
    }

    let answer = client.get_public_key().key_id(&key_id).send().await;
    let answer = answer.map_err(|error| clients.failed(asked("GetPublicKey"), &error))?;
    let arn = answer.key_id().and_then(KeyArn::parse);
    let Some((arn, spki)) = arn.filter(|arn| may_be(&key_id, arn)).zip(answer.public_key) else {
        return Err(SignError::integrity(format!(
            "AWS KMS named no key, or another, when asked for the public key of {key_id}"
        )));
    };
    let spki = spki.into_inner();
    if algorithm.verifier(&spki).is_none() {
        return Err(SignError::refused(
            Refusal::WrongType,
            format!(
                "{} is no {algorithm} key: choose another, or the algorithm that it has",
                reference.key_id
            ),
        ));
    }
    Ok(KeyPin { uri: arn.uri().clone(), algorithm, spki })
}

/// Whether KMS may have meant this key by `key_id`: where an alias leads, only KMS knows.
fn may_be(key_id: &str, arn: &KeyArn) -> bool {
    key_id.contains("alias/") || key_id == arn.as_str() || key_id == arn.id()
}

/// Imported material is taken: the open key has a caution that says so.
fn fits(key: &KeyMetadata, reference: &Reference, mechanism: &Mechanism) -> Result<()> {
    let name = &reference.key_id;
    let refused = |kind, reason: String| Err(SignError::refused(kind, reason));
    if let Some(usage) = key.key_usage.as_ref().filter(|usage| **usage != KeyUsageType::SignVerify) {
        return refused(Refusal::WrongType, format!("{name} is for {usage}, and must be for SIGN_VERIFY"));
    }
    if let Some(spec) = key.key_spec.as_ref().filter(|spec| **spec != mechanism.key_spec) {
        let wanted = &mechanism.key_spec;
        return refused(Refusal::WrongType, format!("{name} is a key of {spec}, and {wanted} is wanted"));
    }
    match &key.key_state {
        Some(State::PendingDeletion | State::PendingReplicaDeletion) => refused(
            Refusal::Disabled,
            format!(
                "{name} will be destroyed: `aws kms cancel-key-deletion`, then `aws kms enable-key`, brings it back"
            ),
        ),
        Some(State::Disabled) => {
            refused(Refusal::Disabled, format!("{name} is disabled: `aws kms enable-key` brings it back"))
        }
        Some(State::PendingImport) => {
            refused(Refusal::Disabled, format!("{name} has no key material: import it first"))
        }
        Some(State::Creating) => Err(SignError::unavailable(format!("{name} is being made"))),
        _ => Ok(()),
    }
}
