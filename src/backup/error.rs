//! Why a backup was not made, or is not to be relied on.

use crate::{identity::Timestamp, store::StoreError};
use catalyst_signing::SignError;
use std::{io, path::Path};

/// What a backup's maker or reader answers.
pub type Result<T> = std::result::Result<T, BackupError>;

/// Every sentence says what to do next. None holds a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// Something was asked for that does not go: a recipient that is none, a file that is there already.
    #[error("{0}")]
    Usage(String),
    /// The certificate store's.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The services CA's key can't sign.
    #[error(
        "the backup cannot be signed, and none was made: {0}; see 'catalyst backend check', or make one that nothing vouches for with --unsigned"
    )]
    Unsignable(String),
    /// The clock is behind what has happened already.
    #[error(
        "the clock of this machine stands at {now}, and {what} {then}: set the clock; nothing was written"
    )]
    Clock {
        /// Where it stands.
        now: Timestamp,
        /// What was later: subject and verb of the moment.
        what: &'static str,
        /// When that was.
        then: Timestamp,
    },
    /// A private key that can't be had.
    #[error("nothing was exported: {0}")]
    KeyStays(String),
    /// A key store's.
    #[error(transparent)]
    Key(#[from] SignError),
    /// No room for what is to be written.
    #[error("no room in {directory}: {wanted} octets are wanted, {free} are free; make room, or {instead}")]
    NoRoom {
        /// Where.
        directory: String,
        /// How much.
        wanted: u64,
        /// How much there is.
        free: u64,
        /// What else helps, a clause.
        instead: &'static str,
    },
    /// A file or a stream.
    #[error("{what}: {source}")]
    Io {
        /// What could not be done, with the path.
        what: String,
        /// Why.
        source: io::Error,
    },
    /// No identity, or not this passphrase, opens it.
    #[error("{0}")]
    Closed(String),
    /// The backup is not whole: cut off, altered, or never one.
    #[error("the backup is damaged: {0}; use another one, and keep this file for whoever looks into it")]
    Damaged(String),
    /// The backup is whole and not by whom it should be.
    #[error("the backup is not to be trusted: {0}")]
    Forged(String),
    /// Whoever watches wants no more.
    #[error("interrupted: nothing was written, and what was begun is cleared away")]
    Interrupted,
}

impl BackupError {
    /// What the operating system says of a path: `cannot <verb> <path>`.
    pub(super) fn io(verb: &'static str, path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let what = format!("cannot {verb} {}", path.display());
        move |source| Self::Io { what: what.clone(), source }
    }

    /// What came of reading a backup: the disk's own failures tell nothing of the backup.
    pub(super) fn reading(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(_) => Self::Io { what: "cannot read the backup".into(), source: error },
            None => Self::Damaged(error.to_string().trim().to_owned()),
        }
    }

    pub(super) fn damaged(clause: impl Into<String>) -> Self {
        Self::Damaged(clause.into())
    }
}
