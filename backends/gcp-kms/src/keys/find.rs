//! Finding the key of an intent, and all of a deployment.

use super::{
    CryptoKey, KeyRing, Mechanism, Version,
    ask::{self, Answer},
    labels, level,
    pages::{self, Pages},
    patience::patiently,
    resolve::{own, pin},
    unsupported,
};
use crate::{
    client::Clients,
    trouble::{Asked, Cause, Trouble},
};
use catalyst_signing::{FoundKey, KeyIntent, KeyPin, KeyTags, Refusal, Result, SignError};
use google_cloud_kms::model::{
    self, CryptoKeyVersion, crypto_key::CryptoKeyPurpose as Purpose,
    crypto_key_version::CryptoKeyVersionState as State,
};
use std::time::SystemTime;

/// How the key of an intent stands.
#[derive(Debug)]
pub(super) enum Found {
    /// Nobody has made it.
    Nothing,
    /// It is there, and shows no version yet: it was made with one.
    Bare(CryptoKey),
    /// It is there, and none of its versions is or will be of use.
    Spent {
        key: CryptoKey,
        /// How many there are.
        versions: usize,
    },
    /// This version of it is being made.
    Pending(Version),
    /// This version of it signs.
    Ready(Version),
}

/// The key that was made for an intent.
pub(crate) async fn find(clients: &Clients, intent: &KeyIntent) -> Result<Option<KeyPin>> {
    let mechanism = Mechanism::of(intent.algorithm).ok_or_else(|| unsupported(intent.algorithm))?;
    match look(clients, intent).await? {
        Found::Nothing | Found::Spent { .. } => Ok(None),
        Found::Bare(key) => Err(SignError::unavailable(unshown(&key))),
        Found::Pending(version) => {
            Err(SignError::unavailable(format!("Google Cloud KMS is making {version}: try again")))
        }
        Found::Ready(version) => pin(clients, version, &mechanism).await.map(Some),
    }
}

/// Of a key that was made and cannot be used yet.
pub(super) fn unshown(key: &CryptoKey) -> String {
    format!(
        "Google Cloud KMS shows no version of {key} yet: try again, and if it stays so, have one made \
         (gcloud kms keys versions create)"
    )
}

/// Where the key of an intent is made.
pub(super) fn place(clients: &Clients, intent: &KeyIntent) -> Result<CryptoKey> {
    let config = clients.config();
    let ring = config.rings.of(intent.role).ok_or_else(|| {
        let reason = format!(
            "the key store '{}' has no key ring to make the {} key in: set CATALYST_PKI_KMS_KEY_NAME to \
             projects/<p>/locations/<l>/keyRings/<r>",
            config.name, intent.role
        );
        SignError::refused(Refusal::Configuration, reason)
    })?;
    Ok(ring.key(&labels::id(intent)))
}

/// Looks for what was made for an intent: its name is known, so nothing is searched.
///
/// # Errors
/// A refusal that names the key which has the intent's name and may not be adopted, and what speaks against it.
pub(super) async fn look(clients: &Clients, intent: &KeyIntent) -> Result<Found> {
    look_at(clients, intent, place(clients, intent)?).await
}

/// Refuses an intent whose key was made in another of the key rings of now: a setting was changed after that. One in which
/// nothing may be read is passed over.
pub(super) async fn refuse_elsewhere(clients: &Clients, intent: &KeyIntent) -> Result<()> {
    let here = place(clients, intent)?;
    for ring in clients.config().rings.all().into_iter().filter(|ring| **ring != here.ring()) {
        let there = ring.key(here.id());
        match look_at(clients, intent, there.clone()).await {
            Ok(Found::Nothing | Found::Spent { .. })
            | Err(SignError::Refused { kind: Refusal::Denied, .. }) => {}
            Ok(_) => {
                let reason = format!(
                    "{there} was made for the wanted {} key, and such keys are now made in {}: set the former key ring again \
                     until that key is in use, or have it destroyed (gcloud kms keys versions destroy), and try again",
                    intent.role,
                    here.ring()
                );
                return Err(SignError::refused(Refusal::Ambiguous, reason));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn look_at(clients: &Clients, intent: &KeyIntent, key: CryptoKey) -> Result<Found> {
    let described = match patiently(|| describe(clients, &key)).await {
        Ok(described) => described,
        Err(Trouble { cause: Cause::Missing, .. }) => return Ok(Found::Nothing),
        Err(trouble) => return Err(trouble.error),
    };
    let versions = patiently(|| ask::versions(clients, &key)).await.map_err(|trouble| trouble.error)?;
    let count = versions.len();
    let live: Vec<CryptoKeyVersion> = versions.into_iter().filter(|version| !is_of_no_use(version)).collect();
    let refuse = |kind, doubts: &str| {
        Err(SignError::refused(
            kind,
            format!(
                "{key} has the nonce {} in its name and is not taken for the key that was wanted: {doubts}; find out whose \
                 it is, then have it destroyed (gcloud kms keys versions destroy) or choose another key ring, and \
                 try again",
                intent.nonce
            ),
        ))
    };
    let doubts = doubts(&described, &live, intent);
    if !doubts.is_empty() {
        return refuse(Refusal::Ambiguous, &doubts.join("; "));
    }
    let version = match &live[..] {
        [] if count == 0 => return Ok(Found::Bare(key)),
        [] => return Ok(Found::Spent { key, versions: count }),
        [version] => version,
        several => {
            let names: Vec<&str> = several.iter().map(|version| version.name.as_str()).collect();
            return refuse(
                Refusal::Ambiguous,
                &format!("either could be the one that was made: {}", names.join(", ")),
            );
        }
    };
    let mechanism = Mechanism::of(intent.algorithm).ok_or_else(|| unsupported(intent.algorithm))?;
    let (algorithm, level) = (version.algorithm.name().unwrap_or("unknown"), &version.protection_level);
    if version.algorithm != mechanism.algorithm || described.purpose != Purpose::AsymmetricSign {
        return refuse(
            Refusal::WrongType,
            &format!("it is of {algorithm}, and {} is wanted", mechanism.name()),
        );
    }
    level::check(clients.config().protection, level, &version.name)?;
    let name = own(&key, version).map_err(|trouble| trouble.error)?;
    match &version.state {
        State::Enabled => Ok(Found::Ready(name)),
        State::PendingGeneration => Ok(Found::Pending(name)),
        other => Err(SignError::refused(
            Refusal::Disabled,
            format!(
                "{name} is the version that was wanted, and its state is {}: enable it (gcloud kms keys versions enable \
                 {name}) and try again",
                other.name().unwrap_or("unknown")
            ),
        )),
    }
}

/// What speaks against a key that has an intent's name, whatever its algorithm.
fn doubts(key: &model::CryptoKey, versions: &[CryptoKeyVersion], intent: &KeyIntent) -> Vec<String> {
    let mut doubts = Vec::new();
    let wanted = KeyTags::of(intent);
    if labels::read(&key.labels).as_ref() != Some(&wanted) {
        doubts.push(format!(
            "its labels are not those of {} {} of deployment {}",
            wanted.role, wanted.generation, wanted.deployment
        ));
    }
    if key.import_only || versions.iter().any(is_imported) {
        doubts.push("it was imported, and not generated in Google Cloud KMS".to_owned());
    }
    let times = versions.iter().map(made_at).chain([time(key.create_time)]);
    let earliest = times.collect::<Option<Vec<_>>>().and_then(|times| times.into_iter().min());
    match earliest {
        None => doubts.push("it is not said when it was made".to_owned()),
        Some(made) if !intent.could_be_made_at(made) => {
            doubts.push("it was made before it was wanted".to_owned());
        }
        Some(_) => {}
    }
    doubts
}

/// Every key that was made for a deployment in the key rings of now, and not given up.
pub(crate) async fn list(clients: &Clients, deployment: &str) -> Result<Vec<FoundKey>> {
    let mut listed = Vec::new();
    for ring in clients.config().rings.all() {
        for described in in_ring(clients, ring, deployment).await.map_err(|trouble| trouble.error)? {
            let tags = labels::read(&described.labels).filter(|tags| tags.deployment == deployment);
            let (Some(tags), Some(key)) = (tags, CryptoKey::parse(&described.name)) else { continue };
            let versions =
                patiently(|| ask::versions(clients, &key)).await.map_err(|trouble| trouble.error)?;
            for version in versions.iter().filter(|version| !is_of_no_use(version)) {
                let name = own(&key, version).map_err(|trouble| trouble.error)?;
                listed.push(tags.found(name.uri().clone(), made_at(version)));
            }
        }
    }
    Ok(listed)
}

async fn in_ring(clients: &Clients, ring: &KeyRing, deployment: &str) -> Answer<Vec<model::CryptoKey>> {
    let asked = Asked { operation: "ListCryptoKeys", permission: "cryptoKeys.list", about: ring.as_str() };
    let filter = labels::filter(deployment);
    let (mut keys, mut pages) = (Vec::new(), Pages::default());
    loop {
        let request = || {
            clients.ask(asked, |client| {
                let request = client.list_crypto_keys().set_parent(ring.as_str()).set_filter(&filter);
                request.set_page_size(pages::SIZE).set_page_token(pages.token()).send()
            })
        };
        let answer = patiently(request).await?;
        let is_there =
            |key: &model::CryptoKey| CryptoKey::parse(&key.name).is_some_and(|key| key.ring() == *ring);
        if !answer.crypto_keys.iter().all(is_there) {
            return Err(asked.false_answer("it listed a key of another key ring"));
        }
        keys.extend(answer.crypto_keys);
        if !pages.turn(asked, answer.next_page_token)? {
            return Ok(keys);
        }
    }
}

async fn describe(clients: &Clients, key: &CryptoKey) -> Answer<model::CryptoKey> {
    let asked = Asked { operation: "GetCryptoKey", permission: "cryptoKeys.get", about: key.as_str() };
    let described = clients.ask(asked, |client| client.get_crypto_key().set_name(key.as_str()).send());
    let described = match described.await {
        Err(Trouble { error: SignError::Refused { kind, reason }, cause: Cause::Denied }) => {
            let reason = format!("{reason}; on its key ring, for the key may not be there yet");
            return Err(Trouble { error: SignError::refused(kind, reason), cause: Cause::Denied });
        }
        described => described?,
    };
    match described.name == key.as_str() {
        true => Ok(described),
        false => Err(asked.false_answer("it answered for another key")),
    }
}

/// Whether its material was made elsewhere.
pub(super) fn is_imported(version: &CryptoKeyVersion) -> bool {
    !version.import_job.is_empty() || version.import_time.is_some()
}

/// Whether a version was given up, or never came to be.
fn is_of_no_use(version: &CryptoKeyVersion) -> bool {
    matches!(version.state, State::GenerationFailed | State::DestroyScheduled | State::Destroyed)
}

fn made_at(version: &CryptoKeyVersion) -> Option<SystemTime> {
    time(version.create_time)
}

fn time(timestamp: Option<google_cloud_wkt::Timestamp>) -> Option<SystemTime> {
    SystemTime::try_from(timestamp?).ok()
}
