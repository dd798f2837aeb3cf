//! Key stores, made from settings. A new backend is one crate, one file here and one line in [`FACTORIES`]; a program with
//! a backend of its own says [`Kinds::and`] in place of that line.

#[cfg(feature = "aws-kms")]
mod aws_kms;
#[cfg(feature = "aws-kms")]
mod aws_names;
pub mod check;
#[cfg(any(feature = "aws-kms", feature = "gcp-kms"))]
mod endpoint;
#[cfg(feature = "gcp-kms")]
mod gcp_kms;
mod local;
#[cfg(feature = "pkcs11")]
mod pkcs11;
#[cfg(any(feature = "aws-kms", feature = "gcp-kms", feature = "pkcs11"))]
mod root;
#[cfg(test)]
mod tests;
#[cfg(feature = "pkcs11")]
mod token;

pub use local::LOCAL_KEYS;

use crate::settings::{BackendSettings, Settings, SettingsError, StoreSettings, Table};
use catalyst_local::{LocalBackend, LocalError};
use catalyst_signing::SigningBackend;
use std::{error::Error, path::PathBuf, sync::Arc};

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
    pub takes_root_credentials: bool,
    /// Makes those that the settings describe. Nothing is asked of a key store here: one that is away, or whose module
    /// is missing, shows that when it is used. The one of the name that is given is among them, or what it lacks is the
    /// error.
    pub open: fn(&Settings, Option<&str>) -> Result<Named, Failure>,
}

/// Every kind of this build.
pub const FACTORIES: &[Factory] = &[
    local::FACTORY,
    #[cfg(feature = "aws-kms")]
    aws_kms::FACTORY,
    #[cfg(feature = "gcp-kms")]
    gcp_kms::FACTORY,
    #[cfg(feature = "pkcs11")]
    pkcs11::FACTORY,
];

/// The kinds of key stores that a program has.
#[derive(Clone, Debug)]
pub struct Kinds(Vec<Factory>);

impl Kinds {
    /// Every kind of this build.
    #[must_use]
    pub fn of_this_build() -> Self {
        Self(FACTORIES.to_vec())
    }

    /// One more, whose name and rows no other has.
    #[must_use]
    pub fn and(mut self, kind: Factory) -> Self {
        self.0.push(kind);
        self
    }

    /// The table of settings: the service's, and those of each kind.
    #[must_use]
    pub fn table(&self) -> Table {
        Table::new(self.0.iter().map(|factory| factory.settings))
    }

    /// Every key store that the settings describe. It may read and make directories.
    ///
    /// # Errors
    /// Settings that can't be understood or do not go together, by their names; a key directory that can't be used.
    pub fn open(&self, settings: &Settings) -> Result<Named, Failure> {
        self.check_root_credentials(settings)?;
        let mut stores = Vec::new();
        for factory in &self.0 {
            stores.extend((factory.open)(settings, None)?);
        }
        Ok(stores)
    }

    /// The key store of this name.
    ///
    /// # Errors
    /// As [`Kinds::open`], of its own kind alone; no key store of that name, and what there is.
    pub fn open_one(&self, settings: &Settings, name: &str) -> Result<Arc<dyn SigningBackend>, Failure> {
        self.check_root_credentials(settings)?;
        let mut stores = match self.of(name) {
            Some(factory) => (factory.open)(settings, Some(name))?,
            None => return Err(self.unknown_kind(name)),
        };
        match stores.iter().position(|(known, _)| known == name) {
            Some(found) => Ok(stores.swap_remove(found).1),
            None => Err(undescribed(name)),
        }
    }

    fn of(&self, name: &str) -> Option<&Factory> {
        let kind = name.split(':').next();
        self.0.iter().find(|factory| Some(factory.settings.name) == kind)
    }

    fn unknown_kind(&self, name: &str) -> Failure {
        let kinds: Vec<&str> = self.0.iter().map(|factory| factory.settings.name).collect();
        format!("this build has no key store '{name}'; it has: {}", kinds.join(", ")).into()
    }

    fn check_root_credentials(&self, settings: &Settings) -> Result<(), Failure> {
        let root = &settings.key_backends.root;
        if settings.root_credentials.is_some()
            && self.of(root).is_none_or(|kind| !kind.takes_root_credentials)
        {
            return Err(Box::new(SettingsError::Together(format!(
                "CATALYST_PKI_ROOT_CREDENTIALS is set, and the root's key store is '{root}', which has no credentials of the root's own: choose another with CATALYST_PKI_KEY_BACKEND_ROOT, or unset it"
            ))));
        }
        Ok(())
    }
}

/// The file in which a stored key lies, encrypted; `None` for keys that lie in no file, which is all but `local`'s.
#[must_use]
pub fn key_file(settings: &Settings, backend: &str, uri: &str) -> Option<PathBuf> {
    local::key_file(settings, backend, uri)
}

/// The key store of local files itself, for what no other kind can do; `None`: there is no passphrase for it.
///
/// # Errors
/// A passphrase that is too short, or a directory that can't be used.
pub fn open_local(settings: &Settings) -> Result<Option<LocalBackend>, LocalError> {
    local::open_local(settings)
}

/// The key stores of one kind that there are: those that an operator describes or that a role uses, and the one that is
/// asked for. Where no role uses any of the kind, to say where keys would be made describes the one that has its name.
pub fn described<'a>(
    settings: &'a Settings,
    kind: &'a BackendSettings,
    named: Option<&str>,
) -> impl Iterator<Item = StoreSettings<'a>> {
    let is_of_kind = |chosen: &String| chosen.split(':').next() == Some(kind.name);
    let is_used = settings.key_backends.names().iter().any(is_of_kind);
    let has_place = kind.keys.is_some_and(|rows| {
        let rows = [rows.root, rows.services, rows.transport, rows.tokens];
        rows.iter().any(|row| settings.values.text(row.variable).is_some())
    });
    let wanted = move |store: &StoreSettings<'_>| {
        named == Some(store.name())
            || store.is_given()
            || settings.key_backends.any(store.name())
            || (store.name() == kind.name && has_place && !is_used)
    };
    settings.values.stores(kind).into_iter().filter(wanted)
}

fn undescribed(name: &str) -> Failure {
    match name.split_once(':') {
        Some((kind, rest)) => {
            format!("the settings file has no [{kind}.{rest}] that describes the key store '{name}'")
        }
        None => format!("the settings do not say how to use the key store '{name}': see 'catalyst config'"),
    }
    .into()
}
