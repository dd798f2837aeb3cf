//! Finding, making and giving up keys.

use super::{KeyArn, Mechanism, Reference, Tags, resolve::resolve, unsupported};
use crate::{client::Clients, trouble::Asked};
use aws_sdk_kms::types::KeyUsageType;
use catalyst_signing::{FoundKey, KeyIntent, KeyPin, Refusal, Result, SignError};

/// The key that carries the intent.
pub(crate) async fn find(clients: &Clients, intent: &KeyIntent) -> Result<Option<KeyPin>> {
    let found = list(clients, &intent.deployment).await?;
    let Some(found) = found.into_iter().find(|found| found.nonce == intent.nonce) else { return Ok(None) };
    let reference = Reference::parse(found.uri.as_str())?;
    resolve(clients, &reference, intent.algorithm).await.map(Some)
}

/// Makes the key for an intent.
pub(crate) async fn create(clients: &Clients, intent: &KeyIntent) -> Result<KeyPin> {
    if let Some(pin) = find(clients, intent).await? {
        return Ok(pin);
    }
    let mechanism = Mechanism::of(intent.algorithm).ok_or_else(|| unsupported(intent.algorithm))?;
    let client = clients.of(None).await?;
    let tags = Tags::of(intent);
    let alias = tags.alias();
    let asked = |operation| Asked { operation, about: &alias };
    let made = client
        .create_key()
        .key_spec(mechanism.key_spec)
        .key_usage(KeyUsageType::SignVerify)
        .set_tags(Some(tags.write()))
        .send()
        .await
        .map_err(|error| asked("CreateKey").failed(&error))?;
    let arn = made.key_metadata.and_then(|key| KeyArn::parse(key.arn()?));
    let arn = arn.ok_or_else(|| SignError::integrity("AWS KMS made a key without an ARN"))?;
    client
        .create_alias()
        .alias_name(&alias)
        .target_key_id(arn.id())
        .send()
        .await
        .map_err(|error| asked("CreateAlias").failed(&error))?;
    resolve(clients, &Reference::parse(arn.as_str())?, intent.algorithm).await
}

/// Every key that was made for a deployment and not given up.
pub(crate) async fn list(clients: &Clients, deployment: &str) -> Result<Vec<FoundKey>> {
    let client = clients.of(None).await?;
    let mut found = Vec::new();

    let mut pages = client.list_keys().into_paginator().send();
    while let Some(page) = pages.next().await {
        let page =
            page.map_err(|error| Asked { operation: "ListKeys", about: "the account" }.failed(&error))?;
        for arn in page.keys().iter().filter_map(|key| KeyArn::parse(key.key_arn()?)) {
            let answer = client.list_resource_tags().key_id(arn.as_str()).send().await;
            let answer = answer.map_err(|error| {
                Asked { operation: "ListResourceTags", about: arn.as_str() }.failed(&error)
            })?;
            let Some(tags) = Tags::read(answer.tags()).filter(|tags| tags.deployment == deployment) else {
                continue;
            };
            found.push(FoundKey {
                uri: arn.uri().clone(),
                nonce: tags.nonce,
                role: tags.role,
                generation: tags.generation,
                made_at: None,
            });
        }
    }
    Ok(found)
}

/// Has the key destroyed after the longest waiting period there is, 30 days.
pub(crate) async fn give_up(clients: &Clients, pin: &KeyPin) -> Result<()> {
    let arn = KeyArn::of(&pin.uri).ok_or_else(|| {
        SignError::refused(Refusal::Configuration, format!("{} is no key of AWS KMS", pin.uri))
    })?;
    let client = clients.of(Some(arn.region())).await?;
    let asked = Asked { operation: "ScheduleKeyDeletion", about: arn.as_str() };
    let call = client.schedule_key_deletion().key_id(arn.as_str()).pending_window_in_days(30);
    call.send().await.map(drop).map_err(|error| asked.failed(&error))
}
