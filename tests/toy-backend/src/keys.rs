//! Making, finding and giving up keys.

use crate::{
    ToyConfig,
    ask::{ask, false_answer},
    backend::SCHEME,
    vault::{Answer, Described, Question},
};
use catalyst_signing::{
    FoundKey, KeyIntent, KeyPin, KeyTags, KeyUri, Refusal, Result, SignError, SignatureAlgorithm,
};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What the vault calls an algorithm.
pub(crate) fn kind(algorithm: SignatureAlgorithm) -> Result<&'static str> {
    match algorithm {
        SignatureAlgorithm::EcP384 => Ok("p384"),
        SignatureAlgorithm::Ed25519 => Ok("ed25519"),
        other => Err(SignError::refused(
            Refusal::Unsupported,
            format!("the vault has no {other} keys: choose EC-P384"),
        )),
    }
}

/// Everything that the vault tells of one key.
pub(crate) async fn show(config: &ToyConfig, name: &str) -> Result<Described> {
    match ask(config, name, &Question::Show { name: name.to_owned() }).await? {
        Answer::Key(key) if key.name == name => Ok(key),
        _ => Err(false_answer(name)),
    }
}

pub(crate) async fn all(config: &ToyConfig) -> Result<Vec<Described>> {
    match ask(config, "its keys", &Question::List).await? {
        Answer::Keys(keys) => Ok(keys),
        _ => Err(false_answer("its keys")),
    }
}

/// What the store keeps of a key, if it is one of the algorithm.
pub(crate) fn pin(key: &Described, algorithm: SignatureAlgorithm) -> Result<KeyPin> {
    if key.kind != kind(algorithm)? {
        let reason = format!("the vault's key {} is of {}, and {algorithm} is wanted", key.name, key.kind);
        return Err(SignError::refused(Refusal::WrongType, reason));
    }
    Ok(KeyPin { uri: uri(key)?, algorithm, spki: key.spki.clone() })
}

fn uri(key: &Described) -> Result<KeyUri> {
    KeyUri::parse(&format!("{SCHEME}:{}", key.name)).map_err(|error| SignError::integrity(error.to_string()))
}

/// With the nonce in it no two intents have the same name, and nothing has to be searched.
fn name_of(intent: &KeyIntent) -> String {
    format!("{}-{}-{}", intent.role, intent.generation, intent.nonce)
}

pub(crate) async fn find(config: &ToyConfig, intent: &KeyIntent) -> Result<Option<KeyPin>> {
    match show(config, &name_of(intent)).await {
        Ok(key) => adopt(&key, intent).map(Some),
        Err(SignError::Refused { kind: Refusal::Missing, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The pin of a key that has an intent's name, if nothing speaks against its being the intent's.
fn adopt(key: &Described, intent: &KeyIntent) -> Result<KeyPin> {
    let tags = KeyTags::read(|name| key.tags.get(name).map(String::as_str));
    let doubts = [
        (tags != Some(KeyTags::of(intent)), "its tags are not the intent's"),
        (key.imported, "it was not made in the vault"),
        (!intent.could_be_made_at(made_at(key)), "it was made before it was wanted"),
        (key.destroyed, "it was destroyed"),
    ];
    let doubts: Vec<&str> = doubts.iter().filter(|(holds, _)| *holds).map(|(_, why)| *why).collect();
    if doubts.is_empty() {
        return pin(key, intent.algorithm);
    }
    let reason = format!(
        "the vault's key {} is not taken for the one that was wanted: {}; find out whose it is",
        key.name,
        doubts.join("; ")
    );
    Err(SignError::refused(Refusal::Ambiguous, reason))
}

/// Looks first, and again after: what is there decides, for another call may have been first, or an answer lost.
pub(crate) async fn create(config: &ToyConfig, intent: &KeyIntent) -> Result<KeyPin> {
    if let Some(made_before) = find(config, intent).await? {
        return Ok(made_before);
    }
    let name = name_of(intent);
    let tags = KeyTags::of(intent).write().map(|(name, value)| (name.to_owned(), value)).into();
    let kind = kind(intent.algorithm)?.to_owned();
    let asked = ask(config, &name, &Question::Make { name: name.clone(), kind, tags }).await;
    match (find(config, intent).await?, asked) {
        (Some(pin), _) => Ok(pin),
        (None, Err(error)) => Err(error),
        (None, Ok(_)) => Err(SignError::integrity(format!("the vault made {name} and does not show it"))),
    }
}

pub(crate) async fn list(config: &ToyConfig, deployment: &str) -> Result<Vec<FoundKey>> {
    let mut found = Vec::new();
    for key in all(config).await?.iter().filter(|key| !key.destroyed) {
        let tags = KeyTags::read(|name| key.tags.get(name).map(String::as_str));
        if let Some(tags) = tags.filter(|tags| tags.deployment == deployment) {
            found.push(tags.found(uri(key)?, Some(made_at(key))));
        }
    }
    Ok(found)
}

/// Nothing is destroyed but the key that is pinned.
pub(crate) async fn give_up(config: &ToyConfig, pin: &KeyPin) -> Result<()> {
    let name = pin.uri.rest();
    if show(config, name).await?.spki != pin.spki {
        let reason = format!("{} holds another key than the pinned one: nothing was changed", pin.uri);
        return Err(SignError::refused(Refusal::Ambiguous, reason));
    }
    ask(config, name, &Question::Destroy { name: name.to_owned() }).await.map(drop)
}

fn made_at(key: &Described) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(key.made)
}
