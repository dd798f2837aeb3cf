//! The settings file: TOML, flattened to dotted keys.

use super::{
    error::SettingsError,
    table::{self, Table},
};
use secrecy::SecretString;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// A settings file that was read. Every value is held as a secret, since some are.
pub(super) struct SettingsFile {
    pub(super) path: PathBuf,
    values: BTreeMap<String, SecretString>,
}

impl SettingsFile {
    pub(super) fn read(path: &Path, table: &Table) -> Result<Self, SettingsError> {
        let text = fs::read_to_string(path)
            .map(Zeroizing::new)
            .map_err(|source| SettingsError::File { path: path.into(), source })?;
        let document: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            SettingsError::Syntax {
                path: path.into(),
                line: before.matches('\n').count() + 1,
                problem: error.message().lines().next().unwrap_or_default().into(),
            }
        })?;
        let mut file = Self { path: path.into(), values: BTreeMap::new() };
        file.flatten("", document)?;
        file.check_keys(table)?;
        file.check_mode(table)?;
        Ok(file)
    }

    pub(super) fn get(&self, key: &str) -> Option<&SecretString> {
        self.values.get(key)
    }

    /// The key stores that it describes each in a table of their own: `<kind>:<name>`.
    pub(super) fn stores(&self, table: &Table) -> Vec<String> {
        self.values
            .keys()
            .filter_map(|key| table.store_of(key))
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect()
    }

    fn flatten(&mut self, prefix: &str, table: toml::Table) -> Result<(), SettingsError> {
        for (name, value) in table {
            let key = format!("{prefix}{name}");
            match value {
                toml::Value::Table(inner) => self.flatten(&format!("{key}."), inner)?,
                value => {
                    let text = as_text(value).ok_or_else(|| SettingsError::WrongType {
                        path: self.path.clone(),
                        key: key.clone(),
                    })?;
                    self.values.insert(key, text.into());
                }
            }
        }
        Ok(())
    }

    fn check_keys(&self, table: &Table) -> Result<(), SettingsError> {
        for key in self.values.keys() {
            if let Some(store) = table.store_of(key)
                && !store.split_once(':').is_some_and(|(_, name)| table::is_store_name(name))
            {
                let name = store.replacen(':', ".", 1);
                return Err(SettingsError::StoreName { path: self.path.clone(), name });
            }
            if let Some(nearest) = table.nearest_key(key) {
                return Err(SettingsError::UnknownKey { path: self.path.clone(), key: key.clone(), nearest });
            }
        }
        Ok(())
    }

    /// A file that holds a secret itself must be its owner's alone.
    fn check_mode(&self, table: &Table) -> Result<(), SettingsError> {
        let places = table.places(&self.stores(table));
        let mut secrets =
            places.iter().filter(|place| place.row.is_secret()).filter_map(|place| place.key.as_ref());
        let Some(key) = secrets.find(|key| self.values.contains_key(*key)) else { return Ok(()) };
        let metadata = fs::metadata(&self.path)
            .map_err(|source| SettingsError::File { path: self.path.clone(), source })?;
        if metadata.permissions().mode() & 0o077 != 0 {
            return Err(SettingsError::FileReadable { path: self.path.clone(), key: key.clone() });
        }
        Ok(())
    }
}

fn as_text(value: toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(truth) => Some(truth.to_string()),
        toml::Value::Array(items) => {
            let words: Option<Vec<String>> =
                items.into_iter().map(|item| item.as_str().map(str::to_owned)).collect();
            words.map(|words| words.join(","))
        }
        toml::Value::Float(_) | toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}
