//! A certificate authority for services.
#![forbid(unsafe_code)]
#![warn(missing_docs)]
