//! Signing keys in AWS KMS.
//!
//! `client/` is the way to KMS: credentials, one client per Region, and where to turn when a Region is away. `keys/` is
//! what is done there: finding, making and using keys. [`AwsKmsBackend`] is both behind the signing contract.
#![forbid(unsafe_code)]

mod backend;
mod client;
mod config;
mod keys;
#[cfg(test)]
mod tests;
mod trouble;

pub use backend::AwsKmsBackend;
pub use catalyst_signing::Opening;
pub use config::{AwsKmsConfig, Credentials};
