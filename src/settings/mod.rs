//! Settings: one table declares each once; flags, variables, the settings file and the documentation follow it.

mod effective;
mod error;
mod file;
mod nearest;
mod passphrase;
mod report;
mod rows;
mod setting;
mod stores;
mod table;
mod tls;
mod values;

#[cfg(test)]
mod tests;

pub use effective::{Effective, Environment, Inputs, Origin};
pub use error::SettingsError;
pub use passphrase::{DEV_PASSPHRASE, MadePassphrase, new_passphrase};
pub use report::{json, markdown, text};
pub use setting::{BackendSettings, Fallback, KeySettings, Kind, Setting};
pub use stores::{GivenSecret, KeyReference, KeyReferences, StoreSettings};
pub use table::{PREFIX, Table};
pub use tls::{TlsFiles, TlsMode, TlsSettings};
pub use values::{DnsNameRule, HostName};

use crate::telemetry::{LogFormat, LogLevel};
use secrecy::{ExposeSecret as _, SecretString};
use std::{
    net::SocketAddr,
    num::{NonZeroU64, NonZeroUsize},
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

/// What the service runs with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `--dev`: try it out on one machine.
    pub dev: bool,
    /// SPIFFE trust domain.
    pub trust_domain: String,
    /// Lifetime of a certificate whose request names none; at most 24 hours.
    pub svid_ttl: Duration,
    /// The certificate store.
    pub certs_db: PathBuf,
    /// The directory that holds the certificate store; never empty, `.` for the working directory.
    pub data_dir: PathBuf,
    /// The key stores in which keys are made from now on.
    pub key_backends: KeyBackends,
    /// Existing keys for the next generations.
    pub key_references: KeyReferences,
    /// What opens the root's key store, where that is not what opens it for others.
    pub root_credentials: Option<String>,
    /// Algorithm of CA keys made from now on, by its name.
    pub algorithm: String,
    /// The directory of the local key files.
    pub local_keys: PathBuf,
    /// Passphrase of the local key files. `None` until [`Settings::secure_passphrase`] where none was given.
    pub local_passphrase: Option<SecretString>,
    /// Address of the service.
    pub listen: SocketAddr,
    /// Address of the second, read-only listener.
    pub public_listen: Option<SocketAddr>,
    /// How connections are protected.
    pub tls: TlsSettings,
    /// Certificates per SPIFFE id and half of its certificates' lifetime; `None` is no limit.
    pub issue_limit: Option<NonZeroU64>,
    /// How many signatures one key may have under way.
    pub signing_concurrency: usize,
    /// More DNS names by service type.
    pub dns_names: Vec<DnsNameRule>,
    /// Form of the log.
    pub log_format: LogFormat,
    /// Least level that is logged.
    pub log_level: LogLevel,
    /// The operator's own system token.
    pub system_token: Option<SecretString>,
    /// The preshared bootstrap credential.
    pub bootstrap_token: Option<SecretString>,
    /// Lifetime of bootstrap credentials.
    pub bootstrap_ttl: Duration,
    /// Web origins whose pages may call.
    pub allowed_origins: Vec<String>,
    /// Instance id of this service, if given.
    pub node_id: Option<String>,
    /// DNS domains of this deployment.
    pub domains: Vec<String>,
    /// Where backups and the journal of denials go.
    pub backup_dir: Option<PathBuf>,
    /// age recipients of backups.
    pub backup_recipients: Vec<String>,
    /// From one backup of the service to its next; `None`: it makes none.
    pub backup_interval: Option<Duration>,
    /// How many of them stay.
    pub backup_keep: NonZeroUsize,
    /// What is run after each.
    pub backup_hook: Option<PathBuf>,
    /// Directory of the policies that replace the program's.
    pub policy_dir: Option<PathBuf>,
    /// Every value by its variable: for the rows of key stores, and for [`Effective::invalid`].
    pub values: Effective,
}

/// The key store of each role, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyBackends {
    /// Of the next root CA key.
    pub root: String,
    /// Of the next services CA key.
    pub services: String,
    /// Of the next transport CA key.
    pub transport: String,
    /// Of the next token signing key.
    pub tokens: String,
}

impl KeyBackends {
    /// Whether any key is to be made in this key store.
    #[must_use]
    pub fn any(&self, name: &str) -> bool {
        self.root == name || self.any_but_root(name)
    }

    /// Each that is named, once.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for name in [&self.root, &self.services, &self.transport, &self.tokens] {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }

    /// Whether any key but the root's is to be made in this key store.
    #[must_use]
    pub fn any_but_root(&self, name: &str) -> bool {
        [&self.services, &self.transport, &self.tokens].into_iter().any(|backend| backend == name)
    }
}

impl Settings {
    /// Reads what the operator said and checks it. Writes nothing.
    ///
    /// # Errors
    /// The first thing that is wrong, with the setting's name and the accepted form.
    pub fn read(table: &Table, inputs: &Inputs) -> Result<Self, SettingsError> {
        let settings = Self::read_for_backup(table, inputs)?;
        settings.check_passphrase_place()?;
        Ok(settings)
    }

    /// The same for what works on a backup and its keys: the data directory is none of it, and the passphrase may lie
    /// wherever the command is run.
    ///
    /// # Errors
    /// As of [`Settings::read`].
    pub fn read_for_backup(table: &Table, inputs: &Inputs) -> Result<Self, SettingsError> {
        let values = Effective::read(table, inputs)?;
        let certs_db = PathBuf::from(required(&values, "CATALYST_PKI_CERTS_DB")?);
        let key_backends = KeyBackends {
            root: required(&values, "CATALYST_PKI_KEY_BACKEND_ROOT")?.into(),
            services: required(&values, "CATALYST_PKI_KEY_BACKEND_SERVICES")?.into(),
            transport: required(&values, "CATALYST_PKI_KEY_BACKEND_TRANSPORT")?.into(),
            tokens: required(&values, "CATALYST_PKI_KEY_BACKEND_TOKENS")?.into(),
        };
        let settings = Self {
            dev: inputs.dev,
            trust_domain: required(&values, "CATALYST_PKI_TRUST_DOMAIN")?.into(),
            svid_ttl: Duration::from_secs(parsed(&values, "CATALYST_PKI_SVID_TTL")?),
            data_dir: data_dir_of(&certs_db),
            certs_db,
            key_references: KeyReferences::read(table, &values, &key_backends)?,
            root_credentials: values.text("CATALYST_PKI_ROOT_CREDENTIALS").map(str::to_owned),
            key_backends,
            algorithm: required(&values, "CATALYST_PKI_ALGORITHM")?.into(),
            local_keys: required(&values, "CATALYST_PKI_LOCAL_KEYS")?.into(),
            local_passphrase: values.secret("CATALYST_PKI_LOCAL_PASSPHRASE").cloned(),
            listen: parsed(&values, "CATALYST_PKI_LISTEN")?,
            public_listen: optional(&values, "CATALYST_PKI_PUBLIC_LISTEN")?,
            tls: TlsSettings::read(&values)?,
            issue_limit: NonZeroU64::new(parsed(&values, "CATALYST_PKI_ISSUE_LIMIT")?),
            signing_concurrency: parsed(&values, "CATALYST_PKI_SIGNING_CONCURRENCY")?,
            dns_names: list(&values, "CATALYST_PKI_DNS_NAMES", values::dns_names)?,
            log_format: parsed(&values, "CATALYST_PKI_LOG_FORMAT")?,
            log_level: parsed(&values, "CATALYST_PKI_LOG_LEVEL")?,
            system_token: values.secret("CATALYST_SYSTEM_TOKEN").cloned(),
            bootstrap_token: values.secret("CATALYST_BOOTSTRAP_TOKEN").cloned(),
            bootstrap_ttl: Duration::from_millis(parsed(&values, "CATALYST_BOOTSTRAP_TTL")?),
            allowed_origins: list(&values, "CATALYST_PKI_ALLOWED_ORIGINS", values::list)?,
            node_id: values.text("CATALYST_NODE_ID").map(str::to_owned),
            domains: list(&values, "CATALYST_DOMAINS", values::list)?,
            backup_dir: values.text("CATALYST_PKI_BACKUP_DIR").map(PathBuf::from),
            backup_recipients: list(&values, "CATALYST_PKI_BACKUP_RECIPIENTS", values::list)?,
            backup_interval: NonZeroU64::new(parsed(&values, "CATALYST_PKI_BACKUP_INTERVAL")?)
                .map(|seconds| Duration::from_secs(seconds.get())),
            backup_keep: parsed(&values, "CATALYST_PKI_BACKUP_KEEP")?,
            backup_hook: values.text("CATALYST_PKI_BACKUP_HOOK").map(PathBuf::from),
            policy_dir: values.text("CATALYST_POLICY_DIR").map(PathBuf::from),
            values,
        };
        let both = settings.system_token.as_ref().zip(settings.bootstrap_token.as_ref());
        if both.is_some_and(|(system, bootstrap)| system.expose_secret() == bootstrap.expose_secret()) {
            return Err(SettingsError::SameSecret);
        }
        Ok(settings)
    }
}

/// The directory that holds the certificate store, `.` for the working directory.
fn data_dir_of(certs_db: &Path) -> PathBuf {
    match certs_db.parent() {
        Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
        Some(parent) => parent.into(),
        None => PathBuf::from("."),
    }
}

fn required<'a>(values: &'a Effective, variable: &'static str) -> Result<&'a str, SettingsError> {
    values.text(variable).ok_or_else(|| values.invalid(variable, "a value is wanted"))
}

fn parsed<T: FromStr>(values: &Effective, variable: &'static str) -> Result<T, SettingsError> {
    required(values, variable)?.parse().map_err(|_| values.invalid(variable, "another form is wanted"))
}

fn optional<T: FromStr>(values: &Effective, variable: &'static str) -> Result<Option<T>, SettingsError> {
    values.text(variable).map(|_| parsed(values, variable)).transpose()
}

fn list<T>(
    values: &Effective,
    variable: &'static str,
    parse: fn(&str) -> Result<Vec<T>, String>,
) -> Result<Vec<T>, SettingsError> {
    let items =
        values.text(variable).map(|value| parse(value).map_err(|form| values.invalid(variable, form)));
    Ok(items.transpose()?.unwrap_or_default())
}
