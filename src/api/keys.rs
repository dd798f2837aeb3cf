//! Keys in the key stores.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A key that carries the deployment's tags and belongs to no CA.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnclaimedKey {
    /// Where it is.
    pub uri: String,
    /// Name of its key store.
    pub backend: String,
    /// What it was made for: `root`, `services`, `transport`, `token` or `probe`.
    pub role: String,
    /// Of which generation.
    pub generation: u32,
    /// ISO 8601, UTC; missing where the key store does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_at: Option<String>,
    /// `unknown`, `unfinished` (it was meant, and what needs it is not finished) or `copy` (of a key at another address).
    pub reason: String,
    /// The address of the key of the same nonce that is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy_of: Option<String>,
}

/// A key store that could not be looked into.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct UnreadKeyStore {
    /// Its name.
    pub backend: String,
    /// Why.
    pub error: String,
}

/// `GET /pki/keys/unclaimed`
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct UnclaimedKeys {
    /// Keys that belong to no CA.
    pub keys: Vec<UnclaimedKey>,
    /// Key stores of which nothing can be said.
    pub unread: Vec<UnreadKeyStore>,
}

/// `POST /pki/backends/retry`
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryRequest {
    /// Name of the key store whose keys are tried again; all unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
}

/// A key after it was tried again.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RetriedKey {
    /// The CA's name, or `token key`.
    pub name: String,
    /// Name of its key store.
    pub backend: String,
    /// Where it is.
    pub uri: String,
    /// `ready`, `away` (it may pass) or `refused` (somebody has to act).
    pub state: String,
    /// Why it can't sign, where it can't.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The answer to `POST /pki/backends/retry`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RetriedKeys {
    /// Every key that is kept open: those of live CAs but roots, whose keys are opened for each operation, and the one
    /// that signs tokens.
    pub keys: Vec<RetriedKey>,
}
