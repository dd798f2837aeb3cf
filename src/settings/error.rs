//! What is wrong with the settings, in sentences that say what to change.

use super::Origin;
use std::{io, path::PathBuf};

/// The settings can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// A value is not of the accepted form.
    #[error("{variable} is '{value}' ({origin}): {accepted}")]
    Invalid {
        /// The setting.
        variable: String,
        /// What was given.
        value: String,
        /// Where it was given.
        origin: Origin,
        /// The accepted form, as a clause.
        accepted: String,
    },
    /// A value is not of the accepted form, and might hold what is not to be repeated.
    #[error("{variable} ({origin}): {problem}")]
    Unfit {
        /// The setting.
        variable: String,
        /// Where it was given.
        origin: Origin,
        /// What is wrong, as a clause.
        problem: String,
    },
    /// A setting that others make necessary is not given.
    #[error("{variable} is not set: {wanted}")]
    Missing {
        /// The setting.
        variable: String,
        /// What it should be and why, as a clause.
        wanted: String,
    },
    /// Settings that do not go together: a sentence that names them.
    #[error("{0}")]
    Together(String),
    /// The name of a key store in the settings file.
    #[error("'{name}' in {}: the name of a key store has at most 64 letters, digits, '-' and '_'", .path.display())]
    StoreName {
        /// The settings file.
        path: PathBuf,
        /// The table, dotted.
        name: String,
    },
    /// A variable begins with `CATALYST_PKI_` and is none of ours.
    #[error("unknown variable {name}: {}", advice(.nearest))]
    UnknownVariable {
        /// The variable.
        name: String,
        /// The known one that is nearest.
        nearest: Option<String>,
    },
    /// The settings file has a key that is none of ours.
    #[error("unknown key '{key}' in {}: {}", .path.display(), advice(.nearest))]
    UnknownKey {
        /// The settings file.
        path: PathBuf,
        /// The key, dotted.
        key: String,
        /// The known one that is nearest.
        nearest: Option<String>,
    },
    /// Every node knows the one, and whoever knows the other may do everything.
    #[error(
        "CATALYST_SYSTEM_TOKEN and CATALYST_BOOTSTRAP_TOKEN are the same secret: every node would be an administrator; choose two"
    )]
    SameSecret,
    /// A variable holds bytes that are no text.
    #[error("{0} is not UTF-8 text: set it again")]
    NotText(String),
    /// The settings file can't be read.
    #[error("cannot read the settings file {}: {source}", .path.display())]
    File {
        /// The settings file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The settings file is no TOML. The offending line is not quoted, for it may hold a secret.
    #[error("{} is not valid TOML at line {line}: {problem}", .path.display())]
    Syntax {
        /// The settings file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What the parser says.
        problem: String,
    },
    /// A key of the settings file holds a table, a date or a float.
    #[error("'{key}' in {}: text, a whole number, true, false or a list of texts is wanted", .path.display())]
    WrongType {
        /// The settings file.
        path: PathBuf,
        /// The key, dotted.
        key: String,
    },
    /// The settings file holds a secret and others may read it.
    #[error("{} holds '{key}' and can be read by others than its owner: run chmod 600 on it, or use '{key}_file'", .path.display())]
    FileReadable {
        /// The settings file.
        path: PathBuf,
        /// The key of the secret.
        key: String,
    },
    /// A secret is given both itself and as a file, in one place.
    #[error("{0} and {1} are both given ({2}): give one of them")]
    GivenTwice(String, String, Origin),
    /// The file of a secret can't be read.
    #[error("cannot read the file of {variable}, {}: {source}", .path.display())]
    SecretFile {
        /// The secret.
        variable: String,
        /// Its file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A secret is too short.
    #[error(
        "{variable} has fewer than {min_chars} characters: make a longer one, for instance with 'openssl rand -base64 32'"
    )]
    SecretShort {
        /// The secret.
        variable: String,
        /// The fewest characters it may have.
        min_chars: usize,
    },
    /// The key store `local` is to be used and nobody gave a passphrase.
    #[error(
        "the key store 'local' needs a passphrase: write one of 16 characters or more to a file outside the data directory ({}) and name \
         it in CATALYST_PKI_LOCAL_PASSPHRASE_FILE, or try the service out with --dev", .data_dir.display()
    )]
    PassphraseMissing {
        /// The data directory.
        data_dir: PathBuf,
    },
    /// The passphrase would be copied together with what it protects.
    #[error(
        "the passphrase lies in {}, inside {}: whoever copies that directory has keys and passphrase, so keep it elsewhere",
        .path.display(), .directory.display()
    )]
    PassphraseBesideKeys {
        /// The file that holds the passphrase.
        path: PathBuf,
        /// The data or key directory.
        directory: PathBuf,
    },
    /// `--dev` would make a passphrase, but there are keys that another one encrypts.
    #[error(
        "{} holds keys and {} is missing: give the passphrase of these keys with CATALYST_PKI_LOCAL_PASSPHRASE_FILE",
        .keys.display(), .path.display()
    )]
    DevPassphraseLost {
        /// The key directory.
        keys: PathBuf,
        /// Where the passphrase would be.
        path: PathBuf,
    },
    /// The passphrase of `--dev` can't be made or read.
    #[error("cannot make or read {}: {source}", .path.display())]
    DevPassphrase {
        /// Where the passphrase is kept.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn advice(nearest: &Option<String>) -> String {
    match nearest {
        Some(name) => format!("did you mean {name}?"),
        None => "'catalyst config' lists those of this build".into(),
    }
}
