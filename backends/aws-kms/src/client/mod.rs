//! The way to KMS.

mod clients;

pub(crate) use clients::Clients;
