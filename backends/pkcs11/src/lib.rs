//! Signing keys in a token behind PKCS#11 (OASIS PKCS#11 2.40 and 3.x): an HSM, a card, SoftHSM, Kryoptic.
//!
//! `token/` is the way to the vendor's library: module, slot, login, and a pool of sessions on threads of their own.
//! `keys/` is what is done there: finding, making and using keys. [`Pkcs11Backend`] is both behind the signing contract.

mod backend;
mod config;
mod keys;
#[cfg(test)]
mod tests;
mod token;
mod trouble;

pub use backend::Pkcs11Backend;
pub use catalyst_signing::Opening;
pub use config::{Pin, TokenChoice, TokenConfig};
