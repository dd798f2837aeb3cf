//! The way to Cloud KMS.

mod clients;
mod credentials;
mod describe;

pub(crate) use clients::Clients;
#[cfg(test)]
pub(crate) use credentials::watched;
