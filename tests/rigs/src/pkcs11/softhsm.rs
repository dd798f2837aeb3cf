//! Tokens of SoftHSM.

use super::{Born, TestToken, copy_of, make, new_directory, prepared, write};
use crate::RigError;
use std::{
    env, fs,
    path::PathBuf,
    process::Command,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU32, Ordering},
    },
    thread::{self, ThreadId},
    time::Duration,
};
use tempfile::TempDir;

/// The name of the configuration file in its directory.
const CONFIGURATION: &str = "softhsm2.conf";

/// SoftHSM with tokens of its own: those of one of these are seen together.
#[derive(Debug, Clone)]
pub struct SoftHsm {
    directory: Arc<TempDir>,
    module: PathBuf,
}

impl SoftHsm {
    /// For a process that the test starts with the token's variables.
    ///
    /// # Errors
    /// `tests/run` has not prepared it.
    pub fn new() -> Result<Self, RigError> {
        Self::within(configured_directory()?, "softhsm")
    }

    /// For the process of the test itself. SoftHSM reads its configuration from a file that a variable of the process
    /// names, and a program can't set those safely while it runs: `tests/run` names a file relative to the working
    /// directory, which this sets. Where tests are threads of one process they take turns here, for copies of SoftHSM
    /// in one process lose each other's file locks; those of one test share a directory.
    ///
    /// # Errors
    /// `tests/run` has not prepared it, or the variable names another file.
    pub fn here() -> Result<Self, RigError> {
        static COPIES: AtomicU32 = AtomicU32::new(0);

        if env::var_os("SOFTHSM2_CONF").is_none_or(|name| name != CONFIGURATION) {
            return Err(RigError::Missing { what: format!("SOFTHSM2_CONF={CONFIGURATION}") });
        }
        let directory = loop {
            match turn()? {
                Some(directory) => break directory,
                None => thread::sleep(Duration::from_millis(10)),
            }
        };
        Self::within(directory, &format!("softhsm-{}", COPIES.fetch_add(1, Ordering::Relaxed)))
    }

    fn within(directory: Arc<TempDir>, name: &str) -> Result<Self, RigError> {
        let module = copy_of(&prepared("CATALYST_RIG_SOFTHSM")?, directory.path(), name)?;
        Ok(Self { directory, module })
    }

    /// A new token.
    ///
    /// # Errors
    /// `softhsm2-util` is missing or fails.
    pub fn token(&self) -> Result<TestToken, RigError> {
        let born = Born::new();
        self.initialise(&["--free"], &born.label, &born.pin, &born.so_pin)?;
        Ok(TestToken {
            module: self.module.clone(),
            pin_file: born.pin_file(self.directory.path())?,
            label: born.label,
            pin: born.pin,
            so_pin: born.so_pin,
            initialisation: None,
            environment: vec![("SOFTHSM2_CONF".into(), self.configuration())],
            directories: vec![Arc::clone(&self.directory)],
        })
    }

    /// Initialises the token again, by another process: its keys are gone, and it has the label and the PIN it had.
    ///
    /// # Errors
    /// `softhsm2-util` is missing or fails.
    pub fn initialise_again(&self, token: &TestToken) -> Result<(), RigError> {
        self.initialise(&["--token", &token.label], &token.label, &token.pin, &token.so_pin)
    }

    fn initialise(&self, which: &[&str], label: &str, pin: &str, so_pin: &str) -> Result<(), RigError> {
        let mut command = Command::new("softhsm2-util");
        command
            .arg("--init-token")
            .args(which)
            .args(["--label", label, "--pin", pin, "--so-pin", so_pin])
            .env("SOFTHSM2_CONF", self.configuration());
        make(&mut command, "")
    }

    fn configuration(&self) -> String {
        self.directory.path().join(CONFIGURATION).display().to_string()
    }
}

/// The working directory for this thread's tokens; `None` while another test has the turn.
fn turn() -> Result<Option<Arc<TempDir>>, RigError> {
    static TURN: Mutex<Option<(ThreadId, Weak<TempDir>)>> = Mutex::new(None);

    let mut turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let taken = turn.as_ref().and_then(|(thread, directory)| Some((*thread, directory.upgrade()?)));
    let me = thread::current().id();
    match taken {
        Some((thread, directory)) => Ok((thread == me).then_some(directory)),
        None => {
            let directory = configured_directory()?;
            env::set_current_dir(directory.path())?;
            *turn = Some((me, Arc::downgrade(&directory)));
            Ok(Some(directory))
        }
    }
}

/// A directory with a configuration and no token yet.
fn configured_directory() -> Result<Arc<TempDir>, RigError> {
    let directory = new_directory()?;
    let tokens = directory.path().join("tokens");
    fs::create_dir(&tokens)?;
    let configuration = format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display());
    write(&directory.path().join(CONFIGURATION), &configuration)?;
    Ok(directory)
}
