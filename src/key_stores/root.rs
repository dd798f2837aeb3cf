//! `CATALYST_PKI_ROOT_CREDENTIALS`: what opens the root's key store for root operations alone, whatever its kind.

use crate::settings::{Settings, SettingsError, StoreSettings};

/// What an operator gave for this key store; `None`: it is not the root's, or the root has nothing of its own.
///
/// # Errors
/// Other roles use this key store too.
pub(super) fn credentials<'a>(
    store: &StoreSettings<'_>,
    settings: &'a Settings,
) -> Result<Option<&'a str>, SettingsError> {
    let name = store.name();
    let Some(given) = settings.root_credentials.as_deref().filter(|_| settings.key_backends.root == name)
    else {
        return Ok(None);
    };
    if settings.key_backends.any_but_root(name) {
        let kind = name.split(':').next().unwrap_or(name);
        return Err(SettingsError::Together(format!(
            "CATALYST_PKI_ROOT_CREDENTIALS opens the key store '{name}' for root operations alone, and other roles use it too: give the root a key store of its own, as [{kind}.root] in the settings file with CATALYST_PKI_KEY_BACKEND_ROOT={kind}:root, or unset it"
        )));
    }
    Ok(Some(given))
}

/// Refuses a row of the root's key store that is a second answer to who opens it.
pub(super) fn given_once(store: &StoreSettings<'_>, given: Option<&str>) -> Result<(), SettingsError> {
    match given {
        None => Ok(()),
        Some(row) => Err(SettingsError::Together(format!(
            "CATALYST_PKI_ROOT_CREDENTIALS and {} are both given for the root's key store: give one of them",
            store.called(row)
        ))),
    }
}

/// Refuses that another key store of its kind has what opens the root's: that one keeps it open all day.
///
/// `same`: whether it has what opens the first, the root's; `shared`: that it does, and the cure, as the end of a sentence
/// that begins with its name.
pub(super) fn keep_apart<C>(
    configs: &[C],
    is_root: impl Fn(&C) -> bool,
    same: impl Fn(&C, &C) -> bool,
    name: impl Fn(&C) -> &str,
    shared: &str,
) -> Result<(), SettingsError> {
    let Some(root) = configs.iter().find(|config| is_root(config)) else { return Ok(()) };
    match configs.iter().find(|other| name(other) != name(root) && same(root, other)) {
        None => Ok(()),
        Some(other) => Err(SettingsError::Together(format!(
            "CATALYST_PKI_ROOT_CREDENTIALS opens the key store '{}' for root operations alone, and the key store '{}' {shared}",
            name(root),
            name(other)
        ))),
    }
}
