//! What a store fails with.

/// A store's answer.
pub type Result<T> = std::result::Result<T, StoreError>;

/// The storage failed, or a step does not fit what is stored. Nothing of the step has happened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process works on this data directory.
    #[error(
        "the data directory {directory} is in use by {holder}: stop that process first, or choose another directory with CATALYST_PKI_CERTS_DB"
    )]
    Locked {
        /// Which directory.
        directory: String,
        /// Process id and command as the lock names them.
        holder: String,
    },
    /// The directory is on a network file system.
    #[error(
        "the data directory {directory} is on a network file system ({kind}): SQLite's write-ahead log needs shared memory that such file systems do not give, and would lose certificates; put CATALYST_PKI_CERTS_DB on a local disk"
    )]
    NetworkFileSystem {
        /// Which directory.
        directory: String,
        /// Which file system.
        kind: String,
    },
    /// A restore into the directory was ended half-way.
    #[error(
        "the data directory {directory} is half restored: run the same 'catalyst backup restore' again, which puts it back as it was and begins anew"
    )]
    HalfRestored {
        /// Which directory.
        directory: String,
    },
    /// Written by a later version of this program.
    #[error(
        "{path} was written by a newer version (schema {found}, this program knows {known}): start that version, or restore a backup made before the upgrade"
    )]
    NewerSchema {
        /// The database file.
        path: String,
        /// Its schema.
        found: i64,
        /// The newest schema known here.
        known: i64,
    },
    /// The file is damaged or no database of this program.
    #[error("{path} cannot be read as a certificate store: {reason}; restore it from a backup")]
    Damaged {
        /// The database file.
        path: String,
        /// What SQLite says.
        reason: String,
    },
    /// No room left.
    #[error(
        "no space left for the certificate store: make room on the disk of CATALYST_PKI_CERTS_DB; nothing was lost"
    )]
    Full,
    /// The file or its directory can't be written.
    #[error(
        "the certificate store cannot be written ({reason}): check owner and mode of CATALYST_PKI_CERTS_DB and its directory"
    )]
    ReadOnly {
        /// What the system says.
        reason: String,
    },
    /// The step contradicts what is stored; the sentence says how.
    #[error("{0}")]
    Conflict(String),
    /// What the step speaks of is not there.
    #[error("{0}")]
    NotFound(String),
    /// Closed for shutdown.
    #[error("the certificate store is closed")]
    Closed,
    /// Anything else that the storage says.
    #[error("certificate store: {0}")]
    Storage(String),
}
