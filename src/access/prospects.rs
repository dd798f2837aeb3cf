//! Whether there is anything at all that policy lets somebody do: asked before they are shown what could be asked for.

use super::{Access, Action, Caller, Resource};
use crate::identity::{ServiceType, TrustDomain, Workload};

/// So many of a caller's trusted nodes, and of its domains, are tried: every call is decided for itself anyhow.
const MOST: usize = 8;
/// Of a node in a domain that no node is known of.
const SOME_NODE: &str = "node";

impl Access {
    /// Whether policy lets the caller do any of these actions with something that it may have to do with. A yes leaves
    /// no trace, for nothing was done; a no is recorded as one denial, of the first action.
    pub fn may_any(&self, caller: &Caller, actions: &[Action]) -> bool {
        let resources = self.prospects(caller);
        let allowed = |resource| actions.iter().any(|action| self.decide(caller, *action, resource).is_ok());
        let any = resources.iter().any(allowed);
        if let Some(first) = actions.first().filter(|_| !any) {
            self.record_denial(caller, *first, &Resource::whole(), &[]);
        }
        any
    }

    /// What a caller may have to do with: the deployment, this service, its own identity and node, and what it is
    /// limited to.
    fn prospects(&self, caller: &Caller) -> Vec<Resource> {
        let facts = &caller.facts;
        let trust_domain = self.config.own.spiffe_id().trust_domain().parse::<TrustDomain>().ok();
        let mut found = vec![Resource::whole(), self.own()];
        let own = trust_domain.as_ref().zip(facts.spiffe_id.clone());
        let own = own.and_then(|(trust_domain, id)| Workload::of(trust_domain, id).ok());
        found.extend(own.map(|workload| self.certificates_of(&workload)));
        let domains: Vec<&str> = facts.trusted_domains.iter().take(MOST).map(String::as_str).collect();
        let service = self.config.own.instance_id().as_str();
        let nodes = facts.node_id.iter().chain(facts.trusted_nodes.iter().take(MOST)).map(String::as_str);
        let mut places: Vec<(String, Option<&str>)> = nodes
            .chain([service])
            .flat_map(|node| [(node.to_owned(), None), (node.to_owned(), domains.first().copied())])
            .collect();
        // Whoever is limited to nodes too has one of those in the domain; others have any node in it.
        let node = facts.trusted_nodes.first();
        let in_domain = |domain: &&str| node.cloned().unwrap_or_else(|| format!("{SOME_NODE}.{domain}"));
        places.extend(domains.iter().map(|domain| (in_domain(domain), Some(*domain))));
        for (node, domain) in places {
            let certificate = trust_domain
                .as_ref()
                .zip(node.parse().ok())
                .and_then(|(trust_domain, id)| Workload::new(trust_domain, ServiceType::Node, id).ok())
                .map(|workload| self.certificates_of(&workload));
            for mut resource in [Some(self.node(&node)), certificate].into_iter().flatten() {
                if let Some(domain) = domain {
                    resource.domain_id = domain.to_owned();
                }
                found.push(resource);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        access::{Config, Credential, Facts, Policies, PrincipalKind},
        identity::{Actor, SystemClock},
        store::{AuditQuery, SqliteStore, Store},
    };
    use std::{sync::Arc, time::Duration};

    const ADMINISTRATION: &[Action] =
        &[Action::CaManage, Action::CertSign, Action::CertList, Action::IdentityDeny];

    fn access(store: Arc<dyn Store>) -> Access {
        let trust_domain: TrustDomain = "example.org".parse().unwrap();
        let own =
            Workload::new(&trust_domain, ServiceType::Auth, "auth-1.example.org".parse().unwrap()).unwrap();
        let domains = vec!["example.org".to_owned(), "other.org".to_owned()];
        let config = Config { own, domains, dev: false, bootstrap_ttl: Duration::from_secs(60) };
        Access::new(config, store, Arc::new(SystemClock), Policies::built_in().unwrap())
    }

    fn caller(kind: PrincipalKind, more: impl FnOnce(&mut Facts)) -> Caller {
        let mut facts = Facts {
            kind,
            cedar_id: "someone".to_owned(),
            sub: "someone".to_owned(),
            id: "someone".to_owned(),
            name: "someone".to_owned(),
            entity_type: "service".to_owned(),
            node_id: None,
            spiffe_id: None,
            trusted_nodes: Vec::new(),
            trusted_domains: Vec::new(),
        };
        more(&mut facts);
        let actor = Actor::Token { subject: "someone".to_owned(), jti: "1".to_owned() };
        Caller {
            actor,
            facts: Arc::new(facts),
            credential: Credential::Token { expires: None, is_bound: false },
        }
    }

    #[tokio::test]
    async fn whoever_may_anything_at_all_is_found() {
        let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory().unwrap());
        let access = access(store);
        let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let may = |kind, more: &dyn Fn(&mut Facts)| {
            access.may_any(&caller(kind, |facts| more(facts)), ADMINISTRATION)
        };
        assert!(may(PrincipalKind::Admin, &|_| {}));
        assert!(may(PrincipalKind::Admin, &|facts| facts.trusted_nodes = named(&["n1.other.org"])));
        assert!(may(PrincipalKind::Admin, &|facts| facts.trusted_domains = named(&["a.org", "other.org"])));
        assert!(may(PrincipalKind::Admin, &|facts| {
            facts.trusted_nodes = named(&["n1.other.org"]);
            facts.trusted_domains = named(&["example.org", "other.org"]);
        }));
        assert!(may(PrincipalKind::Node, &|facts| facts.node_id = Some("n1.other.org".to_owned())));
        assert!(!may(PrincipalKind::Node, &|_| {}));
        assert!(may(PrincipalKind::Bootstrap, &|_| {}));
        let id = "spiffe://example.org/node/n1.example.org";
        assert!(may(PrincipalKind::Bootstrap, &|facts| facts.spiffe_id = id.parse().ok()));
        let auth = "spiffe://example.org/auth/auth-2";
        assert!(!may(PrincipalKind::Bootstrap, &|facts| facts.spiffe_id = auth.parse().ok()));
        for kind in [PrincipalKind::NodeCustodian, PrincipalKind::DataCustodian, PrincipalKind::User] {
            assert!(!may(kind, &|_| {}), "{kind}");
        }
        // Every principal may do something somewhere.
        for kind in [PrincipalKind::NodeCustodian, PrincipalKind::DataCustodian, PrincipalKind::User] {
            assert!(access.may_any(&caller(kind, |_| {}), Action::ALL), "{kind}");
        }
    }

    #[tokio::test]
    async fn a_no_is_one_denial_and_a_yes_none() {
        let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory().unwrap());
        let access = access(store.clone());
        let denials = async || {
            access.record_denials().await.unwrap();
            store.audit(&AuditQuery { limit: 10, ..AuditQuery::default() }).await.unwrap()
        };
        assert!(access.may_any(&caller(PrincipalKind::Admin, |_| {}), ADMINISTRATION));
        assert!(denials().await.is_empty());
        assert!(!access.may_any(&caller(PrincipalKind::User, |_| {}), ADMINISTRATION));
        let [denial] = &denials().await[..] else { panic!("one record") };
        assert_eq!(denial.detail, r#"{"action":"CA_MANAGE","count":1}"#);
    }
}
