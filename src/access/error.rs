//! Why a credential is not taken, an action not allowed, or a token not made.

use super::vocabulary::{Action, PrincipalKind};
use crate::{
    identity::SpiffeId,
    store::{StoreError, TicketRefusal},
};
use catalyst_signing::SignError;
use std::path::PathBuf;

/// Why a credential is not taken, an action not allowed, or a token not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// Nothing was presented.
    #[error("no credential")]
    Missing,
    /// What was presented is no credential at all.
    #[error("malformed token: {0}")]
    Malformed(&'static str),
    /// No good credential; the reason is for the log, callers learn only that it is invalid.
    #[error("invalid token: {0}")]
    Invalid(&'static str),
    /// It was good until its end.
    #[error("the token has expired")]
    Expired,
    /// It was good until it was revoked.
    #[error("the token was revoked")]
    Revoked,
    /// The certificate that proves who calls is on hold, for its identity is denied.
    #[error("Identity denied: {0}")]
    IdentityDenied(SpiffeId),
    /// The certificate or proof does not serve.
    #[error("renewal proof refused: {0:?}")]
    Ticket(TicketRefusal),
    /// Policy does not allow it.
    #[error("Permission denied: {action} is not for this {kind} here")]
    Denied {
        /// What was asked.
        action: Action,
        /// Of whom.
        kind: PrincipalKind,
        /// Policies that forbid it.
        reasons: Vec<String>,
    },
    /// The minter does not hold what it would grant.
    #[error("{0}: nobody grants, or revokes, more than they hold")]
    Beyond(String),
    /// A request for a token that is wrong in itself.
    #[error("{0}")]
    Request(String),
    /// Tokens can't be checked or made yet.
    #[error("tokens cannot be made or checked yet: the token key is being opened, or its key store is away")]
    KeyNotOpen,
    /// The preset secret was revoked.
    #[error("{0} holds a secret that was revoked: set another one")]
    PresetRevoked(&'static str),
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
