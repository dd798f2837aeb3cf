//! Tokens of SoftHSM.

use super::{Born, TestToken, copy_of, make, new_directory, prepared, write};
use crate::RigError;
use std::{
    env, fs,
    path::PathBuf,
    process::Command,
    sync::{Arc, Mutex, PoisonError, Weak},
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
        Self::within(new_directory()?, "softhsm")
    }

    /// For the process of the test itself. SoftHSM reads its configuration from a file that a variable of the process
    /// names, and a program can't set those safely while it runs: `tests/run` names a file relative to the working
    /// directory, which this sets.
    ///
    /// # Errors
    /// `tests/run` has not prepared it, or the variable names another file.
    pub fn here() -> Result<Self, RigError> {
        static HERE: Mutex<(Weak<TempDir>, u32)> = Mutex::new((Weak::new(), 0));

        if env::var_os("SOFTHSM2_CONF").is_none_or(|name| name != CONFIGURATION) {
            return Err(RigError::Missing { what: format!("SOFTHSM2_CONF={CONFIGURATION}") });
        }
        let mut here = HERE.lock().unwrap_or_else(PoisonError::into_inner);
        let directory = match here.0.upgrade() {
            Some(directory) => directory,
            None => {
                let directory = new_directory()?;
                env::set_current_dir(directory.path())?;
                here.0 = Arc::downgrade(&directory);
                directory
            }
        };
        here.1 += 1;
        Self::within(directory, &format!("softhsm-{}", here.1))
    }

    fn within(directory: Arc<TempDir>, name: &str) -> Result<Self, RigError> {
        let module = copy_of(&prepared("CATALYST_RIG_SOFTHSM")?, directory.path(), name)?;
        let tokens = directory.path().join("tokens");
        fs::create_dir_all(&tokens)?;
        let configuration = format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display());
        write(&directory.path().join(CONFIGURATION), &configuration)?;
        Ok(Self { directory, module })
    }

    /// A new token.
    ///
    /// # Errors
    /// `softhsm2-util` is missing or fails.
    pub fn token(&self) -> Result<TestToken, RigError> {
        let born = Born::new();
        let configuration = self.directory.path().join(CONFIGURATION).display().to_string();
        let mut command = Command::new("softhsm2-util");
        command
            .args(["--init-token", "--free", "--label", &born.label])
            .args(["--pin", &born.pin, "--so-pin", &born.so_pin])
            .env("SOFTHSM2_CONF", &configuration);
        make(&mut command, "")?;
        Ok(TestToken {
            module: self.module.clone(),
            pin_file: born.pin_file(self.directory.path())?,
            label: born.label,
            pin: born.pin,
            initialisation: None,
            environment: vec![("SOFTHSM2_CONF".into(), configuration)],
            directories: vec![Arc::clone(&self.directory)],
        })
    }
}
