//! The way to KMS.

mod clients;
mod credentials;
mod describe;
mod memory;
mod regions;

pub(crate) use clients::Clients;
#[cfg(test)]
pub(crate) use credentials::{in_time, settings};
pub(crate) use regions::Regions;
