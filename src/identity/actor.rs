//! Who did something, as the audit log and the database name them.

use super::{Serial, SpiffeId};
use std::fmt;

/// Who asked for a step of the CA. Never holds a credential, only its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Actor {
    /// This service on its own account: start-up, timers.
    Service,
    /// Whoever holds the preset `CATALYST_SYSTEM_TOKEN`.
    System,
    /// The bearer of a token.
    Token {
        /// The token's `sub`.
        subject: String,
        /// The token's `jti`, by which it can be revoked.
        jti: String,
    },
    /// Whoever holds a bootstrap credential.
    Bootstrap {
        /// Its `jti`, or `preset`.
        credential: String,
    },
    /// The holder of a certificate of this CA.
    Svid {
        /// Its identity.
        spiffe_id: SpiffeId,
        /// Its serial number.
        serial: Serial,
    },
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service => f.write_str("service"),
            Self::System => f.write_str("system"),
            Self::Token { subject, jti } => write!(f, "token:{subject}:{jti}"),
            Self::Bootstrap { credential } => write!(f, "bootstrap:{credential}"),
            Self::Svid { spiffe_id, serial } => write!(f, "svid:{spiffe_id}:{serial}"),
        }
    }
}
