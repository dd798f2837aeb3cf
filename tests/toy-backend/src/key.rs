//! An open key.

use crate::{
    ToyConfig,
    ask::{ask, false_answer},
    keys,
    vault::{Answer, Question},
};
use async_trait::async_trait;
use catalyst_signing::{KeyPin, KeyState, Refusal, Result, SignError, SigningKey};
use std::sync::Arc;

/// A key of the vault's.
#[derive(Debug)]
pub(crate) struct ToyKey {
    config: Arc<ToyConfig>,
    pin: KeyPin,
}

impl ToyKey {
    pub(crate) fn new(config: Arc<ToyConfig>, pin: &KeyPin) -> Self {
        Self { config, pin: pin.clone() }
    }

    fn name(&self) -> &str {
        self.pin.uri.rest()
    }
}

#[async_trait]
impl SigningKey for ToyKey {
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let input = self.pin.algorithm.digest(message).unwrap_or_else(|| message.to_vec());
        let question = Question::Sign { name: self.name().to_owned(), input };
        match ask(&self.config, self.name(), &question).await? {
            Answer::Signature { name, octets } if name == self.name() => Ok(octets),
            _ => Err(false_answer(self.name())),
        }
    }

    async fn public_key(&self) -> Result<Option<Vec<u8>>> {
        Ok(Some(keys::show(&self.config, self.name()).await?.spki))
    }

    async fn state(&self) -> Result<KeyState> {
        match keys::show(&self.config, self.name()).await {
            Ok(key) if key.destroyed => Ok(KeyState::DestructionScheduled),
            Ok(_) => Ok(KeyState::Usable),
            Err(SignError::Refused { kind: Refusal::Missing, .. }) => Ok(KeyState::Gone),
            Err(error) => Err(error),
        }
    }
}
