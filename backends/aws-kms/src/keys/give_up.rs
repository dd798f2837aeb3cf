//! Giving keys up, as late and as revocably as KMS can.

use super::{KeyArn, find::is_given_up, scan::patiently};
use crate::{client::Clients, trouble::Asked};
use aws_sdk_kms::types::KeyMetadata;
use catalyst_signing::{KeyPin, Refusal, Result, SignError};
use tracing::warn;

/// The longest that KMS waits.
const DAYS: i32 = 30;

/// Has a key destroyed in 30 days, its replicas in the failover Regions first. Nothing is touched unless it is the pinned
/// one. Repeated, it does no more.
///
/// The alias stays: until the key is destroyed, `aws kms cancel-key-deletion` brings it back with its name, and KMS removes
/// the aliases of a key that it destroys. So nobody needs kms:DeleteAlias.
pub(crate) async fn give_up(clients: &Clients, pin: &KeyPin) -> Result<()> {
    let arn = KeyArn::of(&pin.uri).ok_or_else(|| {
        SignError::refused(Refusal::Configuration, format!("{} is no key of AWS KMS", pin.uri))
    })?;
    let metadata = unless_denied(patiently(|| describe(clients, &arn)).await)?;
    // KMS shows no public key of one that waits for its end, so there is nothing to compare.
    let given_up = metadata.as_ref().is_some_and(is_given_up);
    if !given_up {
        check(clients, &arn, pin).await?;
    }
    give_up_replicas(clients, &arn, metadata.as_ref()).await?;
    if given_up { Ok(()) } else { patiently(|| schedule(clients, &arn)).await }
}

/// A key's address is its own for good, so where its public key can't be read, the address is enough.
async fn check(clients: &Clients, arn: &KeyArn, pin: &KeyPin) -> Result<()> {
    let asked = Asked { operation: "GetPublicKey", about: arn.as_str() };
    let shown = || async {
        let answer = clients.of(Some(arn.region())).await?.get_public_key().key_id(arn.as_str()).send().await;
        answer.map(|answer| answer.public_key).map_err(|error| clients.failed(asked, &error))
    };
    match patiently(shown).await {
        Ok(Some(shown)) if shown.as_ref() != pin.spki => {
            let reason = format!("{arn} holds another key than the pinned one: nothing was changed");
            Err(SignError::refused(Refusal::Ambiguous, reason))
        }
        Ok(_) | Err(SignError::Refused { kind: Refusal::Denied | Refusal::Disabled, .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// KMS keeps a primary key, and does not even begin to wait, as long as it has replicas.
async fn give_up_replicas(clients: &Clients, arn: &KeyArn, metadata: Option<&KeyMetadata>) -> Result<()> {
    let configured = &clients.config().failover_regions;
    let family = metadata.and_then(KeyMetadata::multi_region_configuration);
    let replicas: Vec<KeyArn> = match family {
        Some(family) => family.replica_keys().iter().filter_map(|key| KeyArn::parse(key.arn()?)).collect(),
        None => configured.iter().filter_map(|region| arn.replica(region)).collect(),
    };
    for replica in replicas.iter().filter(|replica| *replica != arn) {
        if !configured.iter().any(|region| region == replica.region()) {
            warn!(target: "catalyst.pki", key = %arn, %replica,
                "AWS KMS keeps a key that was given up until its replica is given up by hand"
            );
            continue;
        }
        match patiently(|| schedule(clients, replica)).await {
            // Where the key may not be described, it is not known which there are.
            Err(SignError::Refused { kind: Refusal::Missing, .. }) => {}
            answer => answer?,
        }
    }
    Ok(())
}

async fn schedule(clients: &Clients, arn: &KeyArn) -> Result<()> {
    let asked = Asked { operation: "ScheduleKeyDeletion", about: arn.as_str() };
    let call = clients
        .of(Some(arn.region()))
        .await?
        .schedule_key_deletion()
        .key_id(arn.as_str())
        .pending_window_in_days(DAYS);
    match call.send().await.map_err(|error| clients.failed(asked, &error)) {
        Ok(_) => Ok(()),
        // Somebody did so before, or the key is being made.
        Err(SignError::Refused { kind: Refusal::Disabled, reason }) => match describe(clients, arn).await {
            Ok(metadata) if is_given_up(&metadata) => Ok(()),
            _ => Err(SignError::refused(Refusal::Disabled, reason)),
        },
        Err(error) => Err(error),
    }
}

async fn describe(clients: &Clients, arn: &KeyArn) -> Result<KeyMetadata> {
    let asked = Asked { operation: "DescribeKey", about: arn.as_str() };
    let answer = clients
        .of(Some(arn.region()))
        .await?
        .describe_key()
        .key_id(arn.as_str())
        .send()
        .await
        .map_err(|error| clients.failed(asked, &error))?;
    answer.key_metadata.ok_or_else(|| SignError::integrity(format!("AWS KMS describes nothing for {arn}")))
}

fn unless_denied<T>(answer: Result<T>) -> Result<Option<T>> {
    match answer {
        Err(SignError::Refused { kind: Refusal::Denied, .. }) => Ok(None),
        answer => answer.map(Some),
    }
}
