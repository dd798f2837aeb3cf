//! The way to Cloud KMS.

mod clients;
mod credentials;
mod describe;

pub(crate) use clients::Clients;
