//! A key store of one's own, as `docs/backends/README.md` has it: the recipe's code is taken from here.
//!
//! [`ToyBackend`] is the adapter. Behind it is a [`vault`]: a server on a Unix socket that keeps keys in its memory and
//! answers one question per connection, in the place of a vendor's HSM or service.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod ask;
mod backend;
mod key;
mod keys;
pub mod vault;

pub use backend::{ToyBackend, ToyConfig};
