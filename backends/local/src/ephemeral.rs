//! Local keys that live and die with the process.

use crate::{
    backend::{parse_reference, uri_of},
    error::LocalError,
    key::LocalKey,
    material::{CAPABILITIES, Material},
};
use async_trait::async_trait;
use catalyst_signing::{
    Capability, FoundKey, KeyIntent, KeyLifecycle, KeyPin, KeyTags, KeyUri, Result, SignatureAlgorithm,
    SigningBackend, SigningKey,
};
use std::{
    collections::HashMap,
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Keys in memory, under the same scheme, algorithms and rules as [`crate::LocalBackend`], without files, passphrase
/// or scrypt: for tests and throw-away CAs. Clones share their keys.
#[derive(Clone, Default)]
pub struct EphemeralBackend {
    keys: Arc<Mutex<HashMap<String, Held>>>,
}

struct Held {
    intent: KeyIntent,
    key: Arc<LocalKey>,
}

impl EphemeralBackend {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<String, Held>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(
        &self,
        uri: &KeyUri,
        algorithm: SignatureAlgorithm,
    ) -> std::result::Result<Arc<LocalKey>, LocalError> {
        let keys = self.keys();
        let held = keys.get(uri.as_str()).ok_or_else(|| LocalError::Missing(origin(uri)))?;
        if held.intent.algorithm != algorithm {
            return Err(LocalError::WrongAlgorithm(origin(uri), algorithm));
        }
        Ok(held.key.clone())
    }
}

impl fmt::Debug for EphemeralBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EphemeralBackend").field("keys", &self.keys().len()).finish()
    }
}

#[async_trait]
impl SigningBackend for EphemeralBackend {
    fn scheme(&self) -> &'static str {
        "local"
    }

    fn capabilities(&self) -> &[Capability] {
        CAPABILITIES
    }

    async fn resolve(&self, reference: &str, algorithm: SignatureAlgorithm) -> Result<KeyPin> {
        let uri = parse_reference(reference)?;
        let spki = self.held(&uri, algorithm)?.spki().to_vec();
        Ok(KeyPin { uri, algorithm, spki })
    }

    async fn open(&self, pin: &KeyPin) -> Result<Arc<dyn SigningKey>> {
        Ok(self.held(&pin.uri, pin.algorithm)?)
    }

    fn lifecycle(&self) -> Option<&dyn KeyLifecycle> {
        Some(self)
    }
}

#[async_trait]
impl KeyLifecycle for EphemeralBackend {
    async fn find(&self, intent: &KeyIntent) -> Result<Option<KeyPin>> {
        let uri = uri_of(intent)?;
        match self.keys().get(uri.as_str()) {
            None => Ok(None),
            Some(held) if held.intent == *intent => {
                let spki = held.key.spki().to_vec();
                Ok(Some(KeyPin { uri, algorithm: intent.algorithm, spki }))
            }
            Some(_) => {
                Err(LocalError::Foreign(origin(&uri), "it was made for another intent".to_owned()).into())
            }
        }
    }

    async fn create(&self, intent: &KeyIntent) -> Result<KeyPin> {
        if let Some(made_before) = self.find(intent).await? {
            return Ok(made_before);
        }
        let uri = uri_of(intent)?;
        let pkcs8 = Material::generate(intent.algorithm)
            .ok_or(LocalError::Unsupported(intent.algorithm))?
            .map_err(|_| LocalError::Crypto("making a key"))?;
        let key = Arc::new(LocalKey::new(&pkcs8, intent.algorithm, origin(&uri), None)?);
        self.keys().entry(uri.to_string()).or_insert_with(|| Held { intent: intent.clone(), key });
        // Another call may have been first: what is there now decides.
        let made = self.find(intent).await?;
        Ok(made.ok_or_else(|| LocalError::Missing(origin(&uri)))?)
    }

    async fn list(&self, deployment: &str) -> Result<Vec<FoundKey>> {
        let keys = self.keys();
        let its = keys.iter().filter(|(_, held)| held.intent.deployment == deployment);
        let found =
            |(uri, held): (&String, &Held)| Ok(KeyTags::of(&held.intent).found(parse_reference(uri)?, None));
        its.map(found).collect()
    }

    /// Forgets the key; there is no file to keep.
    async fn schedule_destruction(&self, pin: &KeyPin) -> Result<()> {
        self.held(&pin.uri, pin.algorithm)?;
        self.keys().remove(pin.uri.as_str());
        Ok(())
    }
}

fn origin(uri: &KeyUri) -> PathBuf {
    PathBuf::from(uri.as_str())
}
