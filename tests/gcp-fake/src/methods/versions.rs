//! CryptoKeyVersions.

use super::{keys::mask, list::page};
use crate::{
    fields::{Fields, enumeration},
    http::Request,
    names::{KeyName, VersionName},
    refused::Refused,
    service::State,
    store::{Hidden, Life, Material, Template, Version},
};
use catalyst_rigs::gcp::{
    Generation, Settings,
    api::{Purpose, State as VersionState, View},
};
use serde_json::Value;
use time::OffsetDateTime;

/// A version that begins its life now. One that signs is being made for a while, at either protection level.
pub(super) fn new(settings: &Settings, now: OffsetDateTime, purpose: Purpose, template: Template) -> Version {
    match purpose {
        Purpose::EncryptDecrypt => Version::new(now, template, Life::Enabled, None),
        Purpose::AsymmetricSign => {
            let calls = match settings.generation {
                Generation::AfterCalls(calls) => calls,
                Generation::Held | Generation::Failing => 0,
            };
            let material = Material::generate(template.algorithm);
            Version::new(now, template, Life::Pending(calls), Some(material))
        }
    }
}

pub(super) fn create(state: &mut State, key: &KeyName, request: &Request) -> Result<Value, Refused> {
    if wanted(request)?.is_some_and(|state| state != VersionState::Enabled) {
        return Err(Refused::unimplemented("version that is born in another state than ENABLED"));
    }
    let (now, settings) = (state.clock.now(), &state.settings);
    let found = state.store.key(key)?;
    let mut version = new(settings, now, found.purpose, found.template);
    version.hidden = Hidden(settings.invisible_for);
    let (number, version) = found.add(version);
    Ok(version.message(&VersionName { key: key.clone(), number }, false))
}

pub(super) fn get(state: &mut State, name: &VersionName) -> Result<Value, Refused> {
    let version = state.store.version(name, state.clock.now())?;
    version.look(state.settings.generation);
    Ok(version.message(name, true))
}

pub(super) fn list(state: &mut State, key: &KeyName, request: &Request) -> Result<Value, Refused> {
    let view: Option<View> = enumeration("view", request.parameter("view").unwrap_or_default())?;
    let (now, generation) = (state.clock.now(), state.settings.generation);
    let message = |(number, version): (u32, &mut Version)| {
        version.look(generation);
        version.message(&VersionName { key: key.clone(), number }, view.is_some())
    };
    let messages = state.store.key(key)?.versions(now).map(message).collect();
    page(request, "cryptoKeyVersions", messages)
}

pub(super) fn update(state: &mut State, name: &VersionName, request: &Request) -> Result<Value, Refused> {
    let wanted = wanted(request)?;
    if let Some(path) = mask(request)?.iter().find(|path| *path != "state") {
        return Err(Refused::invalid(&format!("update_mask: {path} can't be updated.")));
    }
    let wanted = wanted.ok_or_else(|| Refused::invalid("crypto_key_version.state is required."))?;
    let version = state.store.version(name, state.clock.now())?;
    version.update(name, wanted)?;
    Ok(version.message(name, false))
}

pub(super) fn destroy(state: &mut State, name: &VersionName, request: &Request) -> Result<Value, Refused> {
    name_alone(request)?;
    let now = state.clock.now();
    let key = state.store.key(&name.key)?;
    let after = key.destroyed_after;
    let version = key.version(name, now)?;
    version.destroy(name, now, after)?;
    Ok(version.message(name, false))
}

pub(super) fn restore(state: &mut State, name: &VersionName, request: &Request) -> Result<Value, Refused> {
    name_alone(request)?;
    let version = state.store.version(name, state.clock.now())?;
    version.restore(name)?;
    Ok(version.message(name, false))
}

/// The state of the CryptoKeyVersion in the body.
fn wanted(request: &Request) -> Result<Option<VersionState>, Refused> {
    let mut fields = Fields::of_body(&request.body)?;
    let state = fields.enumeration("state")?;
    fields.pass_over(&[
        "name",
        "protectionLevel",
        "algorithm",
        "attestation",
        "createTime",
        "generateTime",
        "destroyTime",
        "destroyEventTime",
        "importJob",
        "importTime",
        "importFailureReason",
        "generationFailureReason",
        "externalDestructionFailureReason",
        "reimportEligible",
    ]);
    fields.refuse(&["externalProtectionLevelOptions"])?;
    fields.end()?;
    Ok(state)
}

fn name_alone(request: &Request) -> Result<(), Refused> {
    let mut fields = Fields::of_body(&request.body)?;
    fields.pass_over(&["name"]);
    fields.end()
}
