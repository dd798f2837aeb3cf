//! SPIFFE ids (SPIFFE-ID specification, section 2).

use super::{TrustDomain, TrustDomainError};
use std::{fmt, str::FromStr};

/// A workload's SPIFFE id: `spiffe://<trust-domain>/<segment>/…`, at most 2048 bytes, the path never empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpiffeId {
    text: String,
    path_at: usize,
}

/// Why a text is no SPIFFE id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpiffeIdError {
    /// More than 2048 bytes.
    #[error("a SPIFFE id has at most 2048 bytes")]
    TooLong,
    /// Another scheme.
    #[error("a SPIFFE id begins with 'spiffe://' (lower case)")]
    Scheme,
    /// The part up to the first slash.
    #[error(transparent)]
    TrustDomain(#[from] TrustDomainError),
    /// The part after it.
    #[error(
        "a SPIFFE id's path is one or more segments of A-Z a-z 0-9 . _ -, none empty, '.' or '..'; no trailing slash, query, fragment, port or percent-encoding"
    )]
    Path,
}

impl SpiffeId {
    /// The whole URI.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The trust domain's name.
    pub fn trust_domain(&self) -> &str {
        &self.text["spiffe://".len()..self.path_at]
    }

    /// The path without its leading slash.
    pub fn path(&self) -> &str {
        &self.text[self.path_at + 1..]
    }
}

impl FromStr for SpiffeId {
    type Err = SpiffeIdError;
    fn from_str(text: &str) -> Result<Self, SpiffeIdError> {
        if text.len() > 2048 {
            return Err(SpiffeIdError::TooLong);
        }
        let rest = text.strip_prefix("spiffe://").ok_or(SpiffeIdError::Scheme)?;
        let (domain, path) = rest.split_once('/').ok_or(SpiffeIdError::Path)?;
        domain.parse::<TrustDomain>()?;
        if !path.split('/').all(is_segment) {
            return Err(SpiffeIdError::Path);
        }
        Ok(Self { text: text.to_owned(), path_at: text.len() - path.len() - 1 })
    }
}

fn is_segment(segment: &str) -> bool {
    !matches!(segment, "" | "." | "..")
        && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_parts_are_those_of_the_uri() {
        let id: SpiffeId = "spiffe://catalyst.example.com/envoy/app/proxy-1".parse().unwrap();
        assert_eq!(id.trust_domain(), "catalyst.example.com");
        assert_eq!(id.path(), "envoy/app/proxy-1");
    }

    #[test]
    fn what_the_specification_forbids_is_refused() {
        let long = format!("spiffe://td/{}", "a".repeat(2048));
        for text in [
            "",
            "spiffe://",
            "spiffe://td",
            "spiffe://td/",
            "spiffe://td/a/",
            "spiffe://td//a",
            "spiffe://td/./a",
            "spiffe://td/../a",
            "spiffe://td/a%2fb",
            "spiffe://td:1/a",
            "spiffe://u@td/a",
            "spiffe://td/a?b",
            "spiffe://td/a#b",
            "SPIFFE://td/a",
            "Spiffe://td/a",
            "spiffe://TD/a",
            "https://td/a",
            "spiffe:///a",
            "spiffe://td/a b",
            "spiffe://td/é",
            "spiffe://td/a\0",
            &long,
        ] {
            assert!(text.parse::<SpiffeId>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_keeps_the_text(text in "(spiffe://)?\\PC{0,60}") {
            if let Ok(id) = text.parse::<SpiffeId>() {
                prop_assert_eq!(format!("spiffe://{}/{}", id.trust_domain(), id.path()), text);
            }
        }

        #[test]
        fn every_id_of_the_grammar_is_taken(text in "spiffe://[a-z0-9._-]{1,20}(/[A-Za-z0-9_-]{1,8}){1,5}") {
            prop_assert!(text.parse::<SpiffeId>().is_ok());
        }
    }
}
