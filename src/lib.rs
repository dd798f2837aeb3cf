//! A certificate authority for services: it signs X.509-SVIDs (SPIFFE identities) through pluggable key stores.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod authority;
pub mod identity;
pub mod store;
