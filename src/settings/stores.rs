//! What the settings say of one key store, and of existing keys that are to be used.

use super::{
    Effective, KeyBackends, SettingsError, Table,
    effective::{Content, Origin},
    setting::{BackendSettings, Setting},
    table::key_in_store,
};
use secrecy::SecretString;
use std::{path::Path, str::FromStr};

/// The settings of one key store: the rows themselves, or what one table of the settings file says of them.
#[derive(Debug)]
pub struct StoreSettings<'a> {
    values: &'a Effective,
    backend: &'a BackendSettings,
    /// What it is chosen by: `pkcs11`, `pkcs11:hsm-1`.
    name: String,
}

/// A secret as an operator gives it.
#[derive(Debug, Clone, Copy)]
pub enum GivenSecret<'a> {
    /// Itself.
    Itself(&'a SecretString),
    /// In this file, which is read when the secret is used.
    In(&'a Path),
}

impl Effective {
    /// The settings of the key stores of this kind: those that have its name alone, then each that the settings file
    /// describes.
    #[must_use]
    pub fn stores<'a>(&'a self, backend: &'a BackendSettings) -> Vec<StoreSettings<'a>> {
        let kind = |store: &&String| store.split_once(':').is_some_and(|(kind, _)| kind == backend.name);
        let names = std::iter::once(backend.name.to_owned()).chain(self.stores.iter().filter(kind).cloned());
        names.map(|name| StoreSettings { values: self, backend, name }).collect()
    }
}

impl StoreSettings<'_> {
    /// What it is chosen by: `pkcs11`, `pkcs11:hsm-1`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether an operator said anything of it.
    #[must_use]
    pub fn is_given(&self) -> bool {
        let given = |row: &Setting| {
            let origin = self.values.values.get(&self.called(row.variable)).map(|given| given.origin);
            origin.is_some_and(|origin| !matches!(origin, Origin::Default | Origin::DevDefault))
        };
        self.backend.settings.iter().any(given)
    }

    /// How an operator writes a setting of this key store: its variable, or the dotted key of the settings file.
    #[must_use]
    pub fn called(&self, variable: &str) -> String {
        let row = self.backend.settings.iter().find(|row| row.variable == variable);
        let in_store = self.name.split_once(':').zip(row);
        let key = in_store.and_then(|((kind, name), row)| key_in_store(row, kind, name));
        key.unwrap_or_else(|| variable.to_owned())
    }

    /// The value of a setting that is no secret.
    #[must_use]
    pub fn text(&self, variable: &str) -> Option<&str> {
        self.values.text(&self.called(variable))
    }

    /// The value of a secret, or where it is.
    #[must_use]
    pub fn secret(&self, variable: &str) -> Option<GivenSecret<'_>> {
        match &self.values.values.get(&self.called(variable))?.content {
            Content::Plain(_) => None,
            Content::Secret(value, _) => Some(GivenSecret::Itself(value)),
            Content::SecretIn(path) => Some(GivenSecret::In(path)),
        }
    }

    /// The value of a setting that this key store cannot do without; `wanted`: what it should be, as a clause.
    ///
    /// # Errors
    /// [`SettingsError::Missing`]
    pub fn required(&self, variable: &str, wanted: &str) -> Result<&str, SettingsError> {
        self.text(variable).ok_or_else(|| self.missing(variable, wanted))
    }

    /// The error for a value that its row accepted and the key store can't use: `accepted` is the form it wants, as a
    /// clause.
    #[must_use]
    pub fn invalid(&self, variable: &str, accepted: impl Into<String>) -> SettingsError {
        self.values.invalid(&self.called(variable), accepted)
    }

    /// The number that a setting is; `wanted`: what it should be, as a clause.
    ///
    /// # Errors
    /// [`SettingsError::Missing`]
    pub fn number<T: FromStr>(&self, variable: &str, wanted: &str) -> Result<T, SettingsError> {
        let number = self.text(variable).and_then(|number| number.parse().ok());
        number.ok_or_else(|| self.missing(variable, wanted))
    }

    /// The error for a setting that this key store cannot do without.
    #[must_use]
    pub fn missing(&self, variable: &str, wanted: &str) -> SettingsError {
        let wanted = format!("the key store '{}' needs {wanted}", self.name);
        SettingsError::Missing { variable: self.called(variable), wanted }
    }
}

/// An existing key that an operator names for the next generation of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyReference {
    /// The variable that says so.
    pub setting: &'static str,
    /// The key, as its key store names it or as an operator writes it.
    pub reference: String,
}

/// The keys that an operator names, by what they are for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyReferences {
    /// The next root CA key.
    pub root: Option<KeyReference>,
    /// The next services CA key.
    pub services: Option<KeyReference>,
    /// The next transport CA key.
    pub transport: Option<KeyReference>,
    /// The next token signing key.
    pub tokens: Option<KeyReference>,
}

impl KeyReferences {
    /// Refuses a key for a role whose keys are made elsewhere: it would never be read.
    pub(super) fn read(
        table: &Table,
        values: &Effective,
        backends: &KeyBackends,
    ) -> Result<Self, SettingsError> {
        let mut found = Self::default();
        for backend in table.backends() {
            let Some(rows) = backend.keys else { continue };
            for (row, chosen, role, slot) in [
                (rows.root, &backends.root, "_ROOT", &mut found.root),
                (rows.services, &backends.services, "_SERVICES", &mut found.services),
                (rows.transport, &backends.transport, "_TRANSPORT", &mut found.transport),
                (rows.tokens, &backends.tokens, "_TOKENS", &mut found.tokens),
            ] {
                // A place where keys are made serves whatever is made there one day.
                let Some(reference) = values.text(row.variable).filter(|name| (rows.names_key)(name)) else {
                    continue;
                };
                if chosen.split(':').next() != Some(backend.name) {
                    return Err(SettingsError::Together(format!(
                        "{} names a key of {}, and CATALYST_PKI_KEY_BACKEND{role} is '{chosen}': choose a key store of that kind for this role, or unset the key",
                        row.variable, backend.name
                    )));
                }
                *slot = Some(KeyReference { setting: row.variable, reference: reference.to_owned() });
            }
        }
        Ok(found)
    }
}
