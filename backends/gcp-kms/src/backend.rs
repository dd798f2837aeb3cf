//! Google Cloud KMS behind the signing contract.

use crate::{
    GcpKmsConfig, Opening, Protection, Reference,
    client::Clients,
    keys::{self, GcpKmsKey, Version},
};
use async_trait::async_trait;
use catalyst_signing::{
    Capability, Fact, FoundKey, KeyIntent, KeyLifecycle, KeyPin, KeyState, KeyUri, Quota, Result,
    SignatureAlgorithm, SigningBackend, SigningKey, Whereabouts,
};
use std::sync::Arc;

/// Keys of one way into Google Cloud KMS.
///
/// A key made here is born in Cloud KMS and never leaves it: one CryptoKey for each intent, under the id
/// `<role>-<generation>-<nonce>`, with the intent as labels.
#[derive(Debug)]
pub struct GcpKmsBackend {
    clients: Arc<Clients>,
    capabilities: Vec<Capability>,
}

impl GcpKmsBackend {
    /// Takes a configuration; nothing is read or asked until a key is wanted.
    #[must_use]
    pub fn new(config: GcpKmsConfig) -> Self {
        Self::over(Clients::new(config))
    }

    pub(crate) fn over(clients: Clients) -> Self {
        let capabilities = keys::capabilities(clients.config().protection);
        Self { clients: Arc::new(clients), capabilities }
    }

    /// What one open key or one question asks through.
    fn clients(&self) -> Arc<Clients> {
        match self.clients.config().opening {
            Opening::Kept => self.clients.clone(),
            Opening::WhileInUse => Arc::new(self.clients.fresh()),
        }
    }

    /// Credentials that are set apart are taken up for what an operator wants, and for nothing else.
    fn is_asked_unprompted(&self) -> bool {
        self.clients.config().opening == Opening::Kept
    }
}

#[async_trait]
impl SigningBackend for GcpKmsBackend {
    fn scheme(&self) -> &'static str {
        "gcpkms"
    }

    fn capabilities(&self) -> &[Capability] {
        &self.capabilities
    }

    /// Of the key's project and location; Google counts signatures of HSM keys apart.
    fn quota(&self, uri: &KeyUri) -> Quota {
        let per_second = Some(f64::from(self.clients.config().calls_per_second));
        let name = match Version::of(uri) {
            Some(version) => {
                let protection = match self.clients.config().protection {
                    Protection::Hsm => "hsm",
                    Protection::Software => "software",
                };
                format!("gcpkms:{}:{}:{protection}", version.project(), version.location())
            }
            None => self.clients.config().name.clone(),
        };
        Quota { name, per_second }
    }

    /// Takes the full name of a version, or of a key, of which the newest enabled version is meant.
    async fn resolve(&self, reference: &str, algorithm: SignatureAlgorithm) -> Result<KeyPin> {
        keys::resolve(&self.clients(), &Reference::parse(reference)?, algorithm).await
    }

    /// A key may have a newer version; a version is one for good.
    async fn whereabouts(&self, reference: &str) -> Result<Option<Whereabouts>> {
        match self.is_asked_unprompted() {
            true => keys::whereabouts(&self.clients, &Reference::parse(reference)?).await,
            false => Ok(None),
        }
    }

    async fn state_of(&self, pin: &KeyPin) -> Result<KeyState> {
        match self.is_asked_unprompted() {
            true => self.open(pin).await?.state().await,
            false => Ok(KeyState::Unknown),
        }
    }

    async fn open(&self, pin: &KeyPin) -> Result<Arc<dyn SigningKey>> {
        Ok(Arc::new(GcpKmsKey::new(self.clients(), pin)?))
    }

    fn lifecycle(&self) -> Option<&dyn KeyLifecycle> {
        Some(self)
    }

    async fn describe(&self) -> Result<Vec<Fact>> {
        self.clients().describe().await
    }

    fn retry(&self) {
        self.clients.retry();
    }

    async fn shut_down(&self) {
        self.clients.let_go();
    }
}

#[async_trait]
impl KeyLifecycle for GcpKmsBackend {
    async fn find(&self, intent: &KeyIntent) -> Result<Option<KeyPin>> {
        keys::find(&self.clients(), intent).await
    }

    /// Where the version is still being made after some seconds, the answer is a transient error, and the next call goes
    /// on.
    async fn create(&self, intent: &KeyIntent) -> Result<KeyPin> {
        keys::create(&self.clients(), intent).await
    }

    async fn list(&self, deployment: &str) -> Result<Vec<FoundKey>> {
        keys::list(&self.clients(), deployment).await
    }

    /// Nothing is destroyed for 30 days, if the key was made here; until then `gcloud kms keys versions restore` brings it
    /// back.
    async fn schedule_destruction(&self, pin: &KeyPin) -> Result<()> {
        keys::give_up(&self.clients(), pin).await
    }
}
