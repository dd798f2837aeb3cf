//! What is done with keys in KMS.

mod address;
mod attempts;
mod complete;
mod create;
mod find;
mod give_up;
mod key;
mod mechanism;
mod policy;
mod resolve;
mod scan;
mod tags;

pub(crate) use address::{KeyArn, Reference};
pub(crate) use attempts::Attempts;
pub(crate) use create::create;
pub(crate) use find::{find, list};
pub(crate) use give_up::give_up;
pub(crate) use key::AwsKmsKey;
pub(crate) use mechanism::{Form, Mechanism, capabilities, unsupported};
pub(crate) use resolve::resolve;
pub(crate) use tags::Tags;
