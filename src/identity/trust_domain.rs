//! Trust domains (SPIFFE-ID specification, section 2.1).

use super::excerpt;
use std::{fmt, str::FromStr};

/// A trust domain's name: 1 to 255 of `a-z 0-9 . _ -`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrustDomain(String);

/// The text is no trust domain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no trust domain: 1 to 255 characters of a-z 0-9 . _ - (lower case, no scheme, no port)")]
pub struct TrustDomainError(pub String);

impl TrustDomain {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TrustDomain {
    type Err = TrustDomainError;
    fn from_str(text: &str) -> Result<Self, TrustDomainError> {
        let valid = (1..=255).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b));
        if valid { Ok(Self(text.to_owned())) } else { Err(TrustDomainError(excerpt(text))) }
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
