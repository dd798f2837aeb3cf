//! The contract between the CA and a key store. A backend knows no X.509; the CA holds no backend key, only a
//! [`GuardedKey`].
//!
//! Four pieces: [`SigningBackend`] is a key store, [`SigningKey`] an open key, [`KeyLifecycle`] makes and finds
//! keys, and [`GuardedKey`] is the only way to a signature.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod algorithm;
mod backend;
mod error;
mod intent;
mod pin;

