//! The schema has the words of the program, no more and no fewer.

use super::super::{
    super::vocabulary::{Action, PrincipalKind, ResourceKind},
    Policies,
    decide::may_ask,
    load::schema,
};
use cedar_policy::{EntityTypeName, EntityUid};
use std::collections::BTreeSet;

fn words<T: ToString>(all: &[T]) -> BTreeSet<String> {
    all.iter().map(|word| format!("CATALYST::{}", word.to_string())).collect()
}

fn types<'a>(names: impl Iterator<Item = &'a EntityTypeName>) -> BTreeSet<String> {
    names.map(ToString::to_string).collect()
}

#[test]
fn schema_and_vocabulary_have_the_same_words() {
    let schema = schema().unwrap();
    assert_eq!(types(schema.principals()), words(PrincipalKind::ALL));
    assert_eq!(types(schema.resources()), words(ResourceKind::ALL));
    let declared: BTreeSet<_> = words(PrincipalKind::ALL).union(&words(ResourceKind::ALL)).cloned().collect();
    assert_eq!(types(schema.entity_types()), declared);
    let actions: BTreeSet<_> = schema.actions().map(|action| action.id().unescaped().to_owned()).collect();
    assert_eq!(actions, Action::ALL.iter().map(ToString::to_string).collect());
}

#[test]
fn an_action_applies_to_its_kind_of_resource_and_to_those_who_may_ask() {
    let schema = schema().unwrap();
    for action in Action::ALL {
        let uid: EntityUid = format!("CATALYST::Action::\"{action}\"").parse().unwrap();
        let resources = types(schema.resources_for_action(&uid).unwrap());
        assert_eq!(resources, words(&[action.resource_kind()]), "{action}");
        let principals = types(schema.principals_for_action(&uid).unwrap());
        let may: Vec<_> = PrincipalKind::ALL.iter().copied().filter(|kind| may_ask(*kind, *action)).collect();
        assert_eq!(principals, words(&may), "{action}");
    }
}

#[test]
fn the_built_in_policies_are_valid_without_a_warning() {
    let policies = Policies::built_in().unwrap();
    assert_eq!(policies.warnings(), Vec::<String>::new());
    assert_eq!(policies.counts()["node.cedar"], 3);
}
