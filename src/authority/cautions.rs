//! What an operator has to know of keys that are used: one may leave its token, will be destroyed, signs elsewhere, or a
//! name leads to another.

use super::{Authority, config::NamedKey};
use crate::{
    identity::Timestamp,
    store::{Hierarchy, KeyIntention, KeyRole, KeyRow, KeyRowState},
};
use catalyst_signing::{GuardedKey, KeyHealth, KeyNow, KeyState, KeyUri, KeyView};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// How the token key is called where CAs have their names.
pub(super) const TOKEN_KEY: &str = "token key";

/// The keys that were opened, and what key stores said of them then: the root's is open for moments only.
#[derive(Debug, Default)]
pub(super) struct Cautions(Mutex<BTreeMap<(KeyRole, u32), Opened>>);

#[derive(Debug)]
struct Opened {
    view: KeyView,
    caution: Option<String>,
}

impl Cautions {
    /// Notes what the key store says of an open key, and logs it.
    pub(super) fn note(&self, meant: &KeyIntention, key: &GuardedKey) {
        let caution = key.caution();
        if let Some(caution) = &caution {
            tracing::warn!(target: "catalyst.pki", key = key.name(), uri = %key.pin().uri, caution, "Key opened with a caution");
        }
        self.lock().insert((meant.role, meant.generation), Opened { view: key.view(), caution });
    }

    /// How a key is, if it is open.
    pub(super) fn now(&self, meant: &KeyIntention) -> Option<KeyNow> {
        self.lock().get(&(meant.role, meant.generation))?.view.now()
    }

    /// What is said of a key now, or was when it was open last.
    fn of(&self, meant: &KeyIntention) -> Option<String> {
        let opened = self.lock();
        let opened = opened.get(&(meant.role, meant.generation))?;
        opened.view.now().map_or_else(|| opened.caution.clone(), |now| now.caution)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(KeyRole, u32), Opened>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The keys of live CAs and the one that signs tokens, with their names.
pub(super) fn in_use(hierarchy: &Hierarchy, at: Timestamp) -> impl Iterator<Item = (&str, &KeyRow)> {
    let cas = hierarchy.cas.iter().filter(move |row| row.is_live(at));
    let of_cas = cas.map(|row| (row.certificate.common_name.as_str(), &row.key));
    let signs = |row: &&KeyRow| row.intention.role == KeyRole::Token && row.state == KeyRowState::Active;
    of_cas.chain(hierarchy.keys.iter().filter(signs).map(|row| (TOKEN_KEY, row)))
}

impl Authority {
    /// Sentences for the status.
    pub(super) fn cautions(&self, hierarchy: &Hierarchy, at: Timestamp) -> Vec<String> {
        let said = |(name, row): (&str, &KeyRow)| {
            self.keys.cautions.of(&row.intention).map(|caution| format!("{name}: {caution}"))
        };
        let mut sentences: Vec<String> = in_use(hierarchy, at).filter_map(said).collect();
        sentences.extend(self.moved_references(hierarchy, at));
        let named = self.config.named_keys();
        sentences
            .extend(named.filter_map(|(role, backend, key)| self.other_key(hierarchy, role, backend, key)));
        sentences
    }

    /// What key stores say of keys, and what cannot last: sentences for the status.
    pub(super) fn key_troubles(&self, hierarchy: &Hierarchy, at: Timestamp) -> Vec<String> {
        let trouble = |(name, row): (&str, &KeyRow)| {
            let uri = &row.made.as_ref()?.uri;
            match self.key_state(row) {
                KeyState::Disabled => Some(format!(
                    "{name}: its key {uri} is disabled in its key store and signs nothing: enable it there, then `catalyst backend retry`"
                )),
                KeyState::DestructionScheduled => Some(format!(
                    "{name}: its key {uri} will be destroyed by its key store: cancel that there in time, or make and activate a successor"
                )),
                KeyState::Gone => Some(format!(
                    "{name}: its key {uri} is no longer in its key store: put it back there, or make and activate a successor"
                )),
                KeyState::Usable | KeyState::Pending | KeyState::Unknown => {
                    self.token_key_trouble(name, uri, row)
                }
            }
        };
        in_use(hierarchy, at).filter_map(trouble).collect()
    }

    /// Why the token key is not used, though its key store says nothing against it; that of a CA is told with the CA.
    fn token_key_trouble(&self, name: &str, uri: &str, row: &KeyRow) -> Option<String> {
        if row.intention.role != KeyRole::Token {
            return None;
        }
        match self.keys.cautions.now(&row.intention)?.health {
            KeyHealth::Latched { error } => Some(format!(
                "{name}: {uri} is not used any more: {error}: see to that, then `catalyst backend retry`"
            )),
            _ => None,
        }
    }

    /// What the key store said last of a key, open or not.
    pub(super) fn key_state(&self, row: &KeyRow) -> KeyState {
        let open = self.keys.cautions.now(&row.intention).map(|now| now.state);
        open.filter(|state| *state != KeyState::Unknown)
            .unwrap_or_else(|| self.keys.answers.state(&row.intention))
    }

    /// Keys that were chosen by a name which leads to another key now.
    pub(super) fn moved_references(&self, hierarchy: &Hierarchy, at: Timestamp) -> Vec<String> {
        let moved = |(name, row): (&str, &KeyRow)| {
            let reference = row.intention.reference.as_ref()?;
            let made = row.made.as_ref()?;
            let now = self.keys.answers.named(&row.intention.backend, reference)?;
            let KeyIntention { role, generation, .. } = row.intention;
            // It leads to this key, or to that of a later generation, which was made for it.
            let is_ours = hierarchy.keys.iter().any(|other| {
                other.intention.role == role
                    && other.intention.generation >= generation
                    && other.made.as_ref().is_some_and(|made| made.spki == now.spki)
            });
            let whose = match role {
                KeyRole::Ca(_) => format!("key of {name}"),
                KeyRole::Token => name.to_owned(),
            };
            (!is_ours).then(|| {
                format!(
                    "{reference} names {} now, the {whose} is {}: the pin rules; point it back, or make a new generation",
                    now.uri, made.uri
                )
            })
        };
        in_use(hierarchy, at).filter_map(moved).collect()
    }

    /// A setting that names another key than the newest of its role has.
    fn other_key(
        &self,
        hierarchy: &Hierarchy,
        role: KeyRole,
        backend: &str,
        named: &NamedKey,
    ) -> Option<String> {
        let of_role = hierarchy.keys.iter().filter(|row| row.intention.role == role);
        let newest = of_role.max_by_key(|row| row.intention.generation)?;
        let made = newest.made.as_ref()?;
        let leads_there =
            || self.keys.answers.named(backend, &named.reference).is_some_and(|now| now.spki == made.spki);
        if newest.intention.reference.as_ref() == Some(&named.reference)
            || KeyUri::parse(&made.uri)
                .is_ok_and(|uri| [uri.as_str(), uri.rest()].contains(&named.reference.as_str()))
            || leads_there()
        {
            return None;
        }
        let whose = match role {
            KeyRole::Ca(role) => format!("{role} CA's key"),
            KeyRole::Token => TOKEN_KEY.to_owned(),
        };
        Some(format!(
            "{} names {}, the {whose} is {}: the pin rules; unset it or make a new generation",
            named.setting.as_deref().unwrap_or("a setting"),
            named.reference,
            made.uri
        ))
    }
}
