//! An open key.

use super::{Form, KeyArn, Mechanism, unsupported};
use crate::{client::Clients, trouble::Asked};
use async_trait::async_trait;
use aws_lc_rs::digest::{self, SHA256, SHA384};
use aws_sdk_kms::{
    primitives::Blob,
    types::{KeyState as State, MessageType},
};
use catalyst_signing::{KeyPin, KeyState, Refusal, Result, SignError, SigningKey};
use std::sync::Arc;

/// A key of one account.
#[derive(Debug)]
pub(crate) struct AwsKmsKey {
    clients: Arc<Clients>,
    arn: KeyArn,
    mechanism: Mechanism,
}

impl AwsKmsKey {
    pub(crate) fn new(clients: Arc<Clients>, pin: &KeyPin) -> Result<Self> {
        let arn = KeyArn::of(&pin.uri).ok_or_else(|| {
            SignError::refused(Refusal::Configuration, format!("{} is no key of AWS KMS", pin.uri))
        })?;
        let mechanism = Mechanism::of(pin.algorithm).ok_or_else(|| unsupported(pin.algorithm))?;
        Ok(Self { clients, arn, mechanism })
    }

    fn asked(&self, operation: &'static str) -> Asked<'_> {
        Asked { operation, about: self.arn.as_str() }
    }
}

#[async_trait]
impl SigningKey for AwsKmsKey {
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let (kind, message) = match self.mechanism.form {
            Form::Sha256 => (MessageType::Digest, digest::digest(&SHA256, message).as_ref().to_vec()),
            Form::Sha384 => (MessageType::Digest, digest::digest(&SHA384, message).as_ref().to_vec()),
            Form::Raw | Form::RawOrMu => (MessageType::Raw, message.to_vec()),
        };
        let client = self.clients.of(Some(self.arn.region())).await?;
        let call = client
            .sign()
            .key_id(self.arn.as_str())
            .message(Blob::new(message))
            .message_type(kind)
            .signing_algorithm(self.mechanism.algorithm.clone());
        let answer = call.send().await.map_err(|error| self.asked("Sign").failed(&error))?;
        if answer.key_id() != Some(self.arn.as_str()) {
            return Err(SignError::integrity(format!("AWS KMS signed with another key than {}", self.arn)));
        }
        match answer.signature {
            Some(signature) => Ok(signature.into_inner()),
            None => Err(SignError::integrity(format!("AWS KMS gave no signature of {}", self.arn))),
        }
    }

    async fn public_key(&self) -> Result<Option<Vec<u8>>> {
        let client = self.clients.of(Some(self.arn.region())).await?;
        match client.get_public_key().key_id(self.arn.as_str()).send().await {
            Ok(answer) => Ok(answer.public_key.map(Blob::into_inner)),
            Err(error) => match self.asked("GetPublicKey").failed(&error) {
                SignError::Refused { kind: Refusal::Denied, .. } => Ok(None),
                error => Err(error),
            },
        }
    }

    async fn state(&self) -> Result<KeyState> {
        let client = self.clients.of(Some(self.arn.region())).await?;
        match client.describe_key().key_id(self.arn.as_str()).send().await {
            Ok(answer) => Ok(match answer.key_metadata.and_then(|key| key.key_state) {
                Some(State::Enabled | State::Updating) => KeyState::Usable,
                Some(State::Creating) => KeyState::Pending,
                Some(State::PendingDeletion | State::PendingReplicaDeletion) => {
                    KeyState::DestructionScheduled
                }
                Some(State::Disabled | State::PendingImport | State::Unavailable) => KeyState::Disabled,
                _ => KeyState::Unknown,
            }),
            Err(error) => match self.asked("DescribeKey").failed(&error) {
                SignError::Refused { kind: Refusal::Denied, .. } => Ok(KeyState::Unknown),
                SignError::Refused { kind: Refusal::Missing, .. } => Ok(KeyState::Gone),
                error => Err(error),
            },
        }
    }
}
