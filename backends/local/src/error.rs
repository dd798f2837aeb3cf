//! What can be wrong with a key directory or a key file, and what to do about it.

use catalyst_signing::{Refusal, SignError, SignatureAlgorithm};
use std::{io, path::PathBuf};

/// What is wrong with the key directory or a key file. Each sentence names the file and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocalError {
    /// Fewer than 16 characters.
    #[error(
        "the passphrase for local keys has {length} characters, at least {} are needed: make one with `catalyst \
         passphrase new`",
        crate::backend::PASSPHRASE_MIN
    )]
    ShortPassphrase {
        /// How many characters it has.
        length: usize,
    },
    /// The path exists and is something else.
    #[error("{0} is not a directory: set CATALYST_PKI_LOCAL_KEYS to a directory for key files")]
    NotADirectory(PathBuf),
    /// Others may look into the key directory.
    #[error("{path} has mode {1:04o}, others can look into it: run `chmod 700 {path}`", path = .0.display())]
    DirectoryMode(PathBuf, u32),
    /// Others may read the key file.
    #[error("{path} has mode {1:04o}, others can read it: run `chmod 600 {path}`", path = .0.display())]
    FileMode(PathBuf, u32),
    /// No such key file.
    #[error("key file {path} is missing: put it back from a backup of the key directory", path = .0.display())]
    Missing(PathBuf),
    /// No complete PEM.
    #[error("{path} is truncated or no PEM file: put it back from a backup of the key directory", path = .0.display())]
    Truncated(PathBuf),
    /// PEM of something else.
    #[error(
        "{path} holds '{1}', not an encrypted PKCS#8 key: convert a key with `openssl pkcs8 -topk8 -scrypt -v2 \
         aes-256-cbc -in KEY -out {path}`", path = .0.display()
    )]
    NotEncryptedPkcs8(PathBuf, String),
    /// The file asks for more work than this program is willing to do.
    #[error(
        "{path} is encrypted with parameters this program does not take: convert it with `openssl pkcs8 -topk8 -scrypt -v2 \
         aes-256-cbc`", path = .0.display()
    )]
    Parameters(PathBuf),
    /// The passphrase is another one, or the ciphertext was altered.
    #[error(
        "{path} does not open with this passphrase: check CATALYST_PKI_LOCAL_PASSPHRASE; if it is right, the file is \
         damaged and a backup of the key directory has it", path = .0.display()
    )]
    WrongPassphrase(PathBuf),
    /// It opened, and what is inside is no usable key.
    #[error("{path} opens, but holds no usable key: put it back from a backup of the key directory", path = .0.display())]
    Damaged(PathBuf),
    /// It opened, and holds another kind of key.
    #[error("{path} holds no {1} key: name the right file or the right algorithm", path = .0.display())]
    WrongAlgorithm(PathBuf, SignatureAlgorithm),
    /// A key file stands where a new key must go, and it was not made for this.
    #[error(
        "{path} is there, but was not made for this deployment's key: {1}; find out whose it is, then move it away and try \
         again", path = .0.display()
    )]
    Foreign(PathBuf, String),
    /// It opened, and holds another key of the same kind.
    #[error("{path} holds another key than the pinned one: put it back from a backup of the key directory", path = .0.display())]
    Another(PathBuf),
    /// The same key was imported before.
    #[error("{path} is there already, and is left as it is: the key was imported before, as {name}", path = .path.display())]
    Imported {
        /// Where it lies.
        path: PathBuf,
        /// How it is named.
        name: String,
    },
    /// Not `<role>-<generation>`.
    #[error(
        "'{0}' names no local key: write <role>-<generation>, such as services-1, or the name that `catalyst pki keys import` \
         printed"
    )]
    Reference(String),
    /// This backend makes no such keys.
    #[error("local keys can't be {0}: use EC-P384, EC-P256, ED25519, RSA-3072 or ML-DSA-65")]
    Unsupported(SignatureAlgorithm),
    /// The operating system's random source or the cryptographic library failed.
    #[error("{0} failed in the cryptographic library")]
    Crypto(&'static str),
    /// The operating system refused or failed.
    #[error("can't {action} {}: {source}", path.display())]
    Io {
        /// What was tried: "read", "write".
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl LocalError {
    /// For `map_err`.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}

impl From<LocalError> for SignError {
    fn from(error: LocalError) -> Self {
        use LocalError as E;
        let reason = error.to_string();
        let kind = match error {
            E::ShortPassphrase { .. } | E::WrongPassphrase(_) => Refusal::Pin,
            E::Missing(_) => Refusal::Missing,
            E::WrongAlgorithm(..) => Refusal::WrongType,
            E::Foreign(..) | E::Imported { .. } => Refusal::Ambiguous,
            E::Unsupported(_) => Refusal::Unsupported,
            E::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => Refusal::Denied,
            E::Io { .. } | E::Crypto(_) => return Self::unavailable(reason),
            E::Truncated(_) | E::Damaged(_) | E::Another(_) => return Self::integrity(reason),
            E::NotADirectory(_)
            | E::DirectoryMode(..)
            | E::FileMode(..)
            | E::NotEncryptedPkcs8(..)
            | E::Parameters(_)
            | E::Reference(_) => Refusal::Configuration,
        };
        Self::refused(kind, reason)
    }
}
