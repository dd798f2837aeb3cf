//! The key stores that are open in one process, by the name that operators choose them by.

use crate::{
    Guard, GuardedKey, KeyIntent, KeyPin, KeyPolicy, PIN_MISPLACED, Refusal, Result, SignError,
    SigningBackend, holds_pin,
};
use std::{collections::BTreeMap, sync::Arc};
use tokio::{task::JoinSet, time::Instant};

/// Several key stores are open at once: each key's own, whatever is configured for keys made from now on.
#[derive(Debug)]
pub struct KeyStores {
    guard: Arc<Guard>,
    by_name: BTreeMap<String, Arc<dyn SigningBackend>>,
}

impl KeyStores {
    /// The key stores of this process under their names (`local`, `aws-kms`, `pkcs11:hsm-1`, …).
    pub fn new(
        guard: Arc<Guard>,
        stores: impl IntoIterator<Item = (String, Arc<dyn SigningBackend>)>,
    ) -> Self {
        Self { guard, by_name: stores.into_iter().collect() }
    }

    /// The key store of that name.
    ///
    /// # Errors
    /// A refusal that names the key stores there are, and repeats no name that holds a PIN.
    pub fn get(&self, name: &str) -> Result<&Arc<dyn SigningBackend>> {
        if holds_pin(name) {
            return Err(SignError::refused(Refusal::Configuration, PIN_MISPLACED));
        }
        self.by_name.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.by_name.keys().map(String::as_str).collect();
            SignError::refused(
                Refusal::Configuration,
                format!("no key store '{name}' is configured here (there is: {}); configure it, its keys stay down until then", known.join(", ")),
            )
        })
    }

    /// All of them, with their names.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Arc<dyn SigningBackend>)> {
        self.by_name.iter().map(|(name, store)| (name.as_str(), store))
    }

    /// Lets go of all of them at once, for one that hangs must not cost the others their time; the process is about to
    /// end.
    pub async fn shut_down(&self) {
        let mut closing = JoinSet::new();
        for store in self.by_name.values() {
            let store = Arc::clone(store);
            closing.spawn(async move { store.shut_down().await });
        }
        while closing.join_next().await.is_some() {}
    }

    /// The key of a committed intent: the one that `reference` names, else the one that was made for it before, else
    /// a new one. A creation whose answer was lost is not repeated: the next call looks again first.
    ///
    /// # Errors
    /// Whatever the key store answers; a refusal when it makes no keys.
    pub async fn obtain(&self, name: &str, intent: &KeyIntent, reference: Option<&str>) -> Result<KeyPin> {
        let store = self.get(name)?;
        if let Some(reference) = reference {
            return store.resolve(reference, intent.algorithm).await;
        }
        let lifecycle = store.lifecycle().ok_or_else(|| {
            SignError::refused(
                Refusal::Unsupported,
                format!(
                    "key store '{name}' makes no keys here: name an existing key for the {} CA",
                    intent.role
                ),
            )
        })?;
        lifecycle.create(intent).await
    }

    /// Opens a pinned key behind the guard.
    ///
    /// # Errors
    /// Whatever the key store answers; an integrity error when its public key is not the pinned one.
    pub async fn open(
        &self,
        name: &str,
        pin: KeyPin,
        policy: KeyPolicy,
        deadline: Instant,
    ) -> Result<GuardedKey> {
        let store = self.get(name)?;
        self.guard.open(store.clone(), pin, policy, deadline).await
    }
}
