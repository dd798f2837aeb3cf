//! What a key that was made here says of itself, as tags of AWS.

use aws_sdk_kms::types::Tag;
use catalyst_signing::{KeyTags, Nonce};

const PREFIX: &str = "catalyst-pki:";

/// `None`: a key of somebody else's.
pub(crate) fn read(tags: &[Tag]) -> Option<KeyTags> {
    KeyTags::read(|name| value(tags, name))
}

/// As CreateKey and ReplicateKey take them.
pub(crate) fn write(tags: &KeyTags) -> Vec<Tag> {
    let tag = |(name, value)| Tag::builder().tag_key(format!("{PREFIX}{name}")).tag_value(value).build().ok();
    tags.write().into_iter().filter_map(tag).collect()
}

/// `alias/catalyst-pki/<deployment>/<role>-<generation>`.
pub(crate) fn alias(tags: &KeyTags) -> String {
    format!("alias/catalyst-pki/{}/{}-{}", tags.deployment, tags.role, tags.generation)
}

/// What people read beside the key.
pub(crate) fn description(tags: &KeyTags) -> String {
    format!("Catalyst PKI {} {} of deployment {}", tags.role, tags.generation, tags.deployment)
}

/// The nonce that a key carries, whatever else its tags say.
pub(crate) fn nonce(tags: &[Tag]) -> Option<Nonce> {
    value(tags, "nonce")?.parse().ok()
}

fn value<'a>(tags: &'a [Tag], name: &str) -> Option<&'a str> {
    tags.iter().find(|tag| tag.tag_key().strip_prefix(PREFIX) == Some(name)).map(Tag::tag_value)
}
