//! Signing keys in Google Cloud KMS.
//!
//! `client/` is the way to Cloud KMS: credentials, and the client that is made with them. `keys/` is what is done there:
//! finding, making and using keys. `trouble/` is what goes wrong in between. [`GcpKmsBackend`] is all of it behind the
//! signing contract.
#![forbid(unsafe_code)]

mod backend;
mod client;
mod config;
mod keys;
#[cfg(test)]
mod tests;
mod trouble;

pub use backend::GcpKmsBackend;
pub use catalyst_signing::Opening;
pub use config::{Credentials, GcpKmsConfig, Protection, Rings};
pub use keys::{KeyRing, Reference};
