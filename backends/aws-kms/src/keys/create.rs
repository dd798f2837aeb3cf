//! Making keys.

use super::{
    Attempts, KeyArn, Mechanism,
    complete::complete,
    find::{look, pin},
    policy, tags, unsupported,
};
use crate::{
    client::Clients,
    trouble::{Asked, Cause},
};
use aws_sdk_kms::{
    error::{ProvideErrorMetadata as _, SdkError},
    operation::create_key::CreateKeyError,
    types::{KeyUsageType, OriginType},
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use catalyst_signing::{KeyIntent, KeyPin, KeyTags, Refusal, Result, SignError, TransientKind};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, timeout};
use tracing::warn;

/// How long one call looks for a key that KMS may not show yet; the next call goes on.
const LOOKING: Duration = Duration::from_secs(20);
/// How long a new key's alias and replicas may take.
const COMPLETING: Duration = Duration::from_secs(60);
/// How long is waited between two looks.
const BETWEEN: Duration = Duration::from_secs(1);

/// Makes the key of an intent, or gives the one made before. What an earlier call left undone of a key (its alias, its
/// replicas) is done.
pub(crate) async fn create(
    clients: &Arc<Clients>,
    attempts: &Attempts,
    intent: &KeyIntent,
) -> Result<KeyPin> {
    let mechanism = Mechanism::of(intent.algorithm).ok_or_else(|| unsupported(intent.algorithm))?;
    let _turn = attempts.turn(intent.nonce).await;
    let made_before = match attempts.is_fresh(intent) {
        true => None,
        false => look_until_settled(clients, attempts, intent).await?,
    };
    let arn = match made_before {
        Some(arn) => arn,
        None => make(clients, attempts, intent, &mechanism).await?,
    };
    let pin = pin(clients, intent, &arn).await?;
    // Who waits for the key must not lose it to a Region that hangs.
    if timeout(COMPLETING, complete(clients, &arn, &KeyTags::of(intent))).await.is_err() {
        warn!(target: "catalyst.pki", key = %arn,
            "AWS KMS did not give a key its alias and replicas in time: look for what is missing, and make it by hand");
    }
    Ok(pin)
}

/// The key that was made before; `None`: none was. As long as KMS may not show a new one yet, it looks again, and sends
/// the caller away rather than make a second.
async fn look_until_settled(
    clients: &Arc<Clients>,
    attempts: &Attempts,
    intent: &KeyIntent,
) -> Result<Option<KeyArn>> {
    let began = Instant::now();
    loop {
        // Before the look: what it does not find must have been made before it by as much.
        let left = attempts.unsettled(intent, clients.config().settle);
        if let Some(arn) = look(clients, attempts, intent).await? {
            return Ok(Some(arn));
        }
        let Some(left) = left else { return Ok(None) };
        if began.elapsed() >= LOOKING {
            let reason = format!(
                "the {} key of generation {} may have been asked for before, and AWS KMS shows a new key late: it is looked \
                 for until the request is {} s old, for making another would leave one that belongs to nothing; try again \
                 then",
                intent.role,
                intent.generation,
                clients.config().settle.as_secs()
            );
            return Err(SignError::Transient {
                kind: TransientKind::Unavailable,
                reason,
                retry_after: Some(left),
            });
        }
        sleep(left.min(BETWEEN)).await;
    }
}

/// Has KMS make the key. The intent counts as acted on from before the request until KMS says that it made none.
async fn make(
    clients: &Arc<Clients>,
    attempts: &Attempts,
    intent: &KeyIntent,
    mechanism: &Mechanism,
) -> Result<KeyArn> {
    let config = clients.config();
    let (carried, policy) = (KeyTags::of(intent), policy::read(config)?);
    let client = clients.of(None).await?;
    let call = client
        .create_key()
        .key_spec(mechanism.key_spec.clone())
        .key_usage(KeyUsageType::SignVerify)
        // KMS' default, said so that policies can go by it.
        .origin(OriginType::AwsKms)
        .description(tags::description(&carried))
        .set_tags(Some(tags::write(&carried)))
        .set_policy(policy)
        .set_multi_region((!config.failover_regions.is_empty()).then_some(true));
    let sending = attempts.send(intent.nonce);
    match call.send().await {
        Ok(answer) => {
            let arn = answer.key_metadata.and_then(|key| KeyArn::parse(key.arn()?));
            let arn = arn.ok_or_else(|| SignError::integrity("AWS KMS made a key and did not say which"))?;
            attempts.has_made(sending, arn.clone());
            Ok(arn)
        }
        Err(error) => {
            let asked = Asked { operation: "CreateKey", about: &tags::alias(&carried) };
            let trouble = clients.trouble(asked, &error);
            if trouble.cause == Cause::Unloaded || is_final(&error) {
                attempts.made_none(sending);
            }
            Err(refused(&error, trouble.error, intent))
        }
    }
}

/// Whether KMS itself says that nothing was made. After any other failure of a request that was sent a key may be there.
fn is_final(error: &SdkError<CreateKeyError, HttpResponse>) -> bool {
    match error {
        // What has no code is not of KMS.
        SdkError::ServiceError(answer) => error.code().is_some() && answer.raw().status().is_client_error(),
        SdkError::ConstructionFailure(_) => true,
        _ => false,
    }
}

/// What speaks against making a key, and what to do.
fn refused(error: &SdkError<CreateKeyError, HttpResponse>, told: SignError, intent: &KeyIntent) -> SignError {
    if told.is_transient() {
        return told;
    }
    let (code, message) = (error.code().unwrap_or_default(), error.message().unwrap_or_default());
    let with = |kind, advice: &str| SignError::refused(kind, format!("{}; {advice}", told.reason()));
    match code {
        "UnsupportedOperationException" => no_such_keys(intent, message),
        // What an endpoint says of a KeySpec that is newer than itself.
        "ValidationException" if message.contains("keySpec") || message.contains("keyUsage") => {
            no_such_keys(intent, message)
        }
        "LimitExceededException" => with(
            Refusal::Configuration,
            "the account has as many KMS keys in this Region as its quota allows: raise it in Service Quotas, or give up keys \
             that nobody uses",
        ),
        "MalformedPolicyDocumentException" => with(
            Refusal::Configuration,
            &format!("correct the key policy in the file that {} names", policy::SETTING),
        ),
        "AccessDeniedException" => with(
            Refusal::Denied,
            "making a key takes kms:CreateKey and kms:TagResource, and iam:CreateServiceLinkedRole for the first multi-Region \
             key of an account",
        ),
        _ => told,
    }
}

fn no_such_keys(intent: &KeyIntent, message: &str) -> SignError {
    let reason = format!(
        "AWS KMS makes no {} keys in this Region or at this endpoint ({message}): choose another algorithm or Region",
        intent.algorithm
    );
    SignError::refused(Refusal::Unsupported, reason)
}
