//! The key stores of this build, made from settings. A new backend is one crate, one file here and one line in
//! [`FACTORIES`].

pub mod check;
mod local;
#[cfg(feature = "pkcs11")]
mod pkcs11;
#[cfg(test)]
mod tests;
#[cfg(feature = "pkcs11")]
mod token;

use crate::settings::{BackendSettings, Settings, SettingsError, Table};
use catalyst_signing::SigningBackend;
use std::{error::Error, sync::Arc};

/// Why a key store can't be used with these settings: a sentence for the operator.
pub type Failure = Box<dyn Error + Send + Sync>;

/// Key stores by the names that operators choose them by.
pub type Named = Vec<(String, Arc<dyn SigningBackend>)>;

/// One kind of key store: its settings, and how they become key stores.
#[derive(Clone, Copy, Debug)]
pub struct Factory {
    /// The name of its kind and its rows of the table.
    pub settings: BackendSettings,
    /// Whether `CATALYST_PKI_ROOT_CREDENTIALS` means something to it.
    takes_root_credentials: bool,
    /// Makes those that the settings describe. Nothing is asked of a key store here: one that is away, or whose module
    /// is missing, shows that when it is used.
    open: fn(&Settings) -> Result<Named, Failure>,
}

/// Every kind of this build.
pub const FACTORIES: &[Factory] = &[
    local::FACTORY,
    #[cfg(feature = "pkcs11")]
    pkcs11::FACTORY,
];

/// The table of settings of this build.
#[must_use]
pub fn table() -> Table {
    Table::new(FACTORIES.iter().map(|factory| factory.settings))
}

/// Every key store that the settings describe. It may read and make directories.
///
/// # Errors
/// Settings that can't be understood or do not go together, by their names; a key directory that can't be used.
pub fn open(settings: &Settings) -> Result<Named, Failure> {
    check_root_credentials(settings)?;
    let mut stores = Vec::new();
    for factory in FACTORIES {
        stores.extend((factory.open)(settings)?);
    }
    Ok(stores)
}

/// The key store of this name.
///
/// # Errors
/// As [`open`], of its own kind alone; no key store of that name, and what there is.
pub fn open_one(settings: &Settings, name: &str) -> Result<Arc<dyn SigningBackend>, Failure> {
    check_root_credentials(settings)?;
    let mut stores = match factory_of(name) {
        Some(factory) => (factory.open)(settings)?,
        None => Vec::new(),
    };
    match stores.iter().position(|(known, _)| known == name) {
        Some(found) => Ok(stores.swap_remove(found).1),
        None => Err(unknown(name, &stores)),
    }
}

fn unknown(name: &str, of_its_kind: &Named) -> Failure {
    let kinds: Vec<&str> = FACTORIES.iter().map(|factory| factory.settings.name).collect();
    let known: Vec<&str> = of_its_kind.iter().map(|(known, _)| known.as_str()).collect();
    let there_is = if known.is_empty() {
        format!("this build has the kinds {}", kinds.join(", "))
    } else {
        format!("there is {}", known.join(", "))
    };
    format!(
        "the settings describe no key store '{name}' ({there_is}): see 'catalyst config' for those that hold"
    )
    .into()
}

fn factory_of(name: &str) -> Option<&'static Factory> {
    let kind = name.split(':').next();
    FACTORIES.iter().find(|factory| Some(factory.settings.name) == kind)
}

fn check_root_credentials(settings: &Settings) -> Result<(), Failure> {
    let root = &settings.key_backends.root;
    if settings.root_credentials.is_some() && factory_of(root).is_none_or(|kind| !kind.takes_root_credentials)
    {
        return Err(Box::new(SettingsError::Together(format!(
            "CATALYST_PKI_ROOT_CREDENTIALS is set, and the root's key store is '{root}', which has no credentials of the root's own: choose another with CATALYST_PKI_KEY_BACKEND_ROOT, or unset it"
        ))));
    }
    Ok(())
}
