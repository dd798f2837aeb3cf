//! In which order what is settled is forgotten.

use super::held::{Held, Outcome};
use std::collections::BTreeMap;

/// Numbers of settled entries by when they were last used.
#[derive(Default)]
pub(super) struct Shelves {
    all: BTreeMap<u64, i64>,
    /// Data and failures that the client has pulled: it has them.
    pulled: BTreeMap<u64, i64>,
    /// Failures that it has not pulled.
    failures: BTreeMap<u64, i64>,
    /// Data that it has not pulled.
    unpulled: BTreeMap<u64, i64>,
}

impl Shelves {
    pub(super) fn put(&mut self, used: u64, id: i64, outcome: &Outcome, pulled: bool) {
        self.all.insert(used, id);
        match outcome {
            Ok(Held::Data(_)) | Err(_) if pulled => self.pulled.insert(used, id),
            Ok(Held::Data(_)) => self.unpulled.insert(used, id),
            Err(_) => self.failures.insert(used, id),
            Ok(_) => None,
        };
    }

    pub(super) fn take(&mut self, used: u64) {
        for shelf in [&mut self.all, &mut self.pulled, &mut self.failures, &mut self.unpulled] {
            shelf.remove(&used);
        }
    }

    /// The entry that was pulled, and used longest ago.
    pub(super) fn pulled(&self) -> Option<i64> {
        self.pulled.first_key_value().map(|(_, id)| *id)
    }

    /// The failure that nobody has pulled, used longest ago.
    pub(super) fn failure(&self) -> Option<i64> {
        self.failures.first_key_value().map(|(_, id)| *id)
    }

    /// What nobody has pulled, used longest ago: failures first.
    pub(super) fn unpulled(&self) -> Option<i64> {
        self.failure().or_else(|| self.unpulled.first_key_value().map(|(_, id)| *id))
    }

    /// Whatever was used longest ago, which is a method or an object as well.
    pub(super) fn oldest(&self) -> Option<i64> {
        self.all.first_key_value().map(|(_, id)| *id)
    }
}
