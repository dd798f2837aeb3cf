//! Decisions that were made, since the same ones are asked again and again. They depend on nothing but the policies,
//! who asks, for what and of what; the memory belongs to one set of policies and goes with it.

use super::{
    super::{
        principal::Facts,
        vocabulary::{Action, Resource},
    },
    Decision,
};
use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::{BuildHasher as _, Hash as _, Hasher as _},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// So many decisions are remembered, then all are forgotten.
const REMEMBERED: usize = 4_096;
/// Questions with more text than this many bytes are not worth their place.
const LONGEST: usize = 2_048;

/// What was decided, by a keyed hash of the question; the question itself is compared too.
#[derive(Debug, Default)]
pub(super) struct Memory {
    hasher: RandomState,
    decisions: Mutex<HashMap<u64, Remembered>>,
}

#[derive(Debug)]
struct Remembered {
    facts: Facts,
    action: Action,
    resource: Resource,
    decision: Decision,
}

impl Memory {
    pub(super) fn recall(&self, facts: &Facts, action: Action, resource: &Resource) -> Option<Decision> {
        let key = self.key(facts, action, resource);
        let decisions = self.locked();
        let known = decisions.get(&key)?;
        let same = known.action == action && known.resource == *resource && known.facts == *facts;
        same.then(|| known.decision.clone())
    }

    pub(super) fn remember(&self, facts: &Facts, action: Action, resource: &Resource, decision: &Decision) {
        if length(facts, resource) > LONGEST {
            return;
        }
        let key = self.key(facts, action, resource);
        let (facts, resource, decision) = (facts.clone(), resource.clone(), decision.clone());
        let mut decisions = self.locked();
        if decisions.len() >= REMEMBERED {
            decisions.clear();
        }
        decisions.insert(key, Remembered { facts, action, resource, decision });
    }

    /// Facts that are left out here are told apart by the comparison.
    fn key(&self, facts: &Facts, action: Action, resource: &Resource) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        (facts.kind, &facts.cedar_id, &facts.sub, &facts.node_id, &facts.spiffe_id).hash(&mut hasher);
        (action, resource).hash(&mut hasher);
        hasher.finish()
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<u64, Remembered>> {
        self.decisions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn length(facts: &Facts, resource: &Resource) -> usize {
    let Facts { cedar_id, sub, id, name, entity_type, .. } = facts;
    let own = [cedar_id, sub, id, name, entity_type, &resource.node_id, &resource.domain_id];
    let sets = facts.trusted_nodes.iter().chain(&facts.trusted_domains).chain(&facts.node_id);
    own.into_iter().chain(sets).map(String::len).sum()
}
