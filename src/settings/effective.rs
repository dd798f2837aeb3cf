//! What holds: flag, then environment, then settings file, then default.

use super::{
    error::SettingsError,
    file::SettingsFile,
    setting::{Fallback, Kind, Setting},
    table::{PREFIX, Place, Table},
};
use catalyst_signing::{PIN_MISPLACED, holds_pin};
use secrecy::{ExposeSecret as _, SecretString};
use std::{collections::BTreeMap, ffi::OsString, fmt, fs, path::Path, path::PathBuf};
use zeroize::Zeroizing;

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The command line.
    Flag,
    /// An environment variable.
    Environment,
    /// The settings file.
    File,
    /// The table's default under `--dev`.
    DevDefault,
    /// The table's default.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flag => "flag",
            Self::Environment => "env",
            Self::File => "file",
            Self::DevDefault => "dev default",
            Self::Default => "default",
        })
    }
}

/// The variables whose names begin with `CATALYST_`. Every value is held as a secret, since some are.
#[derive(Clone, Debug, Default)]
pub struct Environment(BTreeMap<String, Option<SecretString>>);

impl Environment {
    /// Those of this process.
    #[must_use]
    pub fn of_process() -> Self {
        Self::from_vars(std::env::vars_os())
    }

    /// Those among `vars`. An empty one counts as not set: that is what compose files make of an absent variable.
    pub fn from_vars(vars: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let ours = vars.into_iter().filter_map(|(name, value)| {
            let name = name.into_string().ok().filter(|name| name.starts_with("CATALYST_"))?;
            let value = value.into_string().ok();
            (value.as_deref() != Some("")).then(|| (name, value.map(SecretString::from)))
        });
        Self(ours.collect())
    }

    /// The value of one, `None` where it is not set.
    ///
    /// # Errors
    /// [`SettingsError::NotText`]
    pub fn get(&self, name: &str) -> Result<Option<&SecretString>, SettingsError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Some(value)) => Ok(Some(value)),
            Some(None) => Err(SettingsError::NotText(name.into())),
        }
    }

    fn check_names(&self, table: &Table) -> Result<(), SettingsError> {
        for name in self.0.keys().filter(|name| name.starts_with(PREFIX)) {
            if let Some(nearest) = table.nearest_variable(name) {
                return Err(SettingsError::UnknownVariable { name: name.clone(), nearest });
            }
        }
        Ok(())
    }
}

/// What the operator said, before the table has its say.
#[derive(Debug, Default)]
pub struct Inputs {
    /// `--dev`.
    pub dev: bool,
    /// The values of the flags that were given, by the table's flag.
    pub flags: BTreeMap<&'static str, String>,
    /// The environment.
    pub environment: Environment,
}

/// One setting that has a value.
#[derive(Debug, Clone)]
pub(super) struct Given {
    pub(super) content: Content,
    pub(super) origin: Origin,
}

#[derive(Debug, Clone)]
pub(super) enum Content {
    Plain(String),
    /// A secret and the file that holds it, if a file does.
    Secret(SecretString, Option<PathBuf>),
    /// The file of a secret that is read when it is used.
    SecretIn(PathBuf),
}

/// Every setting that has a value, checked one by one.
#[derive(Debug, Clone)]
pub struct Effective {
    pub(super) dev: bool,
    /// By variable; by dotted key in the tables of `stores`.
    pub(super) values: BTreeMap<String, Given>,
    /// The key stores that the settings file describes each in a table of their own.
    pub(super) stores: Vec<String>,
}

impl Effective {
    /// Reads the settings file and the files of secrets, and checks every value. Writes nothing.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn read(table: &Table, inputs: &Inputs) -> Result<Self, SettingsError> {
        inputs.environment.check_names(table)?;
        let file = match config_path(inputs)? {
            Some(path) => Some(SettingsFile::read(Path::new(&path), table)?),
            None => None,
        };
        let stores = file.as_ref().map(|file| file.stores(table)).unwrap_or_default();
        let mut effective = Self { dev: inputs.dev, values: BTreeMap::new(), stores };
        let kinds = table.backend_names().into_iter().map(str::to_owned);
        let backends: Vec<String> = kinds.chain(effective.stores.iter().cloned()).collect();
        let said = Said { inputs, file: file.as_ref() };
        for place in table.places(&effective.stores) {
            let given = if place.row.is_secret() {
                said.secret(&place)?
            } else {
                said.plain(&place)?.or_else(|| effective.default(place.row))
            };
            if let Some(given) = given {
                given.check(&place, &backends, inputs.dev)?;
                effective.values.insert(place.name, given);
            }
        }
        Ok(effective)
    }

    /// The value of a setting that is no secret.
    #[must_use]
    pub fn text(&self, variable: &str) -> Option<&str> {
        match &self.values.get(variable)?.content {
            Content::Plain(value) => Some(value),
            Content::Secret(..) | Content::SecretIn(_) => None,
        }
    }

    /// The value of a secret.
    #[must_use]
    pub fn secret(&self, variable: &str) -> Option<&SecretString> {
        match &self.values.get(variable)?.content {
            Content::Plain(_) | Content::SecretIn(_) => None,
            Content::Secret(value, _) => Some(value),
        }
    }

    /// Every secret that stands in the settings themselves or was read from its file.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &SecretString> {
        self.values.values().filter_map(|given| match &given.content {
            Content::Secret(value, _) => Some(value),
            Content::Plain(_) | Content::SecretIn(_) => None,
        })
    }

    /// The error for a value that the table accepted and another part of the service can't use: `accepted` is the
    /// form it wants, as a clause.
    #[must_use]
    pub fn invalid(&self, variable: &str, accepted: impl Into<String>) -> SettingsError {
        SettingsError::Invalid {
            variable: variable.to_owned(),
            value: self.text(variable).unwrap_or_default().into(),
            origin: self.values.get(variable).map_or(Origin::Default, |given| given.origin),
            accepted: accepted.into(),
        }
    }

    /// The error for a value that is not of the accepted form, and might hold what is not to be repeated.
    pub fn unfit(&self, variable: &str, problem: impl Into<String>) -> SettingsError {
        SettingsError::Unfit {
            variable: variable.to_owned(),
            origin: self.values.get(variable).map_or(Origin::Default, |given| given.origin),
            problem: problem.into(),
        }
    }

    fn default(&self, row: &Setting) -> Option<Given> {
        let plain = |value: String, origin| Given { content: Content::Plain(value), origin };
        match (self.dev, row.dev, &row.fallback) {
            (true, Some(value), _) => Some(plain(value.into(), Origin::DevDefault)),
            (_, _, Fallback::Value(value)) => Some(plain((*value).into(), Origin::Default)),
            (_, _, Fallback::Derived { from, make, .. }) => {
                self.text(from).map(|other| plain(make(other), Origin::Default))
            }
            (_, _, Fallback::Unset(_)) => None,
        }
    }
}

impl Given {
    fn check(&self, place: &Place, backends: &[String], dev: bool) -> Result<(), SettingsError> {
        let variable = || place.name.clone();
        match (&self.content, &place.row.kind) {
            (Content::Secret(value, _), Kind::Secret { min_chars, short_in_dev }) => {
                let enough = if dev && *short_in_dev { 1 } else { *min_chars };
                if value.expose_secret().chars().count() < enough {
                    return Err(SettingsError::SecretShort { variable: variable(), min_chars: enough });
                }
                Ok(())
            }
            (Content::Secret(value, _), _) if value.expose_secret().is_empty() => {
                let wanted = "a value that is not empty is wanted".into();
                Err(SettingsError::Missing { variable: variable(), wanted })
            }
            (Content::Plain(value), Kind::Checked { check, .. }) => check(value).map_err(|problem| {
                SettingsError::Unfit { variable: variable(), origin: self.origin, problem }
            }),
            // A key store's name, which the accepted form repeats.
            (Content::Plain(value), Kind::Backend) if holds_pin(value) => Err(SettingsError::Unfit {
                variable: variable(),
                origin: self.origin,
                problem: PIN_MISPLACED.into(),
            }),
            (Content::Plain(value), kind) => {
                kind.check(value, backends).map_err(|accepted| SettingsError::Invalid {
                    variable: variable(),
                    value: value.clone(),
                    origin: self.origin,
                    accepted,
                })
            }
            (Content::Secret(..) | Content::SecretIn(_), _) => Ok(()),
        }
    }
}

fn config_path(inputs: &Inputs) -> Result<Option<String>, SettingsError> {
    let flag = inputs.flags.get("config").cloned();
    let variable = inputs.environment.get("CATALYST_PKI_CONFIG")?.map(|path| path.expose_secret().to_owned());
    Ok(flag.or(variable))
}

/// Where an operator may have said something.
struct Said<'a> {
    inputs: &'a Inputs,
    file: Option<&'a SettingsFile>,
}

impl Said<'_> {
    fn plain(&self, place: &Place) -> Result<Option<Given>, SettingsError> {
        let given = |value: &str, origin| Some(Given { content: Content::Plain(value.into()), origin });
        if let Some(value) = self.flag(place) {
            return Ok(given(value, Origin::Flag));
        }
        if let Some(value) = self.variable(place, place.row.variable)? {
            return Ok(given(value.expose_secret(), Origin::Environment));
        }
        let in_file = place.key.as_ref().zip(self.file).and_then(|(key, file)| file.get(key));
        Ok(in_file.and_then(|value| given(value.expose_secret(), Origin::File)))
    }

    fn secret(&self, place: &Place) -> Result<Option<Given>, SettingsError> {
        if let Some(path) = self.flag(place) {
            return read_secret(place, path, Origin::Flag).map(Some);
        }
        let itself = self.variable(place, place.row.variable)?;
        let by_file = self.variable(place, &format!("{}_FILE", place.row.variable))?;
        if let Some(given) = one_of_two(place, Origin::Environment, itself, by_file, None)? {
            return Ok(Some(given));
        }
        let Some((key, file)) = place.key.as_ref().zip(self.file) else { return Ok(None) };
        let by_file = place.file_key().and_then(|key| file.get(&key));
        one_of_two(place, Origin::File, file.get(key), by_file, Some(&file.path))
    }

    fn flag(&self, place: &Place) -> Option<&String> {
        let flag = place.row.flag.filter(|_| !place.in_file_alone)?;
        self.inputs.flags.get(flag)
    }

    fn variable(&self, place: &Place, name: &str) -> Result<Option<&SecretString>, SettingsError> {
        if place.in_file_alone { Ok(None) } else { self.inputs.environment.get(name) }
    }
}

/// A secret given itself (then `holder` is the file in which it stands) or by the path of a file, in one place.
fn one_of_two(
    place: &Place,
    origin: Origin,
    itself: Option<&SecretString>,
    by_file: Option<&SecretString>,
    holder: Option<&Path>,
) -> Result<Option<Given>, SettingsError> {
    match (itself, by_file) {
        (Some(_), Some(_)) => Err(SettingsError::GivenTwice(place.name.clone(), place.file_name(), origin)),
        (Some(value), None) => {
            let content = Content::Secret(value.clone(), holder.map(Path::to_owned));
            Ok(Some(Given { content, origin }))
        }
        (None, Some(path)) => read_secret(place, path.expose_secret(), origin).map(Some),
        (None, None) => Ok(None),
    }
}

fn read_secret(place: &Place, path: &str, origin: Origin) -> Result<Given, SettingsError> {
    let path = PathBuf::from(path);
    if matches!(place.row.kind, Kind::SecretWhenUsed) {
        return Ok(Given { content: Content::SecretIn(path), origin });
    }
    let text = fs::read_to_string(&path).map(Zeroizing::new).map_err(|source| SettingsError::SecretFile {
        variable: place.name.clone(),
        path: path.clone(),
        source,
    })?;
    let value = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    Ok(Given { content: Content::Secret(value.into(), Some(path)), origin })
}
