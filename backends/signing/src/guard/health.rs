//! Whether a key can be relied on.

use crate::SignError;
use std::time::SystemTime;

/// What the guard knows of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyHealth {
    /// The last signature was made and verified.
    Ready,
    /// The last attempt failed in a way that may pass; the key is still tried.
    Suspect {
        /// Since when.
        since: SystemTime,
        /// For people.
        reason: String,
    },
    /// Not tried any more until configuration changes or an operator retries.
    Latched {
        /// What every caller gets.
        error: SignError,
    },
}
