//! The calls about one key, each one attempt at one Region.

use super::{KeyArn, Mechanism, message::Message};
use crate::{
    client::Clients,
    trouble::{Asked, Cause, Trouble},
};
use aws_sdk_kms::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    types::KeyMetadata,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use catalyst_signing::{SignError, SignatureAlgorithm};
use std::{error::Error, time::SystemTime};

type Answer<T> = std::result::Result<T, Trouble>;

/// A signature of exactly this key with exactly this algorithm, as far as KMS says.
pub(super) async fn sign(
    clients: &Clients,
    arn: &KeyArn,
    mechanism: &Mechanism,
    message: Message,
) -> Answer<Vec<u8>> {
    let asked = Asked { operation: "Sign", about: arn.as_str() };
    let call = client(clients, arn)
        .await?
        .sign()
        .key_id(arn.as_str())
        .message(message.octets)
        .message_type(message.kind)
        .signing_algorithm(mechanism.algorithm.clone());
    let answer = heard(clients, arn, asked, call.send()).await?;
    same("Sign", "key", answer.key_id(), arn.as_str())?;
    let algorithm = answer.signing_algorithm.as_ref().map(|algorithm| algorithm.as_str());
    same("Sign", "algorithm", algorithm, mechanism.algorithm.as_str())?;
    match answer.signature {
        Some(signature)
            if (1..=SignatureAlgorithm::LONGEST_SIGNATURE).contains(&signature.as_ref().len()) =>
        {
            Ok(signature.into_inner())
        }
        Some(signature) => Err(false_answer(format!(
            "AWS KMS gave {} octets as a signature of {arn}, and none has so many",
            signature.as_ref().len()
        ))),
        None => Err(false_answer(format!("AWS KMS gave no signature of {arn}"))),
    }
}

/// Its SubjectPublicKeyInfo (DER); `None`: reading it is not permitted.
pub(super) async fn public_key(clients: &Clients, arn: &KeyArn) -> Answer<Option<Vec<u8>>> {
    let asked = Asked { operation: "GetPublicKey", about: arn.as_str() };
    let call = client(clients, arn).await?.get_public_key().key_id(arn.as_str());
    let answer = match heard(clients, arn, asked, call.send()).await {
        Err(Trouble { cause: Cause::Denied, .. }) => return Ok(None),
        answer => answer?,
    };
    same("GetPublicKey", "key", answer.key_id(), arn.as_str())?;
    match answer.public_key {
        Some(spki) => Ok(Some(spki.into_inner())),
        None => Err(false_answer(format!("AWS KMS gave no public key of {arn}"))),
    }
}

/// What KMS says of it; `None`: asking is not permitted.
pub(super) async fn metadata(clients: &Clients, arn: &KeyArn) -> Answer<Option<KeyMetadata>> {
    let asked = Asked { operation: "DescribeKey", about: arn.as_str() };
    let call = client(clients, arn).await?.describe_key().key_id(arn.as_str());
    let metadata = match heard(clients, arn, asked, call.send()).await {
        Err(Trouble { cause: Cause::Denied, .. }) => return Ok(None),
        answer => answer?.key_metadata,
    };
    if let Some(made) = metadata.as_ref().and_then(|key| SystemTime::try_from(*key.creation_date()?).ok()) {
        clients.born(arn, made);
    }
    Ok(metadata)
}

async fn client(clients: &Clients, arn: &KeyArn) -> Answer<Client> {
    clients.of(Some(arn.region())).await.map_err(|error| Trouble { error, cause: Cause::Unloaded })
}

/// Awaits an answer, and lets all keys know what it tells of the Region.
async fn heard<T, E: ProvideErrorMetadata + Error + 'static>(
    clients: &Clients,
    arn: &KeyArn,
    asked: Asked<'_>,
    call: impl Future<Output = std::result::Result<T, SdkError<E, HttpResponse>>>,
) -> Answer<T> {
    let seen = clients.regions().call(arn.region());
    let answer = call.await.map_err(|error| clients.trouble(asked, &error));
    match answer.as_ref().map_err(|trouble| trouble.cause) {
        Err(Cause::Away) => seen.failed(),
        Err(Cause::Unloaded) => seen.says_nothing(),
        Ok(_) | Err(_) => seen.answered(),
    }
    answer
}

fn same(operation: &str, what: &str, got: Option<&str>, wanted: &str) -> Answer<()> {
    if got == Some(wanted) {
        return Ok(());
    }
    let got: String = got.unwrap_or("none").chars().filter(|c| !c.is_control()).take(200).collect();
    Err(false_answer(format!(
        "AWS KMS was asked to {operation} with the {what} {wanted}, and answered for {got}"
    )))
}

fn false_answer(reason: String) -> Trouble {
    Trouble { error: SignError::integrity(reason), cause: Cause::Answered }
}
