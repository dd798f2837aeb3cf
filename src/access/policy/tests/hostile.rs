//! No text that a caller chose can change a decision, or keep one from being made.

use super::{
    super::{
        super::{
            principal::Facts,
            vocabulary::{Action, PrincipalKind},
        },
        Decision, Policies,
    },
    facts, node,
};
use proptest::prelude::*;
use std::sync::LazyLock;

static POLICIES: LazyLock<Policies> = LazyLock::new(|| Policies::built_in().unwrap());

/// Texts that mean something in Cedar's source, anything else, and long ones.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => any::<String>(),
        3 => r#"["'\\\n\x00{};()@?*,.:=/ a-zé🦀\x{202e}]{0,40}"#,
        1 => Just(r#"n1" || true || principal.name == ""#.to_owned()),
        1 => Just(r#"x"}; permit(principal, action, resource); //"#.to_owned()),
        1 => "[a\"\\\\é]".prop_map(|c| c.repeat(65_536 / c.len())),
    ]
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(text().prop_filter("is no name of the test's", |t| t != "n1" && t != "a.org"), 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn texts_of_tokens_change_no_decision(
        (cedar_id, sub, id, name, entity_type) in (text(), text(), text(), text(), text()),
        (nodes, domains) in (texts(), texts()),
    ) {
        let dressed = |plain: Facts| Facts {
            cedar_id: cedar_id.clone(),
            sub: sub.clone(),
            id: id.clone(),
            name: name.clone(),
            entity_type: entity_type.clone(),
            ..plain
        };
        let place = node("n1", "a.org");
        for kind in [
            PrincipalKind::Admin,
            PrincipalKind::Node,
            PrincipalKind::NodeCustodian,
            PrincipalKind::DataCustodian,
            PrincipalKind::User,
        ] {
            for action in [Action::Login, Action::IbgpConnect, Action::RouteCreate, Action::CertSign, Action::CaManage] {
                let plain = facts(kind);
                let wanted = POLICIES.decide(&plain, action, &place);
                prop_assert_eq!(POLICIES.decide(&dressed(plain), action, &place), wanted);
                // Sets of other names never cover this place, whatever these look like.
                let bounded = Facts { trusted_nodes: nodes.clone(), trusted_domains: domains.clone(), ..facts(kind) };
                let decision = POLICIES.decide(&dressed(bounded), action, &place);
                let login = kind == PrincipalKind::User && action == Action::Login;
                let wanted = if login { Decision::Allow } else { Decision::Deny(Vec::new()) };
                prop_assert_eq!(decision, wanted);
            }
        }
    }

    #[test]
    fn texts_of_places_are_compared_and_nothing_else(own in text(), other in text(), domain in text()) {
        prop_assume!(!own.is_empty() && own != other);
        let who = Facts { trusted_nodes: vec![own.clone()], ..facts(PrincipalKind::Admin) };
        prop_assert_eq!(POLICIES.decide(&who, Action::PeerCreate, &node(&own, &domain)), Decision::Allow);
        prop_assert_eq!(
            POLICIES.decide(&who, Action::PeerCreate, &node(&other, &domain)),
            Decision::Deny(Vec::new())
        );
    }
}
