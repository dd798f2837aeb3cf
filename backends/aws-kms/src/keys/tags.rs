//! What a key that was made here says of itself.

use aws_sdk_kms::types::Tag;
use catalyst_signing::{KeyIntent, KeyRole, Nonce};

const DEPLOYMENT: &str = "catalyst-pki:deployment";
const ROLE: &str = "catalyst-pki:role";
const GENERATION: &str = "catalyst-pki:generation";
const NONCE: &str = "catalyst-pki:nonce";

/// The intent that a key was made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tags {
    pub(crate) deployment: String,
    pub(crate) role: KeyRole,
    pub(crate) generation: u32,
    pub(crate) nonce: Nonce,
}

impl Tags {
    pub(crate) fn of(intent: &KeyIntent) -> Self {
        let KeyIntent { nonce, deployment, role, generation, .. } = intent;
        Self { deployment: deployment.clone(), role: *role, generation: *generation, nonce: *nonce }
    }

    /// `None`: a key of somebody else's.
    pub(crate) fn read(tags: &[Tag]) -> Option<Self> {
        Some(Self {
            deployment: value(tags, DEPLOYMENT)?.to_owned(),
            role: value(tags, ROLE)?.parse().ok()?,
            generation: value(tags, GENERATION)?.parse().ok()?,
            nonce: nonce(tags)?,
        })
    }

    /// As CreateKey and ReplicateKey take them.
    pub(crate) fn write(&self) -> Vec<Tag> {
        let pairs = [
            (DEPLOYMENT, self.deployment.clone()),
            (ROLE, self.role.to_string()),
            (GENERATION, self.generation.to_string()),
            (NONCE, self.nonce.to_string()),
        ];
        let tag = |(key, value)| Tag::builder().tag_key(key).tag_value(value).build().ok();
        pairs.into_iter().filter_map(tag).collect()
    }

    /// `alias/catalyst-pki/<deployment>/<role>-<generation>`.
    pub(crate) fn alias(&self) -> String {
        format!("alias/catalyst-pki/{}/{}-{}", self.deployment, self.role, self.generation)
    }

    /// What people read beside the key.
    pub(crate) fn description(&self) -> String {
        format!("Catalyst PKI {} {} of deployment {}", self.role, self.generation, self.deployment)
    }
}

/// The nonce that a key carries, whatever else its tags say.
pub(crate) fn nonce(tags: &[Tag]) -> Option<Nonce> {
    value(tags, NONCE)?.parse().ok()
}

fn value<'a>(tags: &'a [Tag], name: &str) -> Option<&'a str> {
    tags.iter().find(|tag| tag.tag_key() == name).map(Tag::tag_value)
}
