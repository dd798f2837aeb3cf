//! What a key that was made here says of itself, as labels of Google's, and what it is called.

use catalyst_signing::{KeyIntent, KeyTags};
use std::collections::HashMap;

const PREFIX: &str = "catalyst_pki_";

/// `None`: a key of somebody else's.
pub(crate) fn read(labels: &HashMap<String, String>) -> Option<KeyTags> {
    KeyTags::read(|name| labels.get(&label(name)).map(String::as_str))
}

/// As CreateCryptoKey takes them.
pub(crate) fn write(tags: &KeyTags) -> HashMap<String, String> {
    tags.write().map(|(name, value)| (label(name), value)).into()
}

/// What has ListCryptoKeys list the keys of a deployment.
pub(crate) fn filter(deployment: &str) -> String {
    format!("labels.{}={deployment}", label("deployment"))
}

/// The id of an intent's key in its key ring: `<role>-<generation>-<nonce>`, 63 characters at most. With the nonce in it no
/// two intents have the same, and it can be asked for.
pub(crate) fn id(intent: &KeyIntent) -> String {
    format!("{}-{}-{}", intent.role, intent.generation, intent.nonce)
}

fn label(name: &str) -> String {
    format!("{PREFIX}{name}")
}
