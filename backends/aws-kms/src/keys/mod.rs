//! What is done with keys in KMS.

mod address;
mod ask;
mod key;
mod lifecycle;
mod mechanism;
mod message;
mod resolve;
mod route;
mod tags;
mod whereabouts;

pub(crate) use address::{KeyArn, Reference};
pub(crate) use key::AwsKmsKey;
pub(crate) use lifecycle::{create, find, give_up, list};
pub(crate) use mechanism::{Mechanism, capabilities, unsupported};
pub(crate) use resolve::resolve;
pub(crate) use tags::Tags;
pub(crate) use whereabouts::whereabouts;
