//! The three CAs of the hierarchy.

use super::excerpt;
use std::{fmt, str::FromStr};

/// What a CA is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CaRole {
    /// Signs the intermediates and its own CRL; nothing else.
    Root,
    /// Issues to `orchestrator`, `auth`, `node` and `gateway`.
    Services,
    /// Issues to `envoy/app` and `envoy/transport`.
    Transport,
}

impl CaRole {
    /// Root first: the order in which a hierarchy is made and shown.
    pub const ALL: [Self; 3] = [Self::Root, Self::Services, Self::Transport];

    /// The word in URLs, settings and key URIs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Services => "services",
            Self::Transport => "transport",
        }
    }

    /// The value of `certificate.type` in the database.
    pub fn certificate_type(self) -> &'static str {
        match self {
            Self::Root => "root-ca",
            Self::Services => "services-ca",
            Self::Transport => "transport-ca",
        }
    }

    /// How people write it, in log lines and default common names.
    pub fn title(self) -> &'static str {
        match self {
            Self::Root => "Root",
            Self::Services => "Services",
            Self::Transport => "Transport",
        }
    }

    /// The subject CN of a CA that nobody named: `Catalyst Root CA`.
    pub fn default_common_name(self) -> String {
        format!("Catalyst {} CA", self.title())
    }

    /// The role of an intermediate by the word Services or Transport in its name, in any case; `None` where the name
    /// has neither or both.
    pub fn in_name(common_name: &str) -> Option<Self> {
        let name = common_name.to_lowercase();
        match (name.contains("services"), name.contains("transport")) {
            (true, false) => Some(Self::Services),
            (false, true) => Some(Self::Transport),
            _ => None,
        }
    }
}

impl fmt::Display for CaRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The word names no CA role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown CA role '{0}': use root, services or transport")]
pub struct UnknownCaRole(pub String);

impl FromStr for CaRole {
    type Err = UnknownCaRole;
    fn from_str(text: &str) -> Result<Self, UnknownCaRole> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or_else(|| UnknownCaRole(excerpt(text)))
    }
}
