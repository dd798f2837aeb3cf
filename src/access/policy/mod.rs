//! Cedar decides who may do what. The schema is the program's own; the policies too, unless a directory replaces them.

mod decide;
mod error;
mod load;
mod memory;
mod size;
mod slices;
mod source;
mod words;

#[cfg(test)]
mod tests;

pub use decide::Decision;
pub use error::{Flaw, PolicyError};

use super::{
    principal::Facts,
    vocabulary::{Action, Resource},
};
use arc_swap::ArcSwap;
use load::Loaded;
use source::Source;
use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// The log tells at most this often about one policy that can't be evaluated.
const REPORT_EVERY: Duration = Duration::from_secs(60);
/// So much of an error goes into the log; it may quote what the caller sent.
const REPORTED_CHARS: usize = 300;

/// The policies in force. Clones share them.
#[derive(Clone, Debug)]
pub struct Policies {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    dir: Option<PathBuf>,
    held: ArcSwap<Loaded>,
    trouble: Mutex<Option<PolicyError>>,
    /// One refresh at a time.
    refreshing: Mutex<()>,
    /// By policy, when the log last told that it can't be evaluated.
    reported: Mutex<HashMap<String, Instant>>,
}

/// What a look at the directory found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refresh {
    /// What holds is what lies there.
    Unchanged,
    /// Other policies hold from now on.
    Replaced {
        /// Of the new ones, see [`Policies::hash`].
        hash: String,
    },
    /// Others lie there, and could not be put on record: the last good policies go on, and the next look tries again.
    Unrecorded {
        /// Why.
        why: String,
    },
    /// What lies there can't hold: the last good policies go on.
    Broken {
        /// Why.
        error: PolicyError,
        /// Not the same as at the last look.
        first_seen: bool,
    },
}

impl Policies {
    /// The program's own.
    ///
    /// # Errors
    /// None that a test would not have found.
    pub fn built_in() -> Result<Self, PolicyError> {
        Self::load(None)
    }

    /// Those of a directory; without one, the program's own. Blocks while it reads.
    ///
    /// # Errors
    /// Everything that is wrong, each with file, line and column.
    pub fn load(dir: Option<&Path>) -> Result<Self, PolicyError> {
        let source = dir.map_or_else(|| Ok(Source::built_in()), Source::read)?;
        let shared = Shared {
            dir: dir.map(Path::to_owned),
            held: ArcSwap::from_pointee(Loaded::new(&source)?),
            trouble: Mutex::default(),
            refreshing: Mutex::default(),
            reported: Mutex::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Decides. What can't be evaluated is denied and logged, at most once a minute for each policy.
    pub fn decide(&self, facts: &Facts, action: Action, resource: &Resource) -> Decision {
        let held = self.shared.held.load();
        if let Some(decision) = held.memory.recall(facts, action, resource) {
            return decision;
        }
        let outcome = decide::decide(&held, facts, action, resource);
        // What could not be evaluated is asked again, so that the log goes on to tell.
        if outcome.errors.is_empty() {
            held.memory.remember(facts, action, resource, &outcome.decision);
        }
        for (policy, error) in outcome.errors {
            if self.is_report_due(&policy, Instant::now()) {
                let error: String = error.chars().take(REPORTED_CHARS).collect();
                tracing::error!(
                    target: "catalyst.auth",
                    policy = %policy,
                    error = %error,
                    action = %action,
                    "Policy cannot be evaluated — the request was denied; correct the policy"
                );
            }
        }
        outcome.decision
    }

    /// SHA-256, hex, over the names and contents of the files in force.
    pub fn hash(&self) -> String {
        self.shared.held.load().hash.clone()
    }

    /// How many policies each file has.
    pub fn counts(&self) -> BTreeMap<String, usize> {
        self.shared.held.load().counts.clone()
    }

    /// What Cedar finds odd about policies that are valid, such as one that can never apply.
    pub fn warnings(&self) -> Vec<String> {
        self.shared.held.load().warnings.clone()
    }

    /// Looks at the directory again and takes what lies there if it is valid; else the last good policies go on. Blocks
    /// while it reads.
    pub fn refresh(&self) -> Refresh {
        self.refresh_if(|_| Ok(()))
    }

    /// As [`Policies::refresh`]; valid ones hold only if `record` could be made of their hash.
    pub fn refresh_if(&self, record: impl FnOnce(&str) -> Result<(), String>) -> Refresh {
        let Some(dir) = &self.shared.dir else { return Refresh::Unchanged };
        let _one_at_a_time = locked(&self.shared.refreshing);
        let found = Source::read(dir).and_then(|source| {
            let unchanged = source.hash() == self.shared.held.load().hash;
            if unchanged { Ok(None) } else { Loaded::new(&source).map(Some) }
        });
        let mut trouble = locked(&self.shared.trouble);
        match found {
            Ok(fresh) => {
                *trouble = None;
                match fresh {
                    None => Refresh::Unchanged,
                    Some(fresh) => match record(&fresh.hash) {
                        Ok(()) => self.replace(fresh),
                        Err(why) => Refresh::Unrecorded { why },
                    },
                }
            }
            Err(error) => {
                let first_seen = trouble.as_ref() != Some(&error);
                *trouble = Some(error.clone());
                Refresh::Broken { error, first_seen }
            }
        }
    }

    /// Why the policies in force are not those that lie in the directory, for the status.
    pub fn trouble(&self) -> Option<String> {
        let trouble = locked(&self.shared.trouble);
        let hash = self.hash();
        trouble.as_ref().map(|error| {
            format!("the policies of {hash} go on, since those that lie there can't hold: {error}")
        })
    }

    fn replace(&self, fresh: Loaded) -> Refresh {
        let hash = fresh.hash.clone();
        self.shared.held.store(Arc::new(fresh));
        locked(&self.shared.reported).clear();
        Refresh::Replaced { hash }
    }

    fn is_report_due(&self, policy: &str, now: Instant) -> bool {
        let mut reported = locked(&self.shared.reported);
        let due =
            reported.get(policy).is_none_or(|last| now.saturating_duration_since(*last) >= REPORT_EVERY);
        if due {
            reported.insert(policy.to_owned(), now);
        }
        due
    }
}

/// The schema and the policies of the program: names and texts, to start from.
pub fn built_in_files() -> impl Iterator<Item = (&'static str, &'static str)> {
    std::iter::once(source::SCHEMA).chain(source::BUILT_IN.iter().copied())
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
