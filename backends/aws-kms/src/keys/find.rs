//! Finding the key of an intent, and all of a deployment.

use super::{
    Attempts, KeyArn, Mechanism,
    resolve::resolve,
    scan::{Tagged, patiently, scan, tagged},
    tags, unsupported,
};
use crate::{client::Clients, keys::Reference, trouble::Asked};
use aws_sdk_kms::types::{
    KeyManagerType, KeyMetadata, KeyState, KeyUsageType, MultiRegionKeyType, OriginType,
};
use catalyst_signing::{FoundKey, KeyIntent, KeyPin, KeyTags, Refusal, Result, SignError};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::time::{Instant, sleep};

/// How long a new key is asked for until KMS knows it everywhere.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long is waited between.
const BETWEEN: Duration = Duration::from_millis(250);

/// The key that was made for an intent.
pub(crate) async fn find(
    clients: &Arc<Clients>,
    attempts: &Attempts,
    intent: &KeyIntent,
) -> Result<Option<KeyPin>> {
    if attempts.is_fresh(intent) {
        return Ok(None);
    }
    match look(clients, attempts, intent).await? {
        Some(arn) => pin(clients, intent, &arn).await.map(Some),
        None => Ok(None),
    }
}

/// Where the key is that was made for an intent, if it is there and may be adopted.
///
/// # Errors
/// A refusal that names the key which carries the intent and may not be adopted, and what speaks against it.
pub(crate) async fn look(
    clients: &Arc<Clients>,
    attempts: &Attempts,
    intent: &KeyIntent,
) -> Result<Option<KeyArn>> {
    let candidates = match attempts.made(&intent.nonce) {
        Some(arn) => vec![made_here(clients, &arn).await?],
        None => scan(clients).await?,
    };
    let mut there = Vec::new();
    for key in candidates.into_iter().filter(|key| key.nonce == intent.nonce) {
        let metadata = describe(clients, &key.arn).await?;
        if !is_given_up(&metadata) {
            there.push((key, metadata));
        }
    }
    match &there[..] {
        [] => Ok(None),
        [(key, metadata)] => adopt(key, metadata, intent).map(Some),
        several => {
            let names: Vec<&str> = several.iter().map(|(key, _)| key.arn.as_str()).collect();
            let reason = format!(
                "{} keys of AWS KMS carry the nonce {}, and either could be the one that was made: {}; find out whose they \
                 are, then take the tags catalyst-pki:* off the wrong ones (aws kms untag-resource) and try again",
                several.len(),
                intent.nonce,
                names.join(", ")
            );
            Err(SignError::refused(Refusal::Ambiguous, reason))
        }
    }
}

/// The key that this process made. That it is not to be seen does not mean that there is none.
async fn made_here(clients: &Clients, arn: &KeyArn) -> Result<Tagged> {
    let hidden =
        || SignError::unavailable(format!("AWS KMS has made {arn} and does not show it with its tags yet"));
    patiently(|| async { tagged(clients, arn).await?.ok_or_else(hidden) }).await
}

/// The key's address, if nothing speaks against it.
fn adopt(key: &Tagged, metadata: &KeyMetadata, intent: &KeyIntent) -> Result<KeyArn> {
    let arn = &key.arn;
    let doubts = doubts(key, metadata, intent)?;
    if !doubts.is_empty() {
        let reason = format!(
            "{arn} carries the nonce {} and is not taken for the key that was wanted: {}; find out whose it is, then take the \
             tags catalyst-pki:* off it (aws kms untag-resource) and try again",
            intent.nonce,
            doubts.join("; ")
        );
        return Err(SignError::refused(Refusal::Ambiguous, reason));
    }
    let mechanism = Mechanism::of(intent.algorithm).ok_or_else(|| unsupported(intent.algorithm))?;
    let (spec, usage) = (metadata.key_spec(), metadata.key_usage());
    if spec != Some(&mechanism.key_spec) || usage != Some(&KeyUsageType::SignVerify) {
        let reason = format!(
            "{arn} is a key of spec {} for {}, and {} needs {} for SIGN_VERIFY: find out whose it is, then take the tags \
             catalyst-pki:* off it (aws kms untag-resource) and try again",
            spec.map_or("unknown", |spec| spec.as_str()),
            usage.map_or("unknown", |usage| usage.as_str()),
            intent.algorithm,
            mechanism.key_spec.as_str()
        );
        return Err(SignError::refused(Refusal::WrongType, reason));
    }
    if metadata.key_state() == Some(&KeyState::Disabled) {
        let reason = format!(
            "{arn} is the key that was wanted, and is disabled: enable it (aws kms enable-key --region {} --key-id {arn}) and try again",
            arn.region()
        );
        return Err(SignError::refused(Refusal::Disabled, reason));
    }
    Ok(arn.clone())
}

/// What speaks against a key that carries an intent's nonce.
fn doubts(key: &Tagged, metadata: &KeyMetadata, intent: &KeyIntent) -> Result<Vec<String>> {
    let mut doubts = Vec::new();
    let wanted = KeyTags::of(intent);
    if tags::read(&key.tags).as_ref() != Some(&wanted) {
        doubts.push(format!(
            "its tags are not those of {} {} of deployment {}",
            wanted.role, wanted.generation, wanted.deployment
        ));
    }
    if metadata.origin() != Some(&OriginType::AwsKms) {
        let origin = metadata.origin().map_or("unknown", |origin| origin.as_str());
        doubts.push(format!("it was not generated in AWS KMS (its origin is {origin})"));
    }
    if metadata.key_manager() != Some(&KeyManagerType::Customer) {
        doubts.push("it is managed by an AWS service".to_owned());
    }
    if let Some(primary) = primary_elsewhere(metadata) {
        doubts.push(format!("it is a replica of {primary}"));
    }
    let made = made_at(metadata)
        .ok_or_else(|| SignError::integrity(format!("AWS KMS does not say when {} was made", key.arn)))?;
    if !intent.could_be_made_at(made) {
        doubts.push("it was made before it was wanted".to_owned());
    }
    Ok(doubts)
}

/// Every key that was made for a deployment and not given up.
pub(crate) async fn list(clients: &Arc<Clients>, deployment: &str) -> Result<Vec<FoundKey>> {
    let mut listed = Vec::new();
    for key in scan(clients).await? {
        let Some(tags) = tags::read(&key.tags).filter(|tags| tags.deployment == deployment) else { continue };
        let metadata = describe(clients, &key.arn).await?;
        if is_given_up(&metadata) || primary_elsewhere(&metadata).is_some() {
            continue;
        }
        listed.push(tags.found(key.arn.uri().clone(), made_at(&metadata)));
    }
    Ok(listed)
}

/// What KMS says of a key that it has just listed.
async fn describe(clients: &Clients, arn: &KeyArn) -> Result<KeyMetadata> {
    let asked = Asked { operation: "DescribeKey", about: arn.as_str() };
    let describe = || async {
        let call = clients.of(Some(arn.region())).await?.describe_key().key_id(arn.as_str());
        match call.send().await.map_err(|error| clients.failed(asked, &error)) {
            Ok(answer) => answer
                .key_metadata
                .ok_or_else(|| SignError::integrity(format!("AWS KMS describes nothing for {arn}"))),
            // It was listed a moment ago: KMS knows it in one place and not yet, or no longer, in another.
            Err(SignError::Refused { kind: Refusal::Missing, reason }) => Err(SignError::unavailable(reason)),
            Err(other) => Err(other),
        }
    };
    patiently(describe).await
}

/// The pin of a key of ours, which KMS may have made a moment ago: it is waited for until it is known everywhere.
pub(crate) async fn pin(clients: &Arc<Clients>, intent: &KeyIntent, arn: &KeyArn) -> Result<KeyPin> {
    let reference = Reference::parse(arn.as_str())?;
    let began = Instant::now();
    let pin = loop {
        match resolve(clients, &reference, intent.algorithm).await {
            Err(error) if began.elapsed() < PATIENCE && may_be_too_new(&error) => sleep(BETWEEN).await,
            answer => break answer?,
        }
    };
    match intent.algorithm.verifier(&pin.spki) {
        Some(_) => Ok(pin),
        None => Err(SignError::integrity(format!(
            "AWS KMS shows a public key of {arn} that is not of {}",
            intent.algorithm
        ))),
    }
}

/// Not known yet (NotFound), or still being made (KMSInvalidState).
fn may_be_too_new(error: &SignError) -> bool {
    error.is_transient()
        || matches!(error, SignError::Refused { kind: Refusal::Missing | Refusal::Disabled, .. })
}

/// Whether somebody has had the key destroyed, though it can still be taken back.
pub(crate) fn is_given_up(metadata: &KeyMetadata) -> bool {
    matches!(metadata.key_state(), Some(KeyState::PendingDeletion | KeyState::PendingReplicaDeletion))
}

/// The primary key of a replica.
fn primary_elsewhere(metadata: &KeyMetadata) -> Option<&str> {
    let family = metadata.multi_region_configuration()?;
    let is_replica = family.multi_region_key_type() == Some(&MultiRegionKeyType::Replica);
    is_replica.then(|| family.primary_key().and_then(|key| key.arn()).unwrap_or("a key in another Region"))
}

fn made_at(metadata: &KeyMetadata) -> Option<SystemTime> {
    SystemTime::try_from(*metadata.creation_date()?).ok()
}
