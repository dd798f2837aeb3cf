//! What holds: flag, then environment, then settings file, then default.

use super::{
    error::SettingsError,
    file::SettingsFile,
    setting::{Fallback, Kind, Setting},
    table::{PREFIX, Table},
};
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
#[derive(Debug, Default)]
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
}

/// Every setting that has a value, checked one by one.
#[derive(Debug, Clone)]
pub struct Effective {
    pub(super) dev: bool,
    pub(super) values: BTreeMap<&'static str, Given>,
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
        let mut effective = Self { dev: inputs.dev, values: BTreeMap::new() };
        for row in table.rows() {
            let given = if row.is_secret() {
                secret(row, inputs, file.as_ref())?
            } else {
                plain(row, inputs, file.as_ref())?.or_else(|| effective.default(row))
            };
            if let Some(given) = given {
                given.check(row, table, inputs.dev)?;
                effective.values.insert(row.variable, given);
            }
        }
        Ok(effective)
    }

    /// The value of a setting that is no secret.
    #[must_use]
    pub fn text(&self, variable: &str) -> Option<&str> {
        match &self.values.get(variable)?.content {
            Content::Plain(value) => Some(value),
            Content::Secret(..) => None,
        }
    }

    /// The value of a secret.
    #[must_use]
    pub fn secret(&self, variable: &str) -> Option<&SecretString> {
        match &self.values.get(variable)?.content {
            Content::Plain(_) => None,
            Content::Secret(value, _) => Some(value),
        }
    }

    /// The error for a value that the table accepted and another part of the service can't use: `accepted` is the
    /// form it wants, as a clause.
    #[must_use]
    pub fn invalid(&self, variable: &'static str, accepted: impl Into<String>) -> SettingsError {
        SettingsError::Invalid {
            variable,
            value: self.text(variable).unwrap_or_default().into(),
            origin: self.values.get(variable).map_or(Origin::Default, |given| given.origin),
            accepted: accepted.into(),
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
    fn check(&self, row: &Setting, table: &Table, dev: bool) -> Result<(), SettingsError> {
        match (&self.content, &row.kind) {
            (Content::Secret(value, _), Kind::Secret { min_chars, short_in_dev }) => {
                let enough = if dev && *short_in_dev { 1 } else { *min_chars };
                if value.expose_secret().chars().count() < enough {
                    return Err(SettingsError::SecretShort { variable: row.variable, min_chars: enough });
                }
                Ok(())
            }
            (Content::Plain(value), kind) => {
                kind.check(value, table.backends()).map_err(|accepted| SettingsError::Invalid {
                    variable: row.variable,
                    value: value.clone(),
                    origin: self.origin,
                    accepted,
                })
            }
            (Content::Secret(..), _) => Ok(()),
        }
    }
}

fn config_path(inputs: &Inputs) -> Result<Option<String>, SettingsError> {
    let flag = inputs.flags.get("config").cloned();
    let variable = inputs.environment.get("CATALYST_PKI_CONFIG")?.map(|path| path.expose_secret().to_owned());
    Ok(flag.or(variable))
}

fn plain(
    row: &Setting,
    inputs: &Inputs,
    file: Option<&SettingsFile>,
) -> Result<Option<Given>, SettingsError> {
    let given = |value: &str, origin| Some(Given { content: Content::Plain(value.into()), origin });
    if let Some(value) = row.flag.and_then(|flag| inputs.flags.get(flag)) {
        return Ok(given(value, Origin::Flag));
    }
    if let Some(value) = inputs.environment.get(row.variable)? {
        return Ok(given(value.expose_secret(), Origin::Environment));
    }
    let in_file = row.key.zip(file).and_then(|(key, file)| file.get(key));
    Ok(in_file.and_then(|value| given(value.expose_secret(), Origin::File)))
}

fn secret(
    row: &Setting,
    inputs: &Inputs,
    file: Option<&SettingsFile>,
) -> Result<Option<Given>, SettingsError> {
    if let Some(path) = row.flag.and_then(|flag| inputs.flags.get(flag)) {
        return read_secret(row, path, Origin::Flag).map(Some);
    }
    let environment = |name: Option<String>| match name {
        Some(name) => inputs.environment.get(&name),
        None => Ok(None),
    };
    let itself = inputs.environment.get(row.variable)?;
    let by_file = environment(row.file_variable())?;
    if let Some(given) = one_of_two(row, Origin::Environment, itself, by_file, None)? {
        return Ok(Some(given));
    }
    let Some((key, file)) = row.key.zip(file) else { return Ok(None) };
    let by_file = row.file_key().and_then(|key| file.get(&key));
    one_of_two(row, Origin::File, file.get(key), by_file, Some(&file.path))
}

/// A secret given itself (then `holder` is the file in which it stands) or by the path of a file, in one place.
fn one_of_two(
    row: &Setting,
    origin: Origin,
    itself: Option<&SecretString>,
    by_file: Option<&SecretString>,
    holder: Option<&Path>,
) -> Result<Option<Given>, SettingsError> {
    match (itself, by_file) {
        (Some(_), Some(_)) => Err(SettingsError::GivenTwice(row.variable, origin)),
        (Some(value), None) => {
            let content = Content::Secret(value.clone(), holder.map(Path::to_owned));
            Ok(Some(Given { content, origin }))
        }
        (None, Some(path)) => read_secret(row, path.expose_secret(), origin).map(Some),
        (None, None) => Ok(None),
    }
}

fn read_secret(row: &Setting, path: &str, origin: Origin) -> Result<Given, SettingsError> {
    let path = PathBuf::from(path);
    let text = fs::read_to_string(&path).map(Zeroizing::new).map_err(|source| SettingsError::SecretFile {
        variable: row.variable,
        path: path.clone(),
        source,
    })?;
    let value = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    Ok(Given { content: Content::Secret(value.into(), Some(path)), origin })
}
