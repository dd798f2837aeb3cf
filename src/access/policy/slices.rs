//! The policies that can matter for one kind of principal and one action. Cedar evaluates every policy of a set, so
//! that a set of the few whose scope can match makes a decision several times faster.

use super::{
    super::vocabulary::{Action, PrincipalKind},
    words::Words,
};
use cedar_policy::{ActionConstraint, EntityTypeName, EntityUid, Policy, PolicySet, PrincipalConstraint};
use std::sync::OnceLock;

/// Slices hold copies; beyond this many bytes of text, all policies are asked each time.
const MOST_TEXT: usize = 1 << 20;

/// All policies, and the slices that were asked for until now.
#[derive(Debug)]
pub(super) struct Slices {
    all: PolicySet,
    /// By principal, then by action; empty where the policies are too large to be copied.
    slices: Vec<OnceLock<PolicySet>>,
}

impl Slices {
    pub(super) fn new(all: PolicySet) -> Self {
        let text: usize = all.policies().map(|policy| policy.to_cedar().map_or(0, |text| text.len())).sum();
        let count = if text > MOST_TEXT { 0 } else { PrincipalKind::ALL.len() * Action::ALL.len() };
        Self { all, slices: (0..count).map(|_| OnceLock::new()).collect() }
    }

    pub(super) fn of(&self, words: &Words, principal: PrincipalKind, action: Action) -> &PolicySet {
        let at = principal as usize * Action::ALL.len() + action as usize;
        self.slices.get(at).map_or(&self.all, |slice| {
            slice.get_or_init(|| self.slice(words.principal_type(principal), &words.action(action)))
        })
    }

    fn slice(&self, principal: &EntityTypeName, action: &EntityUid) -> PolicySet {
        let relevant = self.all.policies().filter(|policy| may_match(policy, principal, action)).cloned();
        // Ids that are distinct in the whole are distinct in a part.
        PolicySet::from_policies(relevant).unwrap_or_else(|_| self.all.clone())
    }
}

/// Whether the scope of a policy can match. What it leaves out can't be evaluated beyond its scope, where nothing
/// fails. No entity of ours has parents, and no action either.
fn may_match(policy: &Policy, principal: &EntityTypeName, action: &EntityUid) -> bool {
    let principal_fits = match policy.principal_constraint() {
        PrincipalConstraint::Any | PrincipalConstraint::In(_) => true,
        PrincipalConstraint::Is(kind) | PrincipalConstraint::IsIn(kind, _) => kind == *principal,
        PrincipalConstraint::Eq(uid) => uid.type_name() == principal,
    };
    principal_fits
        && match policy.action_constraint() {
            ActionConstraint::Any => true,
            ActionConstraint::In(actions) => actions.contains(action),
            ActionConstraint::Eq(uid) => uid == *action,
        }
}
