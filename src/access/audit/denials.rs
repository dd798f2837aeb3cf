//! Policy denials, counted per principal, action and minute, so that nobody fills the log by asking again.

use crate::{
    access::{Access, AccessError, Action, Caller},
    identity::Actor,
    store::AuditEntry,
};
use serde_json::json;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// So many pairs of principal and action are told apart in a minute; the rest is counted together.
const MOST: usize = 1_000;
const OTHERS: &str = "others";

/// What was denied since the last minute began.
#[derive(Debug, Default)]
pub(in crate::access) struct Denials(Mutex<HashMap<(String, &'static str), u64>>);

impl Denials {
    /// Counts one; answers whether it is the first of its kind this minute.
    pub(in crate::access) fn count(&self, caller: &Caller, action: Action) -> bool {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = (caller.actor.to_string(), action.as_str());
        if counts.len() >= MOST && !counts.contains_key(&key) {
            key = (OTHERS.to_owned(), OTHERS);
        }
        let count = counts.entry(key).or_default();
        *count += 1;
        *count == 1
    }

    fn take(&self) -> HashMap<(String, &'static str), u64> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn put_back(&self, counts: HashMap<(String, &'static str), u64>) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, count) in counts {
            *held.entry(key).or_default() += count;
        }
    }
}

impl Access {
    /// Writes down which policies hold from now on, if they are not those of before; answers whether they
    /// took others' place.
    ///
    /// # Errors
    /// The store's: then they must not hold.
    pub async fn record_policies(&self, hash: &str) -> Result<bool, AccessError> {
        Ok(self.store.policies_in_force(hash, &self.stamp(Actor::Service)).await?)
    }

    /// Writes what was denied into the audit log; called every minute and at the end.
    ///
    /// # Errors
    /// The store's; then nothing is forgotten.
    pub async fn record_denials(&self) -> Result<(), AccessError> {
        let counts = self.denials.take();
        if counts.is_empty() {
            return Ok(());
        }
        let entry = |((principal, action), count): (&(String, &'static str), &u64)| AuditEntry {
            action: "policy.denied".to_owned(),
            subject: principal.clone(),
            detail: json!({ "action": action, "count": count }).to_string(),
        };
        let mut entries: Vec<AuditEntry> = counts.iter().map(entry).collect();
        entries.sort_by(|a, b| (&a.subject, &a.detail).cmp(&(&b.subject, &b.detail)));
        let written = self.store.append_audit(&entries, &self.stamp(Actor::Service)).await;
        if written.is_err() {
            self.denials.put_back(counts);
        }
        Ok(written?)
    }
}
