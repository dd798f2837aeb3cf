//! What is there: key rings, keys, versions. Nothing of it ever goes away but key material.

mod key;
mod material;
mod version;

pub(crate) use key::{CryptoKey, Template};
pub(crate) use material::Material;
pub(crate) use version::{Life, Version};

use crate::{
    names::{KeyName, Location, RingName, VersionName},
    refused::Refused,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// All key rings of all projects.
#[derive(Debug, Default)]
pub(crate) struct Store {
    rings: BTreeMap<RingName, Ring>,
}

/// A KeyRing.
#[derive(Debug)]
pub(crate) struct Ring {
    made: OffsetDateTime,
    keys: BTreeMap<String, CryptoKey>,
}

/// A new resource is not to be seen at once: so many calls still don't.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hidden(pub(crate) u32);

impl Hidden {
    /// Whether this call sees it.
    pub(crate) fn seen(&mut self) -> bool {
        let seen = self.0 == 0;
        self.0 = self.0.saturating_sub(1);
        seen
    }
}

impl Store {
    /// Adds an empty ring, unless there is one of the name.
    pub(crate) fn add_ring(&mut self, name: &RingName, made: OffsetDateTime) -> Result<&Ring, Refused> {
        if self.rings.contains_key(name) {
            return Err(Refused::exists(&format!("KeyRing {name}")));
        }
        Ok(self.rings.entry(name.clone()).or_insert(Ring { made, keys: BTreeMap::new() }))
    }

    pub(crate) fn ring(&mut self, name: &RingName) -> Result<&mut Ring, Refused> {
        self.rings.get_mut(name).ok_or_else(|| Refused::not_found(&format!("KeyRing {name}")))
    }

    /// The rings of a location, by name.
    pub(crate) fn rings(&self, location: &Location) -> impl Iterator<Item = (&RingName, &Ring)> {
        self.rings.iter().filter(move |(name, _)| name.location == *location)
    }

    /// A key, if this call sees it.
    pub(crate) fn key(&mut self, name: &KeyName) -> Result<&mut CryptoKey, Refused> {
        let key = self.ring(&name.ring)?.keys.get_mut(&name.id);
        key.and_then(|key| key.hidden.seen().then_some(key))
            .ok_or_else(|| Refused::not_found(&format!("CryptoKey {name}")))
    }

    /// A version as it is now, if this call sees it.
    pub(crate) fn version(
        &mut self,
        name: &VersionName,
        now: OffsetDateTime,
    ) -> Result<&mut Version, Refused> {
        self.key(&name.key)?.version(name, now)
    }
}

impl Ring {
    pub(crate) fn add_key(&mut self, name: &KeyName, key: CryptoKey) -> Result<&mut CryptoKey, Refused> {
        if self.keys.contains_key(&name.id) {
            return Err(Refused::exists(&format!("CryptoKey {name}")));
        }
        Ok(self.keys.entry(name.id.clone()).or_insert(key))
    }

    /// The keys that this call sees, by id.
    pub(crate) fn keys(&mut self) -> impl Iterator<Item = (&String, &mut CryptoKey)> {
        self.keys.iter_mut().filter_map(|(id, key)| key.hidden.seen().then_some((id, key)))
    }

    pub(crate) fn message(&self, name: &RingName) -> Value {
        json!({"name": name.to_string(), "createTime": crate::clock::timestamp(self.made)})
    }
}
