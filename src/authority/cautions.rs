//! What an operator has to know of keys that are used, and that is no trouble: one may leave its token, or a setting
//! names another.

use super::{Authority, config::NamedKey};
use crate::{
    identity::{CaRole, Timestamp},
    store::{Hierarchy, KeyIntention, KeyRole, KeyRow, KeyRowState},
};
use catalyst_signing::GuardedKey;
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// What key stores said of keys when these were opened last: the root's is open for moments only.
#[derive(Debug, Default)]
pub(super) struct Cautions(Mutex<BTreeMap<(KeyRole, u32), String>>);

impl Cautions {
    /// Notes what the key store says of an open key, and logs it.
    pub(super) fn note(&self, meant: &KeyIntention, key: &GuardedKey) {
        let id = (meant.role, meant.generation);
        match key.caution() {
            Some(caution) => {
                tracing::warn!(target: "catalyst.pki", key = key.name(), uri = %key.pin().uri, caution, "Key opened with a caution");
                self.lock().insert(id, caution);
            }
            None => {
                self.lock().remove(&id);
            }
        }
    }

    fn of(&self, meant: &KeyIntention) -> Option<String> {
        self.lock().get(&(meant.role, meant.generation)).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(KeyRole, u32), String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Authority {
    /// Sentences for the status.
    pub(super) fn cautions(&self, hierarchy: &Hierarchy, at: Timestamp) -> Vec<String> {
        let cas = hierarchy.cas.iter().filter(|row| row.is_live(at));
        let of_cas = cas.map(|row| (row.certificate.common_name.as_str(), &row.key));
        let signs = |row: &&KeyRow| row.intention.role == KeyRole::Token && row.state == KeyRowState::Active;
        let of_tokens = hierarchy.keys.iter().filter(signs).map(|row| ("token key", row));
        let said = |(name, row): (&str, &KeyRow)| {
            self.keys.cautions.of(&row.intention).map(|caution| format!("{name}: {caution}"))
        };
        let mut sentences: Vec<String> = of_cas.chain(of_tokens).filter_map(said).collect();
        let named = &self.config.key_references;
        for (role, key) in [
            (KeyRole::Ca(CaRole::Root), &named.root),
            (KeyRole::Ca(CaRole::Services), &named.services),
            (KeyRole::Ca(CaRole::Transport), &named.transport),
            (KeyRole::Token, &named.tokens),
        ] {
            sentences.extend(key.as_ref().and_then(|key| other_key(hierarchy, role, key)));
        }
        sentences
    }
}

/// A setting that names another key than the newest of its role has.
fn other_key(hierarchy: &Hierarchy, role: KeyRole, named: &NamedKey) -> Option<String> {
    let of_role = hierarchy.keys.iter().filter(|row| row.intention.role == role);
    let newest = of_role.max_by_key(|row| row.intention.generation)?;
    let made = newest.made.as_ref()?;
    if newest.intention.reference.as_ref() == Some(&named.reference) || made.uri == named.reference {
        return None;
    }
    let whose = match role {
        KeyRole::Ca(role) => format!("{role} CA's key"),
        KeyRole::Token => "token key".to_owned(),
    };
    Some(format!(
        "{} names {}, the {whose} is {}: the pin rules; unset it or make a new generation",
        named.setting.as_deref().unwrap_or("a setting"),
        named.reference,
        made.uri
    ))
}
