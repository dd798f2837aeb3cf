//! `catalyst backup …`

mod create;
mod lists;
mod opening;
mod progress;
pub(super) mod prompt;
mod report;
mod restore;
mod verify;

pub(super) use create::Create;
pub(super) use opening::{Key, Whose};
pub(super) use restore::Restore;
pub(super) use verify::{Inspect, Verify};

use super::{
    Failure,
    arguments::Output,
    exit::{self, FAILED, WRONG_USAGE},
    output, refuse,
};
use crate::{
    backup::BackupError,
    client::printable,
    key_stores::{Kinds, key_file},
    settings::{Settings, SettingsError, Table},
};
use catalyst_signing::SigningBackend;
use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{runtime::Runtime, time::timeout};

/// What is to be done with backups.
#[derive(Debug)]
pub(super) enum Task {
    Create(Create),
    Restore(Restore),
    Verify(Verify),
    /// `verify --header-only`
    Header(PathBuf),
    Inspect(Inspect),
    List(PathBuf),
}

pub(super) fn run(kinds: &Kinds, table: &Table, task: Task, form: Output) -> ExitCode {
    let done = match task {
        Task::Create(create) => create.run(kinds, table, form),
        Task::Restore(restore) => restore.run(kinds, table, form),
        Task::Verify(verify) => verify.run(kinds, table, form),
        Task::Header(file) => lists::header(&file, form),
        Task::Inspect(inspect) => inspect.run(form),
        Task::List(directory) => lists::list(&directory, form),
    };
    done.unwrap_or_else(Trouble::report)
}

/// Why a command on backups came to nothing.
pub(super) enum Trouble {
    Settings(SettingsError),
    Backup(BackupError),
    /// Ended by a signal of this number.
    Signal(i32),
    Other(Failure),
}

impl Trouble {
    pub(super) fn report(self) -> ExitCode {
        match self {
            Self::Settings(error) => refuse(&error),
            Self::Other(error) => {
                output::error(&error.to_string());
                ExitCode::from(FAILED)
            }
            Self::Signal(number) => {
                output::error(&BackupError::Interrupted.to_string());
                ExitCode::from(u8::try_from(128 + number).unwrap_or(u8::MAX))
            }
            Self::Backup(error) => {
                output::error(&error.to_string());
                ExitCode::from(match error {
                    BackupError::Usage(_) => WRONG_USAGE,
                    BackupError::Closed(_) => exit::NOT_AUTHORISED,
                    _ => FAILED,
                })
            }
        }
    }
}

impl From<SettingsError> for Trouble {
    fn from(error: SettingsError) -> Self {
        Self::Settings(error)
    }
}

impl From<BackupError> for Trouble {
    fn from(error: BackupError) -> Self {
        Self::Backup(error)
    }
}

impl From<crate::client::ClientError> for Trouble {
    fn from(error: crate::client::ClientError) -> Self {
        Self::Other(Box::new(error))
    }
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        Self::Other(Box::new(error))
    }
}

/// How long the end waits for key stores to close what is open.
const LETTING_GO: Duration = Duration::from_secs(5);

/// Key stores of the settings, each opened once, when a key in it is asked for.
struct Stores {
    kinds: Kinds,
    settings: Settings,
    /// Why there is no passphrase for local keys, where there is none.
    no_passphrase: Option<String>,
    opened: Mutex<BTreeMap<String, Arc<dyn SigningBackend>>>,
}

impl Stores {
    fn new(kinds: &Kinds, mut settings: Settings) -> Self {
        let secured = match settings.certs_db.exists() {
            true => settings.secure_passphrase().map(drop),
            // Under --dev one would be made, for a store that is not there.
            false => Ok(()),
        };
        let no_passphrase = secured.err().map(|error| error.to_string());
        Self { kinds: kinds.clone(), settings, no_passphrase, opened: Mutex::default() }
    }

    fn open(&self, name: &str) -> Result<Arc<dyn SigningBackend>, String> {
        if name == "local" && self.settings.local_passphrase.is_none() {
            let why = "there is no passphrase for local keys: give it with --local-passphrase-file";
            return Err(self.no_passphrase.clone().unwrap_or_else(|| why.to_owned()));
        }
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = opened.get(name) {
            return Ok(store.clone());
        }
        let store = self.kinds.open_one(&self.settings, name).map_err(|error| error.to_string())?;
        opened.insert(name.to_owned(), store.clone());
        Ok(store)
    }

    fn lies_in_file(&self, name: &str, uri: &str) -> bool {
        key_file(&self.settings, name, uri).is_some()
    }

    /// Sessions in an HSM are closed, if it answers in time. What does not come back must not hold up the end.
    fn let_go(self, runtime: &Runtime) {
        let opened = self.opened.into_inner().unwrap_or_else(PoisonError::into_inner);
        runtime.block_on(async {
            let closing = async {
                for store in opened.values() {
                    store.shut_down().await;
                }
            };
            // The sessions end with the process otherwise.
            let _ = timeout(LETTING_GO, closing).await;
        });
    }
}

/// `  Name: value` lines.
fn lines(facts: &[(&str, String)]) -> String {
    facts.iter().map(|(name, value)| format!("  {name}: {}\n", printable(value))).collect()
}
