//! A certificate authority for services: it signs X.509-SVIDs (SPIFFE identities) through pluggable key stores.
//!
//! Most people want the `catalyst` service. As a library it gives tests a whole CA in memory: [`EphemeralCa`], for
//! which `default-features = false` is enough.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

#[cfg(feature = "server")]
pub mod access;
#[cfg(feature = "server")]
pub mod api;
pub mod authority;
#[cfg(feature = "server")]
pub mod backup;
#[cfg(feature = "server")]
pub mod cli;
#[cfg(feature = "server")]
pub mod client;
mod ephemeral;
pub mod identity;
#[cfg(feature = "server")]
pub mod key_stores;
#[cfg(feature = "server")]
pub mod rpc;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "server")]
pub mod settings;
pub mod store;
#[cfg(feature = "server")]
pub mod telemetry;

pub use ephemeral::EphemeralCa;
