//! A token that fails when a test says so, as real devices do.

use super::{TestToken, copy_of, new_directory, prepared, write};
use crate::RigError;
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};
use tempfile::TempDir;

/// `tests/pkcs11-fault` before a token's module. Its documentation has the rules.
#[derive(Debug)]
pub struct Fault {
    directory: Arc<TempDir>,
    token: TestToken,
    /// How often rules were set: each time they are another file, and count anew.
    settings: AtomicU32,
}

impl Fault {
    /// Before the module of this token, without a rule yet.
    ///
    /// # Errors
    /// `tests/run` has not prepared it.
    pub fn before(token: &TestToken) -> Result<Self, RigError> {
        let directory = new_directory()?;
        let module = copy_of(&prepared("CATALYST_RIG_PKCS11_FAULT")?, directory.path(), "pkcs11-fault")?;
        std::os::unix::fs::symlink(&token.module, directory.path().join("inner"))?;
        let directories = token.directories.iter().chain([&directory]).map(Arc::clone).collect();
        let token = TestToken { module, directories, ..token.clone() };
        Ok(Self { directory, token, settings: AtomicU32::new(0) })
    }

    /// The token behind it.
    #[must_use]
    pub fn token(&self) -> &TestToken {
        &self.token
    }

    /// From now on these rules are in force and no others: `C_Sign return CKR_DEVICE_ERROR times 3`.
    ///
    /// # Errors
    /// The file can't be written. A rule that is not understood shows when the module is called: every call fails with
    /// CKR_GENERAL_ERROR, and standard error says why.
    pub fn set(&self, rules: &[&str]) -> Result<(), RigError> {
        let count = self.settings.fetch_add(1, Ordering::Relaxed);
        let draft = self.file("rules.draft");
        write(&draft, &format!("# {count}\n{}\n", rules.join("\n")))?;
        let path = self.file("rules");
        // Replaced in one step: the module may read at any moment.
        fs::rename(&draft, &path).map_err(|source| RigError::File { path, source })
    }

    /// How often this function was called so far, by any process: `C_Login`.
    ///
    /// # Errors
    /// The module's list can't be read.
    pub fn counts(&self, function: &str) -> Result<usize, RigError> {
        Ok(self.calls()?.iter().filter(|call| *call == function).count())
    }

    /// The functions as they were called so far, by any process.
    ///
    /// # Errors
    /// The module's list can't be read.
    pub fn calls(&self) -> Result<Vec<String>, RigError> {
        let path = self.file("calls");
        match fs::read_to_string(&path) {
            Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(source) => Err(RigError::File { path, source }),
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        Path::new(self.directory.path()).join(name)
    }
}
