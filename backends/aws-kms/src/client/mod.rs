//! The way to KMS.

mod clients;
mod credentials;
mod describe;
mod memory;
mod regions;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use clients::Clients;
pub(crate) use regions::Regions;
