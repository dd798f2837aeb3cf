//! Signing keys in encrypted PKCS#8 files, one per key: `<role>-<generation>.pem` in a directory of mode 0700, each
//! readable with `openssl pkey`.
//!
//! [`LocalBackend`] keeps keys in files, [`EphemeralBackend`] in memory until it is dropped, for tests and
//! throw-away CAs. Both answer to the scheme `local`.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod backend;
mod carried;
mod envelope;
mod ephemeral;
mod error;
mod files;
mod import;
mod key;
mod material;
#[cfg(test)]
mod tests;

pub use backend::LocalBackend;
pub use ephemeral::EphemeralBackend;
pub use error::LocalError;
pub use import::{ImportError, ImportedKey};
