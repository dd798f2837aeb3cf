//! Checksums in messages.

use catalyst_rigs::gcp::crc32c;
use serde_json::Value;

/// The checksum of these octets, as a message carries it: an int64 is a string in JSON.
pub(crate) fn checksum(octets: &[u8]) -> Value {
    carried(crc32c(octets))
}

/// A checksum as a message carries it.
pub(crate) fn carried(crc: u32) -> Value {
    Value::String(crc.to_string())
}
