//! Tokens of Kryoptic, which knows ML-DSA.

use super::{Born, TestToken, copy_of, make, new_directory, prepared, write};
use crate::RigError;
use std::{
    fmt::Write as _,
    path::PathBuf,
    process::Command,
    sync::{Arc, Mutex, PoisonError},
};
use tempfile::TempDir;

/// Kryoptic with tokens of its own: those of one of these are seen together. Their `initialisation` is enough for any
/// process, the test's own too.
#[derive(Debug)]
pub struct Kryoptic {
    directory: Arc<TempDir>,
    module: PathBuf,
    /// The program that makes tokens.
    maker: PathBuf,
    /// The configuration so far, and how many slots it has.
    slots: Mutex<(String, u32)>,
}

impl Kryoptic {
    /// Without a token yet.
    ///
    /// # Errors
    /// `tests/run` has not prepared it.
    pub fn new() -> Result<Self, RigError> {
        let directory = new_directory()?;
        let built = prepared("CATALYST_RIG_KRYOPTIC")?;
        let module = copy_of(&built, directory.path(), "kryoptic")?;
        Ok(Self { directory, module, maker: built.with_file_name("kryoptic-token"), slots: Mutex::default() })
    }

    /// A new token in a slot of its own.
    ///
    /// # Errors
    /// It can't be made.
    pub fn token(&self) -> Result<TestToken, RigError> {
        let born = Born::new();
        let path = self.directory.path().join("kryoptic.conf");
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let (configuration, count) = &mut *slots;
        *count += 1;
        let database = self.directory.path().join(format!("{count}.sql"));
        let _ =
            write!(configuration, "[[slots]]\nslot = {count}\ndbtype = \"sqlite\"\ndbargs = {database:?}\n");
        write(&path, configuration)?;

        let path = path.display().to_string();
        let mut command = Command::new(&self.maker);
        command.arg(&self.module).arg(count.to_string()).arg(&born.label).env("KRYOPTIC_CONF", &path);
        make(&mut command, &format!("{}\n{}\n", born.so_pin, born.pin))?;
        Ok(TestToken {
            module: self.module.clone(),
            pin_file: born.pin_file(self.directory.path())?,
            label: born.label,
            pin: born.pin,
            so_pin: born.so_pin,
            initialisation: Some(format!("kryoptic_conf={path}")),
            environment: vec![("KRYOPTIC_CONF".into(), path)],
            directories: vec![Arc::clone(&self.directory)],
        })
    }
}
