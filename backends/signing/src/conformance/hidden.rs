//! A backend whose credentials may not read public keys.

use crate::{
    Capability, KeyPin, KeyState, KeyUri, Quota, Result, SignatureAlgorithm, SigningBackend, SigningKey,
};
use async_trait::async_trait;
use std::sync::Arc;

/// Hides the public keys of another backend.
#[derive(Debug)]
pub(super) struct Hidden(pub(super) Arc<dyn SigningBackend>);

#[derive(Debug)]
struct HiddenKey(Arc<dyn SigningKey>);

#[async_trait]
impl SigningBackend for Hidden {
    fn scheme(&self) -> &'static str {
        self.0.scheme()
    }

    fn capabilities(&self) -> &[Capability] {
        self.0.capabilities()
    }

    fn quota(&self, uri: &KeyUri) -> Quota {
        self.0.quota(uri)
    }

    async fn resolve(&self, reference: &str, algorithm: SignatureAlgorithm) -> Result<KeyPin> {
        self.0.resolve(reference, algorithm).await
    }

    async fn open(&self, pin: &KeyPin) -> Result<Arc<dyn SigningKey>> {
        Ok(Arc::new(HiddenKey(self.0.open(pin).await?)))
    }
}

#[async_trait]
impl SigningKey for HiddenKey {
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        self.0.sign(message).await
    }

    async fn public_key(&self) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }

    async fn state(&self) -> Result<KeyState> {
        Ok(KeyState::Unknown)
    }
}
