//! What is done with keys in Cloud KMS.

mod ask;
mod create;
mod find;
mod give_up;
mod key;
mod labels;
mod level;
mod mechanism;
mod message;
mod name;
mod pages;
mod patience;
mod resolve;
#[cfg(test)]
mod tests;

pub(crate) use create::create;
pub(crate) use find::{find, list};
pub(crate) use give_up::give_up;
pub(crate) use key::GcpKmsKey;
pub(crate) use mechanism::{Mechanism, capabilities, unsupported};
pub(crate) use name::{CryptoKey, Version};
pub use name::{KeyRing, Reference};
pub(crate) use resolve::{resolve, whereabouts};
