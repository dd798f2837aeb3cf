//! The table: the service's settings, then those of each key store.

use super::{
    nearest,
    rows::SERVICE,
    setting::{BackendSettings, Setting},
};

/// The prefix under which every variable must be one that the table knows.
pub const PREFIX: &str = "CATALYST_PKI_";

/// The rows of this build: the service's own, then those of each key store.
#[derive(Debug)]
pub struct Table {
    rows: Vec<&'static Setting>,
    backends: Vec<&'static str>,
}

impl Table {
    /// The table of a build with these key stores.
    #[must_use]
    pub fn new(backends: &[BackendSettings]) -> Self {
        let own = SERVICE.iter();
        let theirs = backends.iter().flat_map(|backend| backend.settings);
        Self { rows: own.chain(theirs).collect(), backends: backends.iter().map(|b| b.name).collect() }
    }

    /// Every row.
    pub fn rows(&self) -> impl Iterator<Item = &'static Setting> + '_ {
        self.rows.iter().copied()
    }

    /// The names of the key stores of this build.
    #[must_use]
    pub fn backends(&self) -> &[&'static str] {
        &self.backends
    }

    /// The known variable that is nearest to this unknown one; `None` where this one is known.
    pub(super) fn nearest_variable(&self, name: &str) -> Option<Option<String>> {
        let known = self.rows().flat_map(|row| [Some(row.variable.to_owned()), row.file_variable()]);
        nearest::of(name, known.flatten())
    }

    /// The known key that is nearest to this unknown one; `None` where this one is known.
    pub(super) fn nearest_key(&self, key: &str) -> Option<Option<String>> {
        let known = self.rows().flat_map(|row| [row.key.map(str::to_owned), row.file_key()]);
        nearest::of(key, known.flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Fallback, rows::ALGORITHMS};
    use catalyst_signing::SignatureAlgorithm;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_rows_share_a_name() {
        let table = Table::new(&[]);
        let names =
            |name: fn(&Setting) -> Option<&'static str>| table.rows().filter_map(name).collect::<Vec<_>>();
        for names in [names(|row| Some(row.variable)), names(|row| row.flag), names(|row| row.key)] {
            assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
        }
    }

    #[test]
    fn every_default_is_accepted_by_its_own_row() {
        let table = Table::new(&[BackendSettings { name: "local", settings: &[] }]);
        for row in table.rows() {
            let fixed = match row.fallback {
                Fallback::Value(value) => Some(value),
                Fallback::Unset(_) | Fallback::Derived { .. } => None,
            };
            for value in fixed.into_iter().chain(row.dev) {
                assert_eq!(row.kind.check(value, table.backends()), Ok(()), "{}", row.variable);
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
        for row in Table::new(&[]).rows().filter(|row| row.is_secret()) {
            assert!(row.flag.is_none_or(|flag| flag.ends_with("-file")), "{}", row.variable);
        }
    }
}
