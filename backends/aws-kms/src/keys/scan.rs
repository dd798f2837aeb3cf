//! Reading the tags of every key of an account.

use super::{KeyArn, tags};
use crate::{
    client::Clients,
    trouble::{Asked, Cause},
};
use aws_sdk_kms::{
    error::ProvideErrorMetadata as _,
    types::{KeyListEntry, Tag},
};
use catalyst_signing::{Nonce, Result, SignError};
use std::{sync::Arc, time::Duration};
use tokio::{task::JoinSet, time::sleep};

/// The most that ListKeys gives at once.
const PAGE: i32 = 1000;
/// How many keys' tags are asked for at the same time.
const AT_ONCE: usize = 8;
/// How often one call is tried.
const TRIES: u32 = 6;
/// The pause after the first failure; it doubles with each.
const PAUSE: Duration = Duration::from_millis(50);
/// However long KMS asks for.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A key that was made here for some intent, as far as its tags tell.
#[derive(Debug)]
pub(crate) struct Tagged {
    pub(crate) arn: KeyArn,
    pub(crate) nonce: Nonce,
    pub(crate) tags: Vec<Tag>,
}

/// Every key of the account, in the Region where keys are made, that carries a nonce of ours.
///
/// # Errors
/// Where one key's tags could not be read, since that might be the one. A key whose own policy keeps this identity out is
/// nobody's of ours and is passed over, and so is one that is gone by the time it is asked for.
pub(crate) async fn scan(clients: &Arc<Clients>) -> Result<Vec<Tagged>> {
    let (mut found, mut reading) = (Vec::new(), JoinSet::new());
    let mut marker: Option<String> = None;
    loop {
        let (keys, next) = patiently(|| page(clients, marker.as_deref())).await?;
        for arn in keys.iter().filter_map(|key| KeyArn::parse(key.key_arn()?)) {
            if reading.len() >= AT_ONCE {
                found.extend(read(&mut reading).await?);
            }
            let clients = clients.clone();
            reading.spawn(async move { patiently(|| tagged(&clients, &arn)).await });
        }
        match next {
            Some(next) => marker = Some(next),
            None => break,
        }
    }
    while !reading.is_empty() {
        found.extend(read(&mut reading).await?);
    }
    // What is told of several keys is told in the same words each time.
    found.sort_by(|one: &Tagged, other| one.arn.as_str().cmp(other.arn.as_str()));
    Ok(found)
}

/// The next of the answers that are awaited.
async fn read(reading: &mut JoinSet<Result<Option<Tagged>>>) -> Result<Option<Tagged>> {
    match reading.join_next().await {
        Some(Ok(answer)) => answer,
        Some(Err(_)) => Err(SignError::unavailable("reading the tags of a key of AWS KMS was cut off")),
        None => Ok(None),
    }
}

async fn page(clients: &Clients, marker: Option<&str>) -> Result<(Vec<KeyListEntry>, Option<String>)> {
    let asked = Asked { operation: "ListKeys", about: "the account" };
    let call = clients.of(None).await?.list_keys().limit(PAGE).set_marker(marker.map(str::to_owned));
    let answer = call.send().await.map_err(|error| clients.failed(asked, &error))?;
    let next = next(asked, answer.truncated, answer.next_marker, marker)?;
    Ok((answer.keys.unwrap_or_default(), next))
}

/// The marker of the next page; `None`: this was the last. A list that was not read to its end must not be taken for
/// whole, for the key may be in the rest.
fn next(
    asked: Asked<'_>,
    truncated: bool,
    marker: Option<String>,
    before: Option<&str>,
) -> Result<Option<String>> {
    match marker {
        _ if !truncated => Ok(None),
        Some(marker) if Some(marker.as_str()) != before => Ok(Some(marker)),
        _ => Err(SignError::integrity(format!(
            "AWS KMS answered {} of {} with a part of a list, and not with where it goes on",
            asked.operation, asked.about
        ))),
    }
}

/// A key with its tags; `None`: it is none of ours.
pub(crate) async fn tagged(clients: &Clients, arn: &KeyArn) -> Result<Option<Tagged>> {
    let client = clients.of(Some(arn.region())).await?;
    let asked = Asked { operation: "ListResourceTags", about: arn.as_str() };
    let (mut tags, mut marker): (_, Option<String>) = (Vec::new(), None);
    loop {
        let call = client.list_resource_tags().key_id(arn.as_str()).set_marker(marker.clone());
        let answer = match call.send().await {
            Ok(answer) => answer,
            Err(error) => {
                let trouble = clients.trouble(asked, &error);
                return match trouble.cause {
                    Cause::Missing => Ok(None),
                    Cause::Denied if is_shut_out(error.message()) => Ok(None),
                    _ => Err(trouble.error),
                };
            }
        };
        tags.extend(answer.tags.unwrap_or_default());
        match next(asked, answer.truncated, answer.next_marker, marker.as_deref())? {
            Some(next) => marker = Some(next),
            None => break,
        }
    }
    Ok(tags::nonce(&tags).map(|nonce| Tagged { arn: arn.clone(), nonce, tags }))
}

/// Whether it is the key's own policy that denies. KMS gives a key that is made without a policy one that leaves all to
/// IAM, so such a key is another's; where it is IAM that denies, the key might be ours.
fn is_shut_out(message: Option<&str>) -> bool {
    message.is_some_and(|message| message.contains("no resource-based policy allows"))
}

/// A call that changes nothing, tried again after what may pass: of thousands, one may fail.
pub(crate) async fn patiently<T, F: Future<Output = Result<T>>>(call: impl Fn() -> F) -> Result<T> {
    let mut tries = 1;
    let mut pause = PAUSE;
    loop {
        match call().await {
            Err(error) if error.is_transient() && tries < TRIES => {
                sleep(error.retry_after().unwrap_or(pause).min(LONGEST_PAUSE)).await;
                tries += 1;
                pause *= 2;
            }
            answer => return answer,
        }
    }
}
