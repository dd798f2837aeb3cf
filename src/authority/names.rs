//! Which DNS names an SVID gets: its instance id always, its type's alias, and what an operator allows.

use super::{Result, config::DnsPattern, error::AuthorityError, issuance::IssueRequest, own::OwnNames};
use crate::identity::{DnsName, InstanceId, ServiceType};

/// The one name that instances share on purpose.
const SHARED: &str = "auth";
/// Every machine's name for itself: in a certificate if an operator says so, and nobody's.
const LOCALHOST: &str = "localhost";

/// Whether a name in a certificate has no owner.
pub(super) fn is_nobodys(name: &DnsName) -> bool {
    matches!(name.as_str(), SHARED | LOCALHOST)
}

/// What a certificate should carry, before the owners are known.
pub(super) struct Wanted {
    shared: Vec<DnsName>,
    /// The instance id first.
    owned: Vec<DnsName>,
    /// Of `owned`, the alias that may be left out.
    optional: Option<DnsName>,
    /// Of `owned`, what an operator added to the service's own certificate; left out where it is another's.
    offered: Vec<DnsName>,
}

/// What a certificate will carry.
pub(super) struct Settled {
    /// All of it, in the certificate's order.
    pub(super) all: Vec<DnsName>,
    /// The part that belongs to the instance from now on.
    pub(super) owned: Vec<DnsName>,
}

/// The names of a request, each allowed to its identity.
pub(super) fn wanted(request: &IssueRequest, patterns: &[DnsPattern]) -> Result<Wanted> {
    let workload = &request.workload;
    let (service_type, instance) = (workload.service_type(), workload.instance_id());
    let alias = alias(service_type, instance);
    let mut wanted = Wanted {
        shared: Vec::new(),
        owned: vec![instance.as_dns_name().clone()],
        optional: None,
        offered: Vec::new(),
    };
    match alias.clone() {
        Some(alias) if alias.as_str() == SHARED => wanted.shared.push(alias),
        Some(alias) => {
            wanted.owned.push(alias.clone());
            wanted.optional = Some(alias);
        }
        None => {}
    }
    for asked in request.csr.dns_names() {
        let not_allowed = || AuthorityError::NameNotAllowed(asked.chars().take(253).collect());
        let name: DnsName = asked.parse().map_err(|_| not_allowed())?;
        if wanted.optional.as_ref() == Some(&name) {
            wanted.optional = None; // asked for by name: then it must not silently be missing
        }
        if wanted.owned.contains(&name) || wanted.shared.contains(&name) {
            continue;
        }
        if !patterns.iter().any(|pattern| pattern.allows(service_type, instance, &name)) {
            return Err(not_allowed());
        }
        wanted.owned.push(name);
    }
    Ok(wanted)
}

/// `auth`, `orch-<short>` or `envoy-proxy-<short>`; none where that is no DNS name.
fn alias(service_type: ServiceType, instance: &InstanceId) -> Option<DnsName> {
    match service_type {
        ServiceType::Auth => SHARED.parse().ok(),
        ServiceType::Orchestrator => format!("orch-{}", instance.short()).parse().ok(),
        ServiceType::EnvoyApp | ServiceType::EnvoyTransport => {
            format!("envoy-proxy-{}", instance.short()).parse().ok()
        }
        ServiceType::Node | ServiceType::Gateway => None,
    }
}

impl Wanted {
    /// The names that need an owner.
    pub(super) fn owned(&self) -> &[DnsName] {
        &self.owned
    }

    /// Adds what an operator wants in the service's own certificate.
    pub(super) fn with_own(mut self, names: &OwnNames) -> Self {
        for name in &names.dns_names {
            if self.owned.contains(name) || self.shared.contains(name) {
                continue;
            }
            if name.as_str() == LOCALHOST {
                self.shared.push(name.clone());
            } else {
                self.offered.push(name.clone());
                self.owned.push(name.clone());
            }
        }
        self
    }

    /// Settles the names against their owners: an alias of somebody else's is left out, any other name is refused.
    pub(super) fn settle(self, instance: &InstanceId, owners: &[(DnsName, InstanceId)]) -> Result<Settled> {
        let mut owned = Vec::with_capacity(self.owned.len());
        for name in self.owned {
            let other = owners.iter().find(|(taken, owner)| *taken == name && owner != instance);
            match other {
                None => owned.push(name),
                Some((_, owner)) if self.optional.as_ref() == Some(&name) => tracing::warn!(
                    target: "catalyst.pki",
                    name = %name,
                    owner = %owner,
                    instance_id = %instance,
                    "DNS alias left out — it belongs to another instance"
                ),
                Some((_, owner)) if self.offered.contains(&name) => tracing::warn!(
                    target: "catalyst.pki",
                    name = %name,
                    owner = %owner,
                    "Name of CATALYST_PKI_TLS_NAMES left out — it belongs to another instance"
                ),
                Some((_, owner)) => {
                    return Err(AuthorityError::NameTaken { name, owner: owner.to_string() });
                }
            }
        }
        let all = owned.iter().chain(&self.shared).cloned().collect();
        Ok(Settled { all, owned })
    }
}
