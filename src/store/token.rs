//! What is kept of credentials: records and hashes, never the credential.

use crate::identity::Timestamp;

/// A token that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRecord {
    /// Its `jti`.
    pub jti: String,
    /// Its `sub`.
    pub subject: String,
    /// `ADMIN`, `NODE`, …
    pub principal: String,
    /// Its `entity` claim, JSON.
    pub entity: String,
    /// Its `iat`.
    pub issued_at: Timestamp,
    /// Its `exp`.
    pub expires_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// A secret that the operator presets, known by its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PresetSecret {
    /// When this hash was first seen.
    pub first_seen: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}
