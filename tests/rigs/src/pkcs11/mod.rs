//! Tokens behind PKCS#11: of SoftHSM, of Kryoptic, and of either with faults.
//!
//! Every rig has a directory of its own that goes with its last token, and a copy of the module in it, so that no two
//! tests share a module's state, whether they are threads or processes. A module that is loaded sees the tokens that
//! were there when it was initialised.

mod fault;
mod kryoptic;
mod softhsm;

pub use fault::Fault;
pub use kryoptic::Kryoptic;
pub use softhsm::SoftHsm;

use crate::{RigError, prepared};
use std::{
    env, fs,
    hash::{BuildHasher as _, RandomState},
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};
use tempfile::TempDir;

/// A token, and what a process needs to use it.
#[derive(Debug, Clone)]
pub struct TestToken {
    /// The module.
    pub module: PathBuf,
    /// The token's label; no other token has it.
    pub label: String,
    /// The user PIN.
    pub pin: String,
    /// The security officer's PIN.
    pub so_pin: String,
    /// A file with the user PIN.
    pub pin_file: PathBuf,
    /// What the module may be given at `C_Initialize` (`pReserved`) in place of `environment`.
    pub initialisation: Option<String>,
    /// The variables that the module reads in the process that loads it.
    pub environment: Vec<(String, String)>,
    /// What the token lies in; it goes with the last of these.
    directories: Vec<Arc<TempDir>>,
}

impl TestToken {
    /// The variables of a `catalyst` that keeps its keys on this token: the module's, and its own settings.
    #[must_use]
    pub fn variables(&self) -> Vec<(String, String)> {
        let settings = [
            ("KEY_BACKEND", "pkcs11".to_owned()),
            ("PKCS11_MODULE", self.module.display().to_string()),
            ("PKCS11_TOKEN", self.label.clone()),
            ("PKCS11_PIN_FILE", self.pin_file.display().to_string()),
        ];
        let settings = settings.map(|(name, value)| (format!("CATALYST_PKI_{name}"), value));
        self.environment.iter().cloned().chain(settings).collect()
    }
}

/// The PINs and the label of a token that is about to be made.
struct Born {
    label: String,
    pin: String,
    so_pin: String,
}

impl Born {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let label = format!("rig-{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Self { label, pin: digits(), so_pin: digits() }
    }

    /// Writes the PIN into the directory, for its owner alone; gives the file.
    fn pin_file(&self, directory: &Path) -> Result<PathBuf, RigError> {
        let path = directory.join(format!("{}.pin", self.label));
        write(&path, &format!("{}\n", self.pin))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(path)
    }
}

/// Sixteen digits at random.
fn digits() -> String {
    format!("{:016}", RandomState::new().hash_one(()) % 10_u64.pow(16))
}

fn new_directory() -> Result<Arc<TempDir>, RigError> {
    Ok(Arc::new(tempfile::Builder::new().prefix("catalyst-rig-").tempdir()?))
}

/// A copy of the module in the directory: the same file would be the same module to the loader.
fn copy_of(module: &Path, directory: &Path, name: &str) -> Result<PathBuf, RigError> {
    let copy = directory.join(format!("{name}{}", env::consts::DLL_SUFFIX));
    fs::copy(module, &copy).map_err(|source| RigError::File { path: module.into(), source })?;
    Ok(copy)
}

fn write(path: &Path, text: &str) -> Result<(), RigError> {
    fs::write(path, text).map_err(|source| RigError::File { path: path.into(), source })
}

/// Runs a program that makes a token.
fn make(command: &mut Command, input: &str) -> Result<(), RigError> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(RigError::Refused {
        command: command.get_program().to_string_lossy().into_owned(),
        output: crate::checkers::printed(&output),
    })
}
