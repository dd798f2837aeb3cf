//! What kind of service an identity is for; it decides the issuing CA.

use super::{CaRole, excerpt};
use std::{fmt, str::FromStr};

/// The service type, the first part of a SPIFFE id's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ServiceType {
    /// `orchestrator`
    Orchestrator,
    /// `auth`: the CA itself.
    Auth,
    /// `node`
    Node,
    /// `gateway`
    Gateway,
    /// `envoy/app`
    EnvoyApp,
    /// `envoy/transport`
    EnvoyTransport,
}

impl ServiceType {
    /// Every type there is.
    pub const ALL: [Self; 6] =
        [Self::Orchestrator, Self::Auth, Self::Node, Self::Gateway, Self::EnvoyApp, Self::EnvoyTransport];

    /// As in the SPIFFE id's path.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Orchestrator => "orchestrator",
            Self::Auth => "auth",
            Self::Node => "node",
            Self::Gateway => "gateway",
            Self::EnvoyApp => "envoy/app",
            Self::EnvoyTransport => "envoy/transport",
        }
    }

    /// The CA that issues to services of this type.
    pub fn issuing_role(self) -> CaRole {
        match self {
            Self::Orchestrator | Self::Auth | Self::Node | Self::Gateway => CaRole::Services,
            Self::EnvoyApp | Self::EnvoyTransport => CaRole::Transport,
        }
    }
}

impl fmt::Display for ServiceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The word names no service type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown service type '{0}': use orchestrator, auth, node, gateway, envoy/app or envoy/transport")]
pub struct UnknownServiceType(pub String);

impl FromStr for ServiceType {
    type Err = UnknownServiceType;
    fn from_str(text: &str) -> Result<Self, UnknownServiceType> {
        Self::ALL.into_iter().find(|t| t.as_str() == text).ok_or_else(|| UnknownServiceType(excerpt(text)))
    }
}
