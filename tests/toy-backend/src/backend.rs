//! The vault behind the signing contract.

use crate::{
    key::ToyKey,
    keys::{self, kind},
};
use async_trait::async_trait;
use catalyst_signing::{
    Capability, Fact, FoundKey, KeyIntent, KeyLifecycle, KeyPin, KeyState, KeyUri, Quota, Result,
    SignatureAlgorithm, SigningBackend, SigningKey,
};
use std::{path::PathBuf, sync::Arc, time::Duration};

/// What an operator says of the vault.
#[derive(Clone, Debug)]
pub struct ToyConfig {
    /// Where it listens.
    pub socket: PathBuf,
    /// How long one question may take.
    pub timeout: Duration,
    /// The most questions a second.
    pub calls_per_second: u32,
}

/// Keys in a vault. A key made here is asked for by `<role>-<generation>-<nonce>`, and its URI is `toy:` and that.
#[derive(Clone, Debug)]
pub struct ToyBackend {
    config: Arc<ToyConfig>,
}

impl ToyBackend {
    /// Takes a configuration; nothing is asked until a key is wanted.
    #[must_use]
    pub fn new(config: ToyConfig) -> Self {
        Self { config: Arc::new(config) }
    }
}

/// The scheme of the vault's key URIs.
pub(crate) const SCHEME: &str = "toy";

/// The longest message that the vault takes as it is, in octets.
const WHOLE_MOST: usize = 4096;

const CAPABILITIES: &[Capability] = &[
    Capability { algorithm: SignatureAlgorithm::EcP384, max_message: None, creates: true },
    Capability { algorithm: SignatureAlgorithm::Ed25519, max_message: Some(WHOLE_MOST), creates: true },
];

#[async_trait]
impl SigningBackend for ToyBackend {
    fn scheme(&self) -> &'static str {
        SCHEME
    }

    fn capabilities(&self) -> &[Capability] {
        CAPABILITIES
    }

    fn quota(&self, _: &KeyUri) -> Quota {
        Quota { name: SCHEME.into(), per_second: Some(self.config.calls_per_second.into()) }
    }

    async fn resolve(&self, reference: &str, algorithm: SignatureAlgorithm) -> Result<KeyPin> {
        let name = reference.strip_prefix("toy:").unwrap_or(reference);
        keys::pin(&keys::show(&self.config, name).await?, algorithm)
    }

    async fn open(&self, pin: &KeyPin) -> Result<Arc<dyn SigningKey>> {
        kind(pin.algorithm)?;
        Ok(Arc::new(ToyKey::new(self.config.clone(), pin)))
    }

    async fn state_of(&self, pin: &KeyPin) -> Result<KeyState> {
        self.open(pin).await?.state().await
    }

    fn lifecycle(&self) -> Option<&dyn KeyLifecycle> {
        Some(self)
    }

    async fn describe(&self) -> Result<Vec<Fact>> {
        let keys = keys::all(&self.config).await?.len();
        Ok(vec![
            Fact { name: "socket", value: self.config.socket.display().to_string() },
            Fact { name: "keys", value: keys.to_string() },
        ])
    }
}

#[async_trait]
impl KeyLifecycle for ToyBackend {
    async fn find(&self, intent: &KeyIntent) -> Result<Option<KeyPin>> {
        keys::find(&self.config, intent).await
    }

    async fn create(&self, intent: &KeyIntent) -> Result<KeyPin> {
        keys::create(&self.config, intent).await
    }

    async fn list(&self, deployment: &str) -> Result<Vec<FoundKey>> {
        keys::list(&self.config, deployment).await
    }

    async fn schedule_destruction(&self, pin: &KeyPin) -> Result<()> {
        keys::give_up(&self.config, pin).await
    }
}
