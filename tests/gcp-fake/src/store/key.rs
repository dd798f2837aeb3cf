//! CryptoKeys.

use super::{Hidden, Version};
use crate::{
    clock::timestamp,
    names::{KeyName, VersionName},
    refused::Refused,
};
use catalyst_rigs::gcp::api::{Algorithm, Enumeration as _, ProtectionLevel, Purpose};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// What new versions are like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Template {
    pub(crate) algorithm: Algorithm,
    pub(crate) protection_level: ProtectionLevel,
}

/// A CryptoKey.
#[derive(Debug)]
pub(crate) struct CryptoKey {
    pub(crate) made: OffsetDateTime,
    pub(crate) purpose: Purpose,
    pub(crate) template: Template,
    pub(crate) labels: BTreeMap<String, String>,
    /// In seconds.
    pub(crate) destroyed_after: u64,
    pub(crate) hidden: Hidden,
    versions: Vec<Version>,
}

impl CryptoKey {
    pub(crate) fn new(made: OffsetDateTime, purpose: Purpose, template: Template) -> Self {
        Self {
            made,
            purpose,
            template,
            labels: BTreeMap::new(),
            destroyed_after: 30 * 24 * 3600,
            hidden: Hidden::default(),
            versions: Vec::new(),
        }
    }

    /// Adds a version; its number is the next.
    pub(crate) fn add(&mut self, version: Version) -> (u32, &Version) {
        let number = number(self.versions.len());
        (number, self.versions.push_mut(version))
    }

    /// A version as it is now, if this call sees it.
    pub(crate) fn version(
        &mut self,
        name: &VersionName,
        now: OffsetDateTime,
    ) -> Result<&mut Version, Refused> {
        let index = usize::try_from(name.number).ok().and_then(|number| number.checked_sub(1));
        let version = index.and_then(|index| self.versions.get_mut(index));
        let version = version.and_then(|version| version.hidden.seen().then_some(version));
        let version = version.ok_or_else(|| Refused::not_found(&format!("CryptoKeyVersion {name}")))?;
        version.settle(now);
        Ok(version)
    }

    /// The versions that this call sees as they are now, by number.
    pub(crate) fn versions(&mut self, now: OffsetDateTime) -> impl Iterator<Item = (u32, &mut Version)> {
        self.versions.iter_mut().enumerate().filter_map(move |(index, version)| {
            version.settle(now);
            version.hidden.seen().then_some((number(index), version))
        })
    }

    /// The message, with names for enumerations.
    pub(crate) fn message(&self, name: &KeyName) -> Value {
        let mut message = json!({
            "name": name.to_string(),
            "purpose": self.purpose.name(),
            "createTime": timestamp(self.made),
            "versionTemplate": {
                "protectionLevel": self.template.protection_level.name(),
                "algorithm": self.template.algorithm.name(),
            },
            "destroyScheduledDuration": format!("{}s", self.destroyed_after),
        });
        if !self.labels.is_empty() {
            message["labels"] = json!(self.labels);
        }
        message
    }
}

fn number(index: usize) -> u32 {
    u32::try_from(index + 1).unwrap_or(u32::MAX)
}
