//! The table: the service's settings, then those of each key store.

use super::{
    nearest,
    rows::SERVICE,
    setting::{BackendSettings, Setting},
};

/// The prefix under which every variable must be one that the table knows.
pub const PREFIX: &str = "CATALYST_PKI_";

/// How long the name of a key store in the settings file may be.
const LONGEST_NAME: usize = 64;

/// The rows of this build: the service's own, then those of each key store.
#[derive(Debug)]
pub struct Table {
    backends: Vec<BackendSettings>,
}

/// One place where a value stands: a row under its own names, or in the table of one key store of the settings file.
pub(super) struct Place {
    pub(super) row: &'static Setting,
    /// The variable, or the dotted key where the settings file alone has it.
    pub(super) name: String,
    /// The dotted key of the settings file.
    pub(super) key: Option<String>,
    /// Whether it is one of several key stores, which the settings file alone describes.
    pub(super) in_file_alone: bool,
}

impl Table {
    /// The table of a build with these key stores.
    #[must_use]
    pub fn new(backends: impl IntoIterator<Item = BackendSettings>) -> Self {
        Self { backends: backends.into_iter().collect() }
    }

    /// Every row.
    pub fn rows(&self) -> impl Iterator<Item = &'static Setting> + '_ {
        SERVICE.iter().chain(self.backends.iter().flat_map(BackendSettings::rows))
    }

    /// The kinds of key stores of this build.
    #[must_use]
    pub fn backends(&self) -> &[BackendSettings] {
        &self.backends
    }

    /// The names of the kinds of key stores of this build.
    #[must_use]
    pub fn backend_names(&self) -> Vec<&'static str> {
        self.backends.iter().map(|backend| backend.name).collect()
    }

    /// Every place where a value may stand, with those of `stores`: key stores that the settings file describes.
    pub(super) fn places(&self, stores: &[String]) -> Vec<Place> {
        let own = self.rows().map(|row| Place {
            row,
            name: row.variable.to_owned(),
            key: row.key.map(str::to_owned),
            in_file_alone: false,
        });
        own.chain(stores.iter().flat_map(|store| self.places_of(store))).collect()
    }

    fn places_of(&self, store: &str) -> Vec<Place> {
        let Some((kind, name)) = store.split_once(':') else { return Vec::new() };
        let rows = self.backends.iter().filter(|backend| backend.name == kind);
        let place = |row: &'static Setting| {
            let name = key_in_store(row, kind, name)?;
            Some(Place { row, key: Some(name.clone()), name, in_file_alone: true })
        };
        rows.flat_map(|backend| backend.settings).filter_map(place).collect()
    }

    /// The key store, `<kind>:<name>`, whose table of the settings file this dotted key stands in.
    pub(super) fn store_of(&self, key: &str) -> Option<String> {
        let (kind, rest) = key.split_once('.')?;
        let (name, _) = rest.rsplit_once('.')?;
        let kind = self.backends.iter().find(|backend| backend.name == kind && backend.several)?;
        Some(format!("{}:{name}", kind.name))
    }

    /// The known variable that is nearest to this unknown one; `None` where this one is known.
    pub(super) fn nearest_variable(&self, name: &str) -> Option<Option<String>> {
        let known = self.rows().flat_map(|row| [Some(row.variable.to_owned()), row.file_variable()]);
        nearest::of(name, known.flatten())
    }

    /// The known key that is nearest to this unknown one; `None` where this one is known.
    pub(super) fn nearest_key(&self, key: &str) -> Option<Option<String>> {
        let store: Vec<String> = self.store_of(key).into_iter().collect();
        let places = self.places(&store);
        nearest::of(key, places.iter().flat_map(|place| [place.key.clone(), place.file_key()]).flatten())
    }
}

impl Place {
    /// The variable or key that holds the path of a file with the value; secrets alone have one.
    pub(super) fn file_name(&self) -> String {
        format!("{}{}", self.name, if self.in_file_alone { "_file" } else { "_FILE" })
    }

    /// The key that holds the path of a file with the value; secrets alone have one.
    pub(super) fn file_key(&self) -> Option<String> {
        self.key.as_ref().filter(|_| self.row.is_secret()).map(|key| format!("{key}_file"))
    }
}

/// The dotted key of a row in the table of one of several key stores.
pub(super) fn key_in_store(row: &Setting, kind: &str, name: &str) -> Option<String> {
    let last = row.key?.strip_prefix(kind)?.strip_prefix('.')?;
    Some(format!("{kind}.{name}.{last}"))
}

/// Whether a key store of the settings file may be called so.
pub(super) fn is_store_name(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    (1..=LONGEST_NAME).contains(&name.len()) && name.chars().all(letter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Fallback, rows::ALGORITHMS};
    use catalyst_signing::SignatureAlgorithm;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_rows_share_a_name() {
        let table = Table::new([]);
        let names =
            |name: fn(&Setting) -> Option<&'static str>| table.rows().filter_map(name).collect::<Vec<_>>();
        for names in [names(|row| Some(row.variable)), names(|row| row.flag), names(|row| row.key)] {
            assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
        }
    }

    #[test]
    fn every_default_is_accepted_by_its_own_row() {
        let table = Table::new([BackendSettings::new("local", &[])]);
        let backends = ["local".to_owned()];
        for row in table.rows() {
            let fixed = match row.fallback {
                Fallback::Value(value) => Some(value),
                Fallback::Unset(_) | Fallback::Derived { .. } => None,
            };
            for value in fixed.into_iter().chain(row.dev) {
                assert_eq!(row.kind.check(value, &backends), Ok(()), "{}", row.variable);
            }
        }
    }

    #[test]
    fn the_algorithms_are_those_of_the_signing_contract() {
        let names: Vec<_> = SignatureAlgorithm::ALL.iter().map(ToString::to_string).collect();
        assert_eq!(names, ALGORITHMS);
    }

    #[test]
    fn a_flag_never_takes_a_secret_itself() {
        for row in Table::new([]).rows().filter(|row| row.is_secret()) {
            assert!(row.flag.is_none_or(|flag| flag.ends_with("-file")), "{}", row.variable);
        }
    }
}
