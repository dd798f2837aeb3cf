//! What a key gets once it is made: its alias and its replicas. It works without them, so what fails here is told and no
//! more: the next call for its intent tries again.

use super::{KeyArn, policy, scan::patiently, tags};
use crate::{client::Clients, trouble::Asked};
use aws_sdk_kms::error::ProvideErrorMetadata as _;
use catalyst_signing::{KeyTags, Result, SignError};
use tracing::warn;

/// Gives a key its alias and its replicas.
pub(crate) async fn complete(clients: &Clients, arn: &KeyArn, carried: &KeyTags) {
    name(clients, arn, &tags::alias(carried)).await;
    if arn.is_multi_region() {
        for region in &clients.config().failover_regions {
            if region != arn.region() {
                replicate(clients, arn, carried, region).await;
            }
        }
    }
}

/// The alias is for people: one that leads to another key is left to it.
async fn name(clients: &Clients, arn: &KeyArn, alias: &str) {
    let asked = Asked { operation: "CreateAlias", about: alias };
    let named = patiently(|| async {
        let client = clients.of(Some(arn.region())).await?;
        match client.create_alias().alias_name(alias).target_key_id(arn.as_str()).send().await {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Some("AlreadyExistsException") => {
                leads_to(clients, alias, arn).await
            }
            // The key itself is known already; KMS is still spreading the news.
            Err(error) if error.code() == Some("NotFoundException") => {
                Err(SignError::unavailable(clients.failed(asked, &error).reason()))
            }
            Err(error) => Err(clients.failed(asked, &error)),
        }
    });
    match named.await {
        Ok(true) => {}
        Ok(false) => warn!(target: "catalyst.pki", key = %arn, alias,
            "the alias leads to another key and is left to it: this key goes without one, and is found by its tags"
        ),
        Err(error) => warn!(target: "catalyst.pki", key = %arn, alias, %error,
            "a key goes without an alias and is found by its tags: allow kms:CreateAlias on the key and on the alias, or make \
             the alias by hand"
        ),
    }
}

/// Whether an alias that is there already is the key's own.
async fn leads_to(clients: &Clients, alias: &str, arn: &KeyArn) -> Result<bool> {
    let asked = Asked { operation: "ListAliases", about: arn.as_str() };
    let call = clients.of(Some(arn.region())).await?.list_aliases().key_id(arn.as_str()).limit(100);
    let answer = call.send().await.map_err(|error| clients.failed(asked, &error))?;
    Ok(answer.aliases().iter().any(|known| known.alias_name() == Some(alias)))
}

/// Replicas get the same tags, which are not carried over by KMS and which IAM policies go by.
async fn replicate(clients: &Clients, arn: &KeyArn, carried: &KeyTags, region: &str) {
    let asked = Asked { operation: "ReplicateKey", about: arn.as_str() };
    let replicated = patiently(|| async {
        let call = clients
            .of(Some(arn.region()))
            .await?
            .replicate_key()
            .key_id(arn.as_str())
            .replica_region(region)
            .description(tags::description(carried))
            .set_tags(Some(tags::write(carried)))
            .set_policy(policy::read(clients.config())?);
        match call.send().await {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("AlreadyExistsException") => Ok(()),
            // Still being made, or another replica of it is.
            Err(error) if error.code() == Some("KMSInvalidStateException") => {
                Err(SignError::unavailable(clients.failed(asked, &error).reason()))
            }
            Err(error) => Err(clients.failed(asked, &error)),
        }
    });
    if let Err(error) = replicated.await {
        let home = arn.region();
        let command =
            format!("aws kms replicate-key --region {home} --key-id {arn} --replica-region {region}");
        warn!(target: "catalyst.pki", key = %arn, region, %error, command,
            "a key has no replica in a failover Region and won't sign there: allow kms:ReplicateKey on it, and kms:CreateKey \
             and kms:TagResource in that Region, or replicate it by hand"
        );
    }
}
