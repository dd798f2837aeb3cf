//! What an operator decides about the CA, in the CA's own words.

use crate::{
    identity::{CaRole, DnsName, InstanceId, ServiceType, TrustDomain, Ttl},
    store::KeyRole,
};
use catalyst_signing::SignatureAlgorithm;
use std::{str::FromStr, time::Duration};

/// The settings of an [`super::Authority`].
#[derive(Clone, Debug)]
pub struct Config {
    /// The trust domain; must be the stored one once there is one.
    pub trust_domain: TrustDomain,
    /// How long an SVID lives when the request names no lifetime.
    pub svid_ttl: Ttl,
    /// At most so many certificates for one identity per half-life of [`Config::svid_ttl`]; `None`: no limit.
    pub issue_limit: Option<u32>,
    /// DNS names that identities may have besides their own.
    pub dns_patterns: Vec<DnsPattern>,
    /// The signature algorithm of CA keys made from now on.
    pub algorithm: SignatureAlgorithm,
    /// Which key store holds keys made from now on.
    pub key_backends: KeyBackends,
    /// Existing keys that those key stores hold, for the next generations.
    pub key_references: KeyReferences,
    /// How long a request may wait for its signature.
    pub signing_deadline: Duration,
    /// How many signatures one key may have under way.
    pub signing_concurrency: usize,
}

impl Config {
    /// The defaults for a trust domain: one-hour SVIDs, P-384, local keys, ten certificates per half-life.
    pub fn new(trust_domain: TrustDomain) -> Self {
        Self {
            trust_domain,
            svid_ttl: Ttl::HOUR,
            issue_limit: Some(10),
            dns_patterns: Vec::new(),
            algorithm: SignatureAlgorithm::EcP384,
            key_backends: KeyBackends::all("local"),
            key_references: KeyReferences::default(),
            signing_deadline: Duration::from_secs(10),
            signing_concurrency: 128,
        }
    }
}

/// Names of key stores by what their keys are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyBackends {
    /// For the root CA.
    pub root: String,
    /// For services CAs.
    pub services: String,
    /// For transport CAs.
    pub transport: String,
    /// For token signing keys.
    pub tokens: String,
}

impl KeyBackends {
    /// The same key store for everything.
    pub fn all(name: &str) -> Self {
        Self { root: name.into(), services: name.into(), transport: name.into(), tokens: name.into() }
    }

    /// The key store for CAs of this role.
    pub fn for_ca(&self, role: CaRole) -> &str {
        match role {
            CaRole::Root => &self.root,
            CaRole::Services => &self.services,
            CaRole::Transport => &self.transport,
        }
    }
}

/// An existing key that is to be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedKey {
    /// As its key store names it, or as an operator writes it.
    pub reference: String,
    /// The setting that names it; `None`: a request does.
    pub setting: Option<String>,
}

/// Existing keys for the next generations, by what they are for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyReferences {
    /// For the root CA.
    pub root: Option<NamedKey>,
    /// For services CAs.
    pub services: Option<NamedKey>,
    /// For transport CAs.
    pub transport: Option<NamedKey>,
    /// For token signing keys.
    pub tokens: Option<NamedKey>,
}

impl KeyReferences {
    /// The key for CAs of this role.
    pub fn for_ca(&self, role: CaRole) -> Option<&NamedKey> {
        match role {
            CaRole::Root => self.root.as_ref(),
            CaRole::Services => self.services.as_ref(),
            CaRole::Transport => self.transport.as_ref(),
        }
    }
}

impl Config {
    /// The keys that settings name, with their roles and key stores.
    pub(super) fn named_keys(&self) -> impl Iterator<Item = (KeyRole, &str, &NamedKey)> {
        let (named, stores) = (&self.key_references, &self.key_backends);
        [
            (KeyRole::Ca(CaRole::Root), &stores.root, &named.root),
            (KeyRole::Ca(CaRole::Services), &stores.services, &named.services),
            (KeyRole::Ca(CaRole::Transport), &stores.transport, &named.transport),
            (KeyRole::Token, &stores.tokens, &named.tokens),
        ]
        .into_iter()
        .filter_map(|(role, backend, key)| Some((role, backend.as_str(), key.as_ref()?)))
    }

    /// The key that a setting names for CAs of this role, if their keys are made in this key store.
    pub(super) fn named_key(&self, role: CaRole, backend: &str) -> Option<NamedKey> {
        let named = self.key_references.for_ca(role);
        named.filter(|_| self.key_backends.for_ca(role) == backend).cloned()
    }
}

/// A DNS name that an operator allows to identities of one type, as `<type>=<pattern>`. The pattern may hold
/// `{instance}` and `{short}`, or begin with `*.`, which stands for exactly one label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsPattern {
    service_type: ServiceType,
    pattern: String,
}

/// The text is no DNS pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is no DNS name pattern: write <service-type>=<name>, where the name may hold {{instance}} or {{short}}, or begin with '*.'"
)]
pub struct DnsPatternError(pub String);

impl FromStr for DnsPattern {
    type Err = DnsPatternError;
    fn from_str(text: &str) -> Result<Self, DnsPatternError> {
        let error = || DnsPatternError(text.to_owned());
        let (service_type, pattern) = text.trim().split_once('=').ok_or_else(error)?;
        let example = pattern.replace("{instance}", "a").replace("{short}", "a");
        example.strip_prefix("*.").unwrap_or(&example).parse::<DnsName>().map_err(|_| error())?;
        // A wildcard over a whole top-level domain would give one identity everybody's names.
        if pattern.strip_prefix("*.").is_some_and(|rest| !rest.contains('.')) {
            return Err(error());
        }
        Ok(Self {
            service_type: service_type.trim().parse().map_err(|_| error())?,
            pattern: pattern.to_owned(),
        })
    }
}

impl DnsPattern {
    /// Whether the pattern allows this name to this instance.
    pub(super) fn allows(&self, service_type: ServiceType, instance: &InstanceId, name: &DnsName) -> bool {
        if service_type != self.service_type {
            return false;
        }
        let wanted =
            self.pattern.replace("{instance}", instance.as_str()).replace("{short}", instance.short());
        match wanted.strip_prefix("*.") {
            Some(parent) => name.as_str().split_once('.').is_some_and(|(_, rest)| rest == parent),
            None => wanted == name.as_str(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_allows_what_it_says_and_no_more() {
        let instance: InstanceId = "node-a.example.org".parse().unwrap();
        let allows = |pattern: &str, name: &str| {
            let pattern: DnsPattern = pattern.parse().unwrap();
            pattern.allows(ServiceType::Node, &instance, &name.parse().unwrap())
        };
        assert!(allows("node={short}.mesh.local", "node-a.mesh.local"));
        assert!(!allows("node={short}.mesh.local", "node-b.mesh.local"));
        assert!(!allows("gateway={short}.mesh.local", "node-a.mesh.local"));
        assert!(allows("node=*.mesh.local", "x.mesh.local"));
        assert!(!allows("node=*.mesh.local", "x.y.mesh.local"));
        assert!(!allows("node=*.mesh.local", "mesh.local"));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in [
            "",
            "node",
            "node=",
            "nodes=a.b",
            "node=*",
            "node=*.local",
            "node=a.*.b",
            "node=A.b",
            "node={x}.b",
        ] {
            assert!(text.parse::<DnsPattern>().is_err(), "{text}");
        }
    }
}
