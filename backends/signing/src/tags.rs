//! What a key says of the intent that it was made for, in a key store that keeps words beside a key.

use crate::{FoundKey, KeyIntent, KeyRole, KeyUri, Nonce};
use std::time::SystemTime;

/// The words of an intent that a key carries as tags, labels or the like: what tells whose it is, without the store of
/// intents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyTags {
    /// The deployment's id, 16 hex digits.
    pub deployment: String,
    /// What the key is for.
    pub role: KeyRole,
    /// Counts the keys of a role.
    pub generation: u32,
    /// The intent's own.
    pub nonce: Nonce,
}

impl KeyTags {
    /// Those of a key that is made for an intent.
    #[must_use]
    pub fn of(intent: &KeyIntent) -> Self {
        let KeyIntent { nonce, deployment, role, generation, .. } = intent;
        Self { deployment: deployment.clone(), role: *role, generation: *generation, nonce: *nonce }
    }

    /// Takes each tag by its name: `deployment`, `role`, `generation`, `nonce`. `None`: a key of somebody else's.
    pub fn read<'a>(value: impl Fn(&str) -> Option<&'a str>) -> Option<Self> {
        Some(Self {
            deployment: value("deployment")?.to_owned(),
            role: value("role")?.parse().ok()?,
            generation: value("generation")?.parse().ok()?,
            nonce: value("nonce")?.parse().ok()?,
        })
    }

    /// Each tag with its name, as [`KeyTags::read`] takes them.
    #[must_use]
    pub fn write(&self) -> [(&'static str, String); 4] {
        [
            ("deployment", self.deployment.clone()),
            ("role", self.role.to_string()),
            ("generation", self.generation.to_string()),
            ("nonce", self.nonce.to_string()),
        ]
    }

    /// The key that carries them.
    #[must_use]
    pub fn found(&self, uri: KeyUri, made_at: Option<SystemTime>) -> FoundKey {
        FoundKey { uri, nonce: self.nonce, role: self.role, generation: self.generation, made_at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_come_back_and_those_of_others_do_not() {
        let tags = KeyTags {
            deployment: "0123456789abcdef".into(),
            role: KeyRole::Services,
            generation: 3,
            nonce: Nonce::from_bytes([7; 16]),
        };
        let written = tags.write();
        let read = |changed: &str, to: Option<&'static str>| {
            KeyTags::read(|name| {
                let (_, value) = written.iter().find(|(known, _)| *known == name)?;
                if name == changed { to } else { Some(value) }
            })
        };
        assert_eq!(read("", None), Some(tags.clone()));
        for (name, _) in &written {
            assert_eq!(read(name, None), None, "{name}");
        }
        assert_eq!(read("role", Some("gateway")), None);
        assert_eq!(read("generation", Some("-1")), None);
        assert_eq!(read("nonce", Some("07")), None);
    }
}
