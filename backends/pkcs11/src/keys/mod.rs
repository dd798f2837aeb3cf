//! What is done at a token: finding, making and using keys.

mod address;
mod attributes;
mod create;
mod find;
mod give_up;
mod key;
mod label;
mod mechanism;
mod private;
mod public;

pub(crate) use address::Address;
pub(crate) use create::{Turns, create};
pub(crate) use find::{find, list, resolve};
pub(crate) use give_up::give_up;
pub(crate) use key::Pkcs11Key;
pub(crate) use mechanism::{capabilities, everything};
