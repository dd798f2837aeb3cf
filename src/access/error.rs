//! Why a credential is not taken, or could not be made.

use crate::store::StoreError;
use catalyst_signing::SignError;
use std::path::PathBuf;

/// Why a credential is not taken, or could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// No good credential; the reason is for the log, callers learn only that it is invalid.
    #[error("invalid token: {0}")]
    Invalid(&'static str),
    /// Tokens can't be checked yet.
    #[error("credentials cannot be checked yet: the token key is being opened, or its key store is away")]
    KeyNotOpen,
    /// The preset secret was revoked.
    #[error("CATALYST_SYSTEM_TOKEN holds a secret that was revoked: set another one")]
    PresetRevoked,
    /// The token key is of another kind.
    #[error("the token key {0} is not an EC-P384 key")]
    TokenKey(String),
    /// The system token's file.
    #[error("{}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The system token's file may be read by others.
    #[error("{} may be read by others (mode {mode:o}): run chmod 600 on it, and make a new token if others had access", path.display())]
    FileMode {
        /// Which file.
        path: PathBuf,
        /// Its mode bits.
        mode: u32,
    },
    /// The key store.
    #[error(transparent)]
    KeyStore(#[from] SignError),
    /// The certificate store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// JSON, base64 or randomness failed on our own data.
    #[error("internal error: {0}")]
    Internal(String),
}
