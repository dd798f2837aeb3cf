//! What one row of the table says: where a setting may be written, what it accepts, and what holds without it.

use super::values;

/// One setting, declared once. Arguments, the check for unknown names, `catalyst config` and the documentation are
/// made from it.
#[derive(Debug)]
pub struct Setting {
    /// The environment variable. A secret also has this name with `_FILE`, which holds a path.
    pub variable: &'static str,
    /// The flag of `serve` and `config`, without dashes. A secret's flag takes a path: arguments are visible to
    /// every user of the machine.
    pub flag: Option<&'static str>,
    /// The dotted key of the settings file. A secret also has this key with `_file`.
    pub key: Option<&'static str>,
    /// What it accepts.
    pub kind: Kind,
    /// What holds when nobody says anything.
    pub fallback: Fallback,
    /// What holds instead under `--dev`.
    pub dev: Option<&'static str>,
    /// One sentence for the operator.
    pub help: &'static str,
}

/// The settings that one kind of key store adds to the table.
#[derive(Debug, Clone, Copy)]
pub struct BackendSettings {
    /// The value of `CATALYST_PKI_KEY_BACKEND` that chooses it. The keys of its rows begin with it and a dot, where
    /// there may be several.
    pub name: &'static str,
    /// The rows of one key store.
    pub settings: &'static [Setting],
    /// Whether the settings file may describe more of them, each with all of these rows: `[<name>.<other>]` is the key
    /// store `<name>:<other>`.
    pub several: bool,
    /// The rows that name an existing key for the next generation of a role, where it has such.
    pub keys: Option<KeySettings>,
}

impl BackendSettings {
    /// Those of a key store that there is once, whose keys nobody names.
    #[must_use]
    pub const fn new(name: &'static str, settings: &'static [Setting]) -> Self {
        Self { name, settings, several: false, keys: None }
    }

    /// Every row.
    pub(super) fn rows(&self) -> impl Iterator<Item = &'static Setting> + use<> {
        let keys = self.keys.map(|keys| [keys.root, keys.services, keys.transport, keys.tokens]);
        self.settings.iter().chain(keys.into_iter().flatten())
    }
}

/// The rows that name existing keys, by what the keys are for.
#[derive(Debug, Clone, Copy)]
pub struct KeySettings {
    /// The next root CA key.
    pub root: &'static Setting,
    /// The next services CA key.
    pub services: &'static Setting,
    /// The next transport CA key.
    pub transport: &'static Setting,
    /// The next token signing key.
    pub tokens: &'static Setting,
    /// Whether what is written there names a key, and not a place in which keys are made; roles that have none use the
    /// root's place.
    pub names_key: fn(&str) -> bool,
}

/// What holds for a setting that is not given.
#[derive(Debug)]
pub enum Fallback {
    /// Nothing; the text says what then happens.
    Unset(&'static str),
    /// This value.
    Value(&'static str),
    /// A value made from another setting, which stands earlier in the table.
    Derived {
        /// The variable of the other setting.
        from: &'static str,
        /// Makes the value.
        make: fn(&str) -> String,
        /// How the documentation says it.
        text: &'static str,
    },
}

/// What a setting accepts.
#[derive(Debug)]
pub enum Kind {
    /// Any text.
    Text,
    /// A path, relative to the working directory.
    Path,
    /// An IP address and a port.
    Address,
    /// `true` or `false`.
    Bool,
    /// A whole number between two others.
    Number {
        /// The least.
        min: u64,
        /// The greatest.
        max: u64,
        /// What is counted, as in "seconds".
        unit: &'static str,
    },
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// One of the key stores of this build.
    Backend,
    /// Words separated by commas; a list in the settings file.
    List,
    /// DNS name patterns by service type, separated by commas; a list in the settings file.
    DnsNames,
    /// DNS names and IP addresses, separated by commas; a list in the settings file.
    HostNames,
    /// The name of a SPIFFE trust domain.
    TrustDomain,
    /// What a key store can read, and which might hold what should not be repeated when it can't.
    Checked {
        /// The error is the accepted form, as a clause without the value.
        check: fn(&str) -> Result<(), String>,
        /// How the documentation says it.
        accepts: &'static str,
    },
    /// Shown nowhere.
    Secret {
        /// The fewest characters it may have.
        min_chars: usize,
        /// Whether a shorter one will do under `--dev`.
        short_in_dev: bool,
    },
    /// Shown nowhere; where it is given as a file, that is read each time it is used, and need not be there before.
    SecretWhenUsed,
}

impl Setting {
    /// A row of a key store's: it has a variable, a flag and a key of the settings file.
    #[must_use]
    pub const fn of_key_store(
        variable: &'static str,
        flag: &'static str,
        key: &'static str,
        kind: Kind,
        fallback: Fallback,
        help: &'static str,
    ) -> Self {
        Self { variable, flag: Some(flag), key: Some(key), kind, fallback, dev: None, help }
    }

    /// Whether its value is shown nowhere.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        matches!(self.kind, Kind::Secret { .. } | Kind::SecretWhenUsed)
    }

    /// The variable that holds the path of a file with the value; secrets alone have one.
    #[must_use]
    pub fn file_variable(&self) -> Option<String> {
        self.is_secret().then(|| format!("{}_FILE", self.variable))
    }
}

impl Kind {
    /// Checks a value that is no secret; the error is the accepted form.
    pub(super) fn check(&self, value: &str, backends: &[String]) -> Result<(), String> {
        match self {
            Self::Path | Self::Text if value.is_empty() => Err("a value that is not empty is wanted".into()),
            Self::Path | Self::Text | Self::Secret { .. } | Self::SecretWhenUsed => Ok(()),
            Self::Checked { check, .. } => check(value),
            Self::Address => values::address(value).map(drop),
            Self::Bool => values::one_of(value, &["true", "false"]),
            Self::Number { min, max, unit } => values::number(value, *min, *max, unit).map(drop),
            Self::OneOf(words) => values::one_of(value, words),
            Self::Backend if backends.iter().any(|backend| backend == value) => Ok(()),
            Self::Backend => Err(no_such_backend(value, backends)),
            Self::List => values::list(value).map(drop),
            Self::DnsNames => values::dns_names(value).map(drop),
            Self::HostNames => values::host_names(value).map(drop),
            Self::TrustDomain => values::trust_domain(value),
        }
    }

    /// What stands for the value in the usage of a flag.
    #[must_use]
    pub fn placeholder(&self) -> &'static str {
        match self {
            Self::Path | Self::Secret { .. } | Self::SecretWhenUsed => "FILE",
            Self::Address => "ADDRESS:PORT",
            Self::Number { unit: "seconds", .. } => "SECONDS",
            Self::Number { .. } => "N",
            Self::Bool => "BOOL",
            Self::TrustDomain => "NAME",
            Self::DnsNames => "TYPE=PATTERN,...",
            Self::HostNames | Self::List => "A,B,...",
            Self::Text | Self::OneOf(_) | Self::Backend | Self::Checked { .. } => "VALUE",
        }
    }
}

fn no_such_backend(value: &str, backends: &[String]) -> String {
    let known = backends.join(", ");
    match value.split_once(':') {
        Some((kind, name)) if backends.iter().any(|backend| backend == kind) => {
            format!("the settings file has no [{kind}.{name}] that describes it; there is: {known}")
        }
        _ => format!("this build has no such key store; it has: {known}"),
    }
}
