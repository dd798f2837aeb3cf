//! The words everyone shares: who a service is, which certificate is meant, when something happened.
//!
//! Every type is parsed once, at the edge; inside the house a value of the type is valid.

mod actor;
mod ca_role;
mod fingerprint;
mod instance_id;
mod lifetime;
mod serial;
mod service_type;
mod spiffe_id;
mod timestamp;
mod trust_domain;
mod ttl;
mod workload;

pub use actor::Actor;
pub use ca_role::{CaRole, UnknownCaRole};
pub use fingerprint::{Fingerprint, FingerprintError, KeyId, SpkiHash};
pub(crate) use fingerprint::{hex, sha256};
// The core shows most hashes through their own types, and reads none.
#[cfg(feature = "server")]
pub(crate) use fingerprint::unhex;
pub use instance_id::{DnsName, InstanceId, InstanceIdError};
pub use lifetime::{LifetimeError, lifetime};
pub use serial::{Serial, SerialError};
pub use service_type::{ServiceType, UnknownServiceType};
pub use spiffe_id::{SpiffeId, SpiffeIdError};
pub use timestamp::{Clock, SystemClock, Timestamp, TimestampError};
pub use trust_domain::{TrustDomain, TrustDomainError};
pub use ttl::{Ttl, TtlError};
pub use workload::{Workload, WorkloadError};

/// As much of a text that somebody sent as an error repeats.
fn excerpt(text: &str) -> String {
    text.chars().take(300).collect()
}
