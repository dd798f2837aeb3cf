//! The contract between the CA and a key store. A backend knows no X.509; the CA holds no backend key, only a
//! [`GuardedKey`].
//!
//! Four pieces: [`SigningBackend`] is a key store, [`SigningKey`] an open key, [`KeyLifecycle`] makes and finds
//! keys, and [`GuardedKey`] is the only way to a signature.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod algorithm;
mod backend;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod ecdsa;
mod error;
mod external_mu;
mod guard;
mod intent;
mod key_stores;
mod misplaced;
mod opening;
mod pin;
mod renewed;
mod tags;
mod told;
mod uri;

pub use algorithm::{SignatureAlgorithm, UnknownAlgorithm};
pub use backend::{
    Capability, Fact, FoundKey, KeyLifecycle, KeyState, Quota, SigningBackend, SigningKey, Whereabouts,
};
pub use error::{Refusal, Result, SignError, TransientKind};
pub use guard::{
    Guard, GuardedKey, KeyHealth, KeyNow, KeyPolicy, KeyView, NoObserver, Observer, Operation, Outcome,
    Purpose, SigningEvent, Verified,
};
pub use intent::{InvalidNonce, KeyIntent, KeyRole, Nonce, UnknownRole};
pub use key_stores::KeyStores;
pub use misplaced::{PIN_MISPLACED, holds_pin};
pub use opening::Opening;
pub use pin::{KeyPin, KeyUri, KeyUriError};
pub use renewed::Renewed;
pub use tags::KeyTags;
pub use told::{causes, place, told, words};
