//! DNS names and instance ids, the last segment of a service's SPIFFE id.

use super::excerpt;
use std::{fmt, str::FromStr};

/// A lower-case DNS name (RFC 1123: letters, digits and inner hyphens; labels of 1 to 63, 253 in all). Its last
/// label is not all digits, so it can't be read as an IP address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DnsName(String);

/// The name of one instance of a service: a [`DnsName`] that is not reserved.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstanceId(DnsName);

/// Why a text is no DNS name or instance id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InstanceIdError {
    /// Not of RFC 1123's form.
    #[error(
        "'{0}' is not a lower-case DNS name (RFC 1123: a-z, 0-9, inner hyphens, labels of 1 to 63, at most 253 characters, the last label not all digits)"
    )]
    NotDns(String),
    /// A name that services share or that is given as an alias.
    #[error(
        "'{0}' is reserved: an instance id is neither 'auth' nor 'localhost', and does not begin with 'orch-' or 'envoy-proxy-'"
    )]
    Reserved(String),
}

impl DnsName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DnsName {
    type Err = InstanceIdError;
    fn from_str(text: &str) -> Result<Self, InstanceIdError> {
        let last = text.rsplit('.').next().unwrap_or_default();
        let valid =
            text.len() <= 253 && text.split('.').all(is_label) && !last.bytes().all(|b| b.is_ascii_digit());
        if valid { Ok(Self(text.to_owned())) } else { Err(InstanceIdError::NotDns(excerpt(text))) }
    }
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

impl InstanceId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The id as the DNS name it is.
    pub fn as_dns_name(&self) -> &DnsName {
        &self.0
    }

    /// The first label: what aliases are made of.
    pub fn short(&self) -> &str {
        self.as_str().split('.').next().unwrap_or_default()
    }
}

impl FromStr for InstanceId {
    type Err = InstanceIdError;
    fn from_str(text: &str) -> Result<Self, InstanceIdError> {
        let name: DnsName = text.parse()?;
        let reserved = matches!(text, "auth" | "localhost")
            || text.starts_with("orch-")
            || text.starts_with("envoy-proxy-");
        if reserved { Err(InstanceIdError::Reserved(excerpt(text))) } else { Ok(Self(name)) }
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reserved_names_are_no_instance_ids() {
        for id in ["auth", "localhost", "orch-a", "orch-a.example.org", "envoy-proxy-a.b"] {
            assert_eq!(id.parse::<InstanceId>(), Err(InstanceIdError::Reserved(id.into())));
        }
        for id in ["auth-1", "a.orch-b", "orchestra", "localhost.example.org", "n1"] {
            assert!(id.parse::<InstanceId>().is_ok(), "{id}");
        }
    }

    #[test]
    fn what_is_no_lower_case_dns_name_is_refused() {
        let long_label = "a".repeat(64);
        let long_name = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(62)].join(".");
        for id in [
            "",
            ".",
            "a..b",
            "A",
            "a_b",
            "-a",
            "a-",
            "a.",
            ".a",
            "10.0.0.1",
            "7",
            "a b",
            "é",
            "a/b",
            &long_label,
            &long_name,
        ] {
            assert!(matches!(id.parse::<InstanceId>(), Err(InstanceIdError::NotDns(_))), "{id}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_keeps_the_text(text in "\\PC{0,80}") {
            if let Ok(id) = text.parse::<InstanceId>() {
                prop_assert_eq!(id.as_str(), text.as_str());
            }
        }

        #[test]
        fn every_dns_label_sequence_is_a_name(text in "[a-z][a-z0-9]{0,10}(\\.[a-z][a-z0-9-]{0,10}[a-z]){0,4}") {
            prop_assert!(text.parse::<DnsName>().is_ok());
        }
    }
}
