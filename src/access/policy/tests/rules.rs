//! Every kind of principal, every action, every kind of place, against the rules as the specification words them.

use super::{
    super::{
        super::{
            principal::Facts,
            vocabulary::{Action, PrincipalKind, Resource},
        },
        Decision, Policies,
    },
    facts, node,
};
use crate::identity::SpiffeId;

const OWN: &str = "spiffe://catalyst.example.com/node/n1.a.org";
const OTHER: &str = "spiffe://catalyst.example.com/node/n2.b.org";
const AUTH: &str = "spiffe://catalyst.example.com/auth/auth-1";

fn id(text: &str) -> SpiffeId {
    text.parse().unwrap()
}

fn certificates(node_id: &str, domain_id: &str, spiffe_id: &str, service_type: &'static str) -> Resource {
    Resource { spiffe_id: Some(id(spiffe_id)), service_type: Some(service_type), ..node(node_id, domain_id) }
}

/// A place, and what is known of it: name, resource, whether it lies in `n1`, whether in `a.org`.
fn places() -> Vec<(&'static str, Resource)> {
    vec![
        ("own node", certificates("n1.a.org", "a.org", OWN, "node")),
        (
            "own node, other type",
            certificates(
                "n1.a.org",
                "a.org",
                "spiffe://catalyst.example.com/envoy/app/n1.a.org",
                "envoy/app",
            ),
        ),
        (
            "other node of the domain",
            certificates("n3.a.org", "a.org", "spiffe://catalyst.example.com/node/n3.a.org", "node"),
        ),
        ("other node, other domain", certificates("n2.b.org", "b.org", OTHER, "node")),
        ("own node, no domain", node("n1.a.org", "")),
        ("other node, no domain", node("n9", "")),
        ("the domain itself", node("", "a.org")),
        ("whole", Resource::whole()),
        ("auth", certificates("", "", AUTH, "auth")),
        // Nothing of ours makes this; a caller of `authorize` may say it.
        ("auth with a node", certificates("n1.a.org", "a.org", AUTH, "auth")),
    ]
}

fn token(kind: PrincipalKind, nodes: &[&str], domains: &[&str]) -> Facts {
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    Facts { trusted_nodes: owned(nodes), trusted_domains: owned(domains), ..facts(kind) }
}

fn principals() -> Vec<Facts> {
    let sets: [(&[&str], &[&str]); 9] = [
        (&[], &[]),
        (&["n1.a.org"], &[]),
        (&[], &["a.org"]),
        (&["n1.a.org", "n2.b.org"], &["a.org"]),
        (&["n9"], &["b.org", "c.org"]),
        // A set that names nothing must not name the whole deployment.
        (&[""], &[]),
        (&[], &[""]),
        (&[""], &[""]),
        (&["", "n1.a.org"], &["", "a.org"]),
    ];
    let mut all = Vec::new();
    for kind in [
        PrincipalKind::Admin,
        PrincipalKind::Node,
        PrincipalKind::NodeCustodian,
        PrincipalKind::DataCustodian,
        PrincipalKind::User,
    ] {
        for (nodes, domains) in sets {
            let node_ids = [None, Some("n1.a.org"), Some(""), Some("n2.b.org")];
            // To the others it makes no difference, which one other id shows.
            for node_id in &node_ids[..if kind == PrincipalKind::Node { 4 } else { 2 }] {
                all.push(Facts { node_id: node_id.map(str::to_owned), ..token(kind, nodes, domains) });
            }
        }
    }
    for kind in [PrincipalKind::Bootstrap, PrincipalKind::Svid] {
        for spiffe_id in [OWN, OTHER, AUTH] {
            all.push(Facts { spiffe_id: Some(id(spiffe_id)), ..facts(kind) });
        }
    }
    all.push(facts(PrincipalKind::Bootstrap));
    all
}

fn expected(who: &Facts, action: Action, place: &Resource) -> bool {
    use Action::*;
    let within = |trusted: &[String], id: &str| {
        trusted.is_empty() || (!id.is_empty() && trusted.iter().any(|word| word == id))
    };
    let in_nodes = within(&who.trusted_nodes, &place.node_id);
    let in_domains = within(&who.trusted_domains, &place.domain_id);
    let somewhere = !place.node_id.is_empty() || !place.domain_id.is_empty();
    // Policy sees types of certificates only where it is asked about certificates.
    let about_certificates = matches!(
        action,
        CertSign
            | CertGenerate
            | CertList
            | CertRevoke
            | CertPurge
            | IdentityDeny
            | IdentityAllow
            | IdentityList
            | IdentityRelease
    );
    if about_certificates && place.service_type == Some("auth") {
        return who.is_global_admin();
    }
    let ibgp = matches!(action, IbgpConnect | IbgpDisconnect | IbgpUpdate | IbgpList);
    match who.kind {
        PrincipalKind::Admin => in_nodes && in_domains,
        PrincipalKind::Node if ibgp => somewhere && in_domains,
        PrincipalKind::Node if action == CheckPermissions => somewhere,
        PrincipalKind::Node if action == CertSign => {
            let own = who.node_id.as_deref().is_some_and(|own| !own.is_empty() && own == place.node_id);
            own && place.service_type.is_some()
        }
        PrincipalKind::Node => false,
        PrincipalKind::NodeCustodian => {
            let peers = matches!(action, PeerCreate | PeerUpdate | PeerDelete | PeerList);
            (ibgp || peers) && somewhere && in_nodes && in_domains
        }
        PrincipalKind::DataCustodian => {
            matches!(action, RouteCreate | RouteDelete) && somewhere && in_nodes && in_domains
        }
        PrincipalKind::User => action == Login && somewhere,
        PrincipalKind::Bootstrap => {
            let served = who.spiffe_id.is_none() || who.spiffe_id == place.spiffe_id;
            action == CertSign && place.spiffe_id.is_some() && served
        }
        PrincipalKind::Svid => action == CertSign && place.spiffe_id == who.spiffe_id,
    }
}

#[test]
fn the_built_in_rules_are_those_of_the_specification() {
    let policies = Policies::built_in().unwrap();
    let (mut allowed, mut denied) = (0, 0);
    for who in principals() {
        for action in Action::ALL {
            for (name, place) in places() {
                let is = policies.decide(&who, *action, &place) == Decision::Allow;
                assert_eq!(is, expected(&who, *action, &place), "{who:?} {action} {name}");
                let again = policies.decide(&who, *action, &place) == Decision::Allow;
                assert_eq!(again, is, "from memory: {who:?} {action} {name}");
                if is { allowed += 1 } else { denied += 1 }
            }
        }
    }
    assert!(allowed > 500 && denied > 5000, "{allowed} {denied}");
}

#[test]
fn only_an_admin_without_bounds_passes_for_the_whole_deployment() {
    let policies = Policies::built_in().unwrap();
    for who in principals() {
        for action in Action::ALL {
            let is = policies.decide(&who, *action, &Resource::whole()) == Decision::Allow;
            assert_eq!(is, who.is_global_admin(), "{who:?} {action}");
        }
    }
}

#[test]
fn a_denial_names_what_forbade_it() {
    let policies = Policies::built_in().unwrap();
    let auth = certificates("n1.a.org", "a.org", AUTH, "auth");
    let Decision::Deny(blamed) =
        policies.decide(&token(PrincipalKind::Admin, &["n1.a.org"], &[]), Action::CertSign, &auth)
    else {
        panic!("auth is the CA's own")
    };
    assert_eq!(blamed, ["credentials.cedar#3 (line 21)"]);
    let nobody = policies.decide(&facts(PrincipalKind::User), Action::CaManage, &Resource::whole());
    assert_eq!(nobody, Decision::Deny(Vec::new()));
}
