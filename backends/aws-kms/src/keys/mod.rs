//! What is done with keys in KMS.

mod address;
mod ask;
mod attempts;
mod complete;
mod create;
mod find;
mod give_up;
mod key;
mod mechanism;
mod message;
mod policy;
mod resolve;
mod route;
mod scan;
mod tags;
#[cfg(test)]
mod tests;
mod whereabouts;

pub(crate) use address::{KeyArn, Reference};
pub(crate) use attempts::Attempts;
pub(crate) use create::create;
pub(crate) use find::{find, list};
pub(crate) use give_up::give_up;
pub(crate) use key::AwsKmsKey;
pub(crate) use mechanism::{Mechanism, capabilities, unsupported};
pub(crate) use resolve::resolve;
pub(crate) use whereabouts::whereabouts;
