//! CryptoKeys.

use super::{list::page, versions};
use crate::{
    fields::{Fields, camel_case, enumeration},
    http::Request,
    key::takes,
    names::{KeyName, RingName, VersionName, check_id},
    refused::Refused,
    service::State,
    store::{CryptoKey, Hidden, Template},
};
use catalyst_rigs::gcp::{
    Settings,
    api::{Algorithm, Enumeration as _, ProtectionLevel, Purpose, View},
};
use serde_json::Value;
use std::{collections::BTreeMap, ops::RangeInclusive};
use time::OffsetDateTime;

/// How long a destruction can be put off, in seconds: a day to 120 days.
const DESTROYED_AFTER: RangeInclusive<u64> = 24 * 3600..=120 * 24 * 3600;

pub(super) fn create(state: &mut State, ring: &RingName, request: &Request) -> Result<Value, Refused> {
    let id = request.parameter("cryptoKeyId").unwrap_or_default();
    check_id("crypto_key_id", id)?;
    if request.parameter("trustedWrappingEnabled") == Some("true") {
        return Err(Refused::unimplemented("trusted_wrapping_enabled"));
    }
    let wanted = Wanted::read(Fields::of_body(&request.body)?)?;
    let purpose = wanted.purpose.ok_or_else(|| Refused::invalid("crypto_key.purpose is required."))?;
    let template = template(&state.settings, purpose, wanted.algorithm, wanted.protection_level)?;
    let now = state.clock.now();
    let mut key = CryptoKey::new(now, purpose, template);
    key.labels = wanted.labels.unwrap_or_default();
    key.destroyed_after = wanted.destroyed_after.unwrap_or(key.destroyed_after);
    key.hidden = Hidden(state.settings.invisible_for);
    let name = KeyName { ring: ring.clone(), id: id.into() };
    let key = state.store.ring(ring)?.add_key(&name, key)?;
    if request.parameter("skipInitialVersionCreation") != Some("true") {
        key.add(versions::new(&state.settings, now, purpose, template));
    }
    Ok(message(&name, key, now))
}

pub(super) fn get(state: &mut State, name: &KeyName) -> Result<Value, Refused> {
    let now = state.clock.now();
    Ok(message(name, state.store.key(name)?, now))
}

pub(super) fn list(state: &mut State, ring: &RingName, request: &Request) -> Result<Value, Refused> {
    enumeration::<View>("version_view", request.parameter("versionView").unwrap_or_default())?;
    let now = state.clock.now();
    let keys = state.store.ring(ring)?.keys();
    let name = |id: &String| KeyName { ring: ring.clone(), id: id.clone() };
    page(request, "cryptoKeys", keys.map(|(id, key)| message(&name(id), key, now)).collect())
}

pub(super) fn update(state: &mut State, name: &KeyName, request: &Request) -> Result<Value, Refused> {
    let wanted = Wanted::read(Fields::of_body(&request.body)?)?;
    let mask = mask(request)?;
    let key = state.store.key(name)?;
    for path in mask {
        match path.as_str() {
            "labels" => key.labels = wanted.labels.clone().unwrap_or_default(),
            "versionTemplate.algorithm" => {
                let level = Some(key.template.protection_level);
                key.template = template(&state.settings, key.purpose, wanted.algorithm, level)?;
            }
            _ => return Err(Refused::invalid(&format!("update_mask: {path} can't be updated."))),
        }
    }
    Ok(message(name, key, state.clock.now()))
}

/// The paths of the update mask.
pub(super) fn mask(request: &Request) -> Result<Vec<String>, Refused> {
    let mask = request.parameter("updateMask").unwrap_or_default();
    let paths: Vec<String> = mask.split(',').filter(|path| !path.is_empty()).map(camel_case).collect();
    if paths.is_empty() {
        return Err(Refused::invalid("update_mask is required."));
    }
    Ok(paths)
}

fn message(name: &KeyName, key: &mut CryptoKey, now: OffsetDateTime) -> Value {
    let mut message = key.message(name);
    if key.purpose == Purpose::EncryptDecrypt
        && let Some((number, version)) = key.versions(now).next()
    {
        let name = VersionName { key: name.clone(), number };
        message["primary"] = version.message(&name, false);
    }
    message
}

/// What a CryptoKey shall be.
struct Wanted {
    purpose: Option<Purpose>,
    algorithm: Option<Algorithm>,
    protection_level: Option<ProtectionLevel>,
    labels: Option<BTreeMap<String, String>>,
    destroyed_after: Option<u64>,
}

impl Wanted {
    fn read(mut fields: Fields) -> Result<Self, Refused> {
        let mut template = fields.message("versionTemplate")?;
        let (algorithm, protection_level) = match &mut template {
            Some(template) => (template.enumeration("algorithm")?, template.enumeration("protectionLevel")?),
            None => (None, None),
        };
        template.map_or(Ok(()), Fields::end)?;
        let labels = fields.labels("labels")?;
        check_labels(labels.iter().flatten())?;
        let destroyed_after = fields.seconds("destroyScheduledDuration")?;
        if destroyed_after.is_some_and(|seconds| !DESTROYED_AFTER.contains(&seconds)) {
            return Err(Refused::invalid("destroy_scheduled_duration must be from 24 hours to 120 days."));
        }
        let purpose = fields.enumeration("purpose")?;
        fields.pass_over(&["name", "primary", "createTime"]);
        fields.refuse(&[
            "nextRotationTime",
            "rotationPeriod",
            "importOnly",
            "cryptoKeyBackend",
            "keyAccessJustificationsPolicy",
        ])?;
        fields.end()?;
        Ok(Self { purpose, algorithm, protection_level, labels, destroyed_after })
    }
}

/// The template, if the service has such keys.
pub(crate) fn template(
    settings: &Settings,
    purpose: Purpose,
    algorithm: Option<Algorithm>,
    protection_level: Option<ProtectionLevel>,
) -> Result<Template, Refused> {
    let protection_level = protection_level.unwrap_or(ProtectionLevel::Software);
    let algorithm = match (algorithm, purpose) {
        (Some(algorithm), _) => algorithm,
        (None, Purpose::EncryptDecrypt) => Algorithm::GoogleSymmetricEncryption,
        (None, _) => return Err(Refused::invalid("crypto_key.version_template.algorithm is required.")),
    };
    if takes(algorithm).is_some() != (purpose == Purpose::AsymmetricSign) {
        let (algorithm, purpose) = (algorithm.name(), purpose.name());
        return Err(Refused::invalid(&format!("algorithm {algorithm} is not valid for purpose {purpose}.")));
    }
    if protection_level == ProtectionLevel::Hsm && settings.software_only.contains(&algorithm) {
        let algorithm = algorithm.name();
        return Err(Refused::invalid(&format!(
            "algorithm {algorithm} is not valid for protection level HSM."
        )));
    }
    Ok(Template { algorithm, protection_level })
}

/// Keys and values as cloud.google.com/kms/docs/labeling-keys allows them, in ASCII.
fn check_labels<'a>(labels: impl Iterator<Item = (&'a String, &'a String)>) -> Result<(), Refused> {
    let letter =
        |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "-_".contains(letter);
    let fits = |text: &str| text.len() <= 63 && text.chars().all(letter);
    let begins = |key: &str| key.starts_with(|letter: char| letter.is_ascii_lowercase());
    for (number, (key, value)) in labels.enumerate() {
        if number == 64 || !begins(key) || !fits(key) || !fits(value) {
            return Err(Refused::invalid(&format!("labels: {key}={value} is not valid, or one too many.")));
        }
    }
    Ok(())
}
