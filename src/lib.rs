//! A certificate authority for services.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

#[cfg(feature = "server")]
pub mod cli;
#[cfg(feature = "server")]
pub mod settings;
#[cfg(feature = "server")]
pub mod telemetry;
