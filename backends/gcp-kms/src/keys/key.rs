//! An open key.

use super::{
    Mechanism, Version,
    ask::{self, Answer},
    find::is_imported,
    level,
    message::Message,
    unsupported,
};
use crate::{
    client::Clients,
    trouble::{Cause, Trouble},
};
use async_trait::async_trait;
use catalyst_signing::{KeyPin, KeyState, Refusal, Result, SignError, SigningKey};
use google_cloud_kms::model::{
    CryptoKeyVersion, ProtectionLevel, crypto_key_version::CryptoKeyVersionState as State,
};
use std::sync::{Arc, OnceLock};

/// What is to be known of imported material.
const IMPORTED: &str = "its key material was imported, so it may exist outside Google Cloud";

/// A version of a key.
#[derive(Debug)]
pub(crate) struct GcpKmsKey {
    clients: Arc<Clients>,
    pin: KeyPin,
    version: Version,
    mechanism: Mechanism,
    /// Where it is held, once Cloud KMS has said so: that never changes.
    level: OnceLock<ProtectionLevel>,
    /// Whether its material was imported, once Cloud KMS has said so.
    imported: OnceLock<bool>,
}

impl GcpKmsKey {
    pub(crate) fn new(clients: Arc<Clients>, pin: &KeyPin) -> Result<Self> {
        let version = Version::of(&pin.uri).ok_or_else(|| {
            SignError::refused(Refusal::Configuration, format!("{} is no key of Google Cloud KMS", pin.uri))
        })?;
        let mechanism = Mechanism::of(pin.algorithm).ok_or_else(|| unsupported(pin.algorithm))?;
        let (level, imported) = (OnceLock::new(), OnceLock::new());
        Ok(Self { clients, pin: pin.clone(), version, mechanism, level, imported })
    }

    /// Compares where an answer says that the key is held with what was said before, and with what is wanted.
    fn held_at(&self, level: ProtectionLevel) -> Result<()> {
        if self.level.get().is_none() {
            level::check(self.clients.config().protection, &level, self.version.as_str())?;
        }
        // Of two answers at once one is the first.
        let known = self.level.get_or_init(|| level.clone());
        if *known == level {
            return Ok(());
        }
        Err(SignError::integrity(format!(
            "{} is held at protection level {}, and Google Cloud KMS answered for {}",
            self.version,
            level::written(known),
            level::written(&level)
        )))
    }

    async fn described(&self) -> Answer<Option<CryptoKeyVersion>> {
        let described = ask::version(&self.clients, &self.version).await?;
        if let Some(version) = &described {
            self.imported.get_or_init(|| is_imported(version));
        }
        Ok(described)
    }

    /// Asks once where the key material comes from. That nobody may know it, or not now, is no reason not to sign.
    async fn learn_origin(&self) {
        if self.imported.get().is_none() {
            let _ = self.described().await;
        }
    }
}

#[async_trait]
impl SigningKey for GcpKmsKey {
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let message = Message::of(message, &self.mechanism, &self.pin)?;
        let signature =
            ask::sign(&self.clients, &self.version, message).await.map_err(|trouble| trouble.error)?;
        self.held_at(signature.level)?;
        Ok(signature.octets)
    }

    async fn public_key(&self) -> Result<Option<Vec<u8>>> {
        let (answer, ()) =
            tokio::join!(ask::public_key(&self.clients, &self.version, &self.mechanism), self.learn_origin());
        let Some(key) = answer.map_err(|trouble| trouble.error)? else { return Ok(None) };
        self.held_at(key.level)?;
        Ok(Some(key.spki))
    }

    async fn state(&self) -> Result<KeyState> {
        match self.described().await {
            Ok(version) => Ok(version.map_or(KeyState::Unknown, |version| state(&version.state))),
            Err(Trouble { cause: Cause::Missing, .. }) => Ok(KeyState::Gone),
            Err(trouble) => Err(trouble.error),
        }
    }

    fn caution(&self) -> Option<String> {
        self.imported.get().is_some_and(|imported| *imported).then(|| IMPORTED.to_owned())
    }
}

fn state(state: &State) -> KeyState {
    match state {
        State::Enabled => KeyState::Usable,
        State::PendingGeneration | State::PendingImport => KeyState::Pending,
        State::Disabled => KeyState::Disabled,
        State::DestroyScheduled | State::PendingExternalDestruction => KeyState::DestructionScheduled,
        State::Destroyed | State::GenerationFailed | State::ImportFailed => KeyState::Gone,
        _ => KeyState::Unknown,
    }
}
