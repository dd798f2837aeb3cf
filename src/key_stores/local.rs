//! `local`: keys in encrypted files.

use super::{Factory, Failure, Named};
use crate::settings::{BackendSettings, Fallback, KeySettings, Kind, Setting, Settings};
use catalyst_local::{LocalBackend, LocalError};
use catalyst_signing::KeyUri;
use std::{path::PathBuf, sync::Arc};

/// Where it lies and what opens it are the service's own rows, for `--dev` needs them in every build.
const SETTINGS: BackendSettings =
    BackendSettings { name: "local", settings: &[], several: false, keys: Some(LOCAL_KEYS) };

/// The settings that name an existing key for the next of each role.
pub const LOCAL_KEYS: KeySettings = KeySettings {
    root: &key(
        "CATALYST_PKI_LOCAL_KEY",
        "local-key",
        "local.key",
        "Existing key for the next root CA: the name that `catalyst pki keys import` printed",
    ),
    services: &key(
        "CATALYST_PKI_LOCAL_KEY_SERVICES",
        "local-key-services",
        "local.key_services",
        "The same for the next services CA",
    ),
    transport: &key(
        "CATALYST_PKI_LOCAL_KEY_TRANSPORT",
        "local-key-transport",
        "local.key_transport",
        "The same for the next transport CA",
    ),
    tokens: &key(
        "CATALYST_PKI_LOCAL_KEY_TOKENS",
        "local-key-tokens",
        "local.key_tokens",
        "The same for the next token signing key, which is an EC-P384 key",
    ),
    names_key: |_| true,
};

const fn key(variable: &'static str, flag: &'static str, key: &'static str, help: &'static str) -> Setting {
    let kind = Kind::Checked { check: check_key, accepts: "name of a key file, without .pem" };
    Setting::of_key_store(variable, flag, key, kind, Fallback::Unset("a key is made"), help)
}

fn check_key(text: &str) -> Result<(), String> {
    let name = text.strip_prefix("local:").unwrap_or(text);
    match KeyUri::parse(&format!("local:{name}")) {
        Ok(_) => Ok(()),
        Err(_) => Err("the name of a local key is wanted, such as imported-root-0123456789abcdef".to_owned()),
    }
}

pub(super) const FACTORY: Factory = Factory { settings: SETTINGS, takes_root_credentials: false, open };

/// The file in which a key lies, of a key store and key URI as they are stored; `None` for keys that lie in no file.
pub(super) fn key_file(settings: &Settings, backend: &str, uri: &str) -> Option<PathBuf> {
    let name = uri.strip_prefix("local:").filter(|_| backend == "local")?;
    // Roles and generations, and what an operator has named; never a path.
    (!name.contains('/')).then(|| settings.local_keys.join(format!("{name}.pem")))
}

/// The key store itself, for what no other kind can do; `None` without a passphrase.
pub(super) fn open_local(settings: &Settings) -> Result<Option<LocalBackend>, LocalError> {
    let passphrase = settings.local_passphrase.clone();
    passphrase.map(|passphrase| LocalBackend::open(settings.local_keys.clone(), passphrase)).transpose()
}

/// None without a passphrase: then no role makes keys there, and those of before stay down.
fn open(settings: &Settings, _: Option<&str>) -> Result<Named, Failure> {
    let local = open_local(settings)?.map(|local| ("local".to_owned(), Arc::new(local) as _));
    Ok(local.into_iter().collect())
}
