//! The passphrase of the local key files: where it may lie, and the one that `--dev` makes.

use super::{
    Settings, SettingsError,
    effective::{Content, Given},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret as _, SecretString};
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// The file in the data directory that holds the passphrase of `--dev`.
pub const DEV_PASSPHRASE: &str = "dev-passphrase";

/// How drafts of it begin; the process id follows.
const DRAFT: &str = ".dev-passphrase.";

/// A passphrase was made and lies in clear in this file; the log should say so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadePassphrase(pub PathBuf);

impl Settings {
    /// Refuses a passphrase that lies beside what it protects: a copy of the directory would hold both.
    pub(super) fn check_passphrase_place(&self) -> Result<(), SettingsError> {
        let Some(Given { content: Content::Secret(_, Some(path)), .. }) =
            self.values.values.get("CATALYST_PKI_LOCAL_PASSPHRASE")
        else {
            return Ok(());
        };
        if self.dev {
            return Ok(());
        }
        for directory in [&self.data_dir, &self.local_keys] {
            if lies_inside(path, directory) {
                return Err(SettingsError::PassphraseBesideKeys {
                    path: path.clone(),
                    directory: directory.clone(),
                });
            }
        }
        Ok(())
    }

    /// Makes sure that there is a passphrase if keys are to be made in `local`: under `--dev` it reads or makes the
    /// one in the data directory. Returns the file if it was made just now.
    ///
    /// # Errors
    /// No passphrase was given, or that of `--dev` can't be read or made.
    pub fn secure_passphrase(&mut self) -> Result<Option<MadePassphrase>, SettingsError> {
        if self.local_passphrase.is_some() || !self.key_backends.any("local") {
            return Ok(None);
        }
        if !self.dev {
            return Err(SettingsError::PassphraseMissing { data_dir: self.data_dir.clone() });
        }
        let path = self.data_dir.join(DEV_PASSPHRASE);
        let failed = |source| SettingsError::DevPassphrase { path: path.clone(), source };
        if let Some(passphrase) = read(&path).map_err(failed)? {
            remove_drafts(&self.data_dir).map_err(failed)?;
            self.local_passphrase = Some(passphrase);
            return Ok(None);
        }
        if holds_files(&self.local_keys).map_err(failed)? {
            return Err(SettingsError::DevPassphraseLost { keys: self.local_keys.clone(), path });
        }
        let made = make(&path).map_err(failed)?;
        // Read again, for another process may have made it at the same moment.
        self.local_passphrase = read(&path).map_err(failed)?;
        Ok(made.then_some(MadePassphrase(path)))
    }
}

fn lies_inside(path: &Path, directory: &Path) -> bool {
    // What does not exist yet holds nothing.
    match (path.canonicalize(), directory.canonicalize()) {
        (Ok(path), Ok(directory)) => path.starts_with(directory),
        _ => false,
    }
}

fn read(path: &Path) -> io::Result<Option<SecretString>> {
    match fs::read_to_string(path).map(Zeroizing::new) {
        Ok(text) => Ok(Some(text.trim_end_matches(['\r', '\n']).into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn holds_files(directory: &Path) -> io::Result<bool> {
    match fs::read_dir(directory) {
        Ok(mut entries) => Ok(entries.next().is_some()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// A random passphrase of 256 bits, base64url.
///
/// # Errors
/// The operating system gives no random numbers.
pub fn new_passphrase() -> io::Result<SecretString> {
    let mut random = Zeroizing::new([0_u8; 32]);
    aws_lc_rs::rand::fill(random.as_mut()).map_err(|_| io::Error::other("no random bytes to be had"))?;
    Ok(URL_SAFE_NO_PAD.encode(random.as_slice()).into())
}

/// Removes what a process that was killed while it made the passphrase left: a second copy, or an unused one.
fn remove_drafts(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(DRAFT) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Writes a random passphrase, whole or not at all: keys are encrypted with it as soon as it can be read. `false`
/// if another process was faster.
fn make(path: &Path) -> io::Result<bool> {
    let directory = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let passphrase = new_passphrase()?;
    let draft = directory.join(format!("{DRAFT}{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    writeln!(file, "{}", passphrase.expose_secret())?;
    file.sync_all()?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    match linked {
        Ok(()) => {
            File::open(directory)?.sync_all()?;
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}
