//! What a key that was made here says of itself.

use catalyst_signing::{KeyIntent, KeyRole, Nonce};
use std::collections::HashMap;

pub(crate) const DEPLOYMENT: &str = "catalyst_pki_deployment";
const ROLE: &str = "catalyst_pki_role";
const GENERATION: &str = "catalyst_pki_generation";
const NONCE: &str = "catalyst_pki_nonce";

/// The intent that a key was made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Labels {
    pub(crate) deployment: String,
    pub(crate) role: KeyRole,
    pub(crate) generation: u32,
    pub(crate) nonce: Nonce,
}

impl Labels {
    pub(crate) fn of(intent: &KeyIntent) -> Self {
        let KeyIntent { nonce, deployment, role, generation, .. } = intent;
        Self { deployment: deployment.clone(), role: *role, generation: *generation, nonce: *nonce }
    }

    /// `None`: a key of somebody else's.
    pub(crate) fn read(labels: &HashMap<String, String>) -> Option<Self> {
        Some(Self {
            deployment: labels.get(DEPLOYMENT)?.clone(),
            role: labels.get(ROLE)?.parse().ok()?,
            generation: labels.get(GENERATION)?.parse().ok()?,
            nonce: labels.get(NONCE)?.parse().ok()?,
        })
    }

    /// As CreateCryptoKey takes them.
    pub(crate) fn write(&self) -> HashMap<String, String> {
        [
            (DEPLOYMENT, self.deployment.clone()),
            (ROLE, self.role.to_string()),
            (GENERATION, self.generation.to_string()),
            (NONCE, self.nonce.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// The key's id in its key ring: `<role>-<generation>-<nonce>`, 63 characters at most. With the nonce in it no two
    /// intents have the same, and it can be asked for.
    pub(crate) fn id(&self) -> String {
        format!("{}-{}-{}", self.role, self.generation, self.nonce)
    }
}
