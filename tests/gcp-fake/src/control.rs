//! What tests say to the fake and ask of it: JSON under `/fake/`.

use crate::{
    methods::template,
    names::{KeyName, VersionName},
    refused::Refused,
    service::State,
    store::{CryptoKey, Life, Material, Version},
};
use catalyst_rigs::gcp::{
    Alteration, Plant,
    api::{Code, Purpose, State as VersionState},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use time::Duration;

/// Answers a request for this path below `/fake/`.
pub(crate) fn answer(state: &mut State, method: &str, path: &str, body: &[u8]) -> Result<Value, Refused> {
    match (method, path) {
        ("POST", "rules") => state.rules.add(read(body)?),
        ("DELETE", "rules") => state.rules.clear(),
        ("POST", "bindings") => state.policy.add(read(body)?)?,
        ("DELETE", "bindings") => state.policy.clear(),
        ("PUT", "settings") => state.settings = read(body)?,
        ("POST", "clock") => state.clock.advance(read(body)?),
        ("POST", "keys") => return plant(state, read(body)?),
        ("GET", "calls") => return Ok(json!(state.calls)),
        ("PATCH", path) => match path.strip_prefix("versions/").and_then(VersionName::parse) {
            Some(name) => alter(state, &name, &read(body)?)?,
            None => return Err(unknown(path)),
        },
        _ => return Err(unknown(path)),
    }
    Ok(json!({}))
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refused> {
    serde_json::from_slice(body).map_err(|error| Refused::invalid(&error.to_string()))
}

fn unknown(path: &str) -> Refused {
    Refused::new(Code::NotFound, &format!("The fake has no /fake/{path} for this verb."))
}

fn plant(state: &mut State, plant: Plant) -> Result<Value, Refused> {
    let name = KeyName::parse(&plant.key).ok_or_else(|| Refused::invalid(&plant.key))?;
    let purpose = match crate::key::takes(plant.algorithm) {
        Some(_) => Purpose::AsymmetricSign,
        None => Purpose::EncryptDecrypt,
    };
    let level = Some(plant.protection_level);
    let template = template(&state.settings, purpose, Some(plant.algorithm), level)?;
    let now = state.clock.now();
    let mut key = CryptoKey::new(now, purpose, template);
    key.labels = plant.labels;
    let material = (purpose == Purpose::AsymmetricSign).then(|| Material::generate(plant.algorithm));
    key.add(Version::new(now, template, Life::Enabled, material));
    // The ring may be there already.
    let _ = state.store.add_ring(&name.ring, now);
    state.store.ring(&name.ring)?.add_key(&name, key)?;
    Ok(json!({"name": VersionName { key: name, number: 1 }.to_string()}))
}

fn alter(state: &mut State, name: &VersionName, alteration: &Alteration) -> Result<(), Refused> {
    let now = state.clock.now();
    let key = state.store.key(&name.key)?;
    let shift = Duration::seconds(alteration.made_later.unwrap_or_default());
    key.made = key.made.saturating_add(shift);
    let version = key.version(name, now)?;
    version.made = version.made.saturating_add(shift);
    if let Some(job) = &alteration.import_job {
        version.import_job = Some(job.clone());
    }
    if alteration.other_key {
        version.material = Some(Material::generate(version.template.algorithm));
    }
    if let Some(state) = alteration.state {
        version.life = match state {
            VersionState::Enabled => Life::Enabled,
            VersionState::Disabled => Life::Disabled,
            VersionState::PendingGeneration => Life::Pending(0),
            VersionState::GenerationFailed => Life::Failed,
            VersionState::DestroyScheduled => Life::Scheduled(now.saturating_add(Duration::days(30))),
            VersionState::Destroyed => Life::Destroyed(now),
        };
    }
    Ok(())
}
