//! The way to Cloud KMS.

mod clients;
mod credentials;
mod describe;

pub(crate) use clients::Clients;
pub(crate) use credentials::account_of;
#[cfg(test)]
pub(crate) use credentials::watched;
