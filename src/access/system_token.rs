//! The file `system-token` in the data directory: 0600, replaced atomically.

use super::{Access, AccessError};
use crate::identity::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};

/// The file's name.
pub const SYSTEM_TOKEN_FILE: &str = "system-token";
const STAGED_FILE: &str = "system-token.new";
const WARN_SECONDS: i64 = 30 * 86_400;

/// The stored token, if there is one.
pub(super) fn read(data_dir: &Path) -> Result<Option<SecretString>, AccessError> {
    read_file(data_dir.join(SYSTEM_TOKEN_FILE))
}

/// The token that was to take its place when the service ended, if there is one.
pub(super) fn read_staged(data_dir: &Path) -> Result<Option<(Staged, SecretString)>, AccessError> {
    let token = read_file(data_dir.join(STAGED_FILE))?;
    Ok(token.map(|token| (Staged { data_dir: data_dir.to_owned() }, token)))
}

fn read_file(path: PathBuf) -> Result<Option<SecretString>, AccessError> {
    let failed = |source| AccessError::File { path: path.clone(), source };
    match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
        Ok(metadata) if metadata.mode() & 0o077 != 0 => {
            return Err(AccessError::FileMode { path, mode: metadata.mode() & 0o777 });
        }
        Ok(_) => {}
    }
    let text = fs::read_to_string(&path).map_err(failed)?;
    Ok(Some(SecretString::from(text.trim().to_owned())).filter(|token| !token.expose_secret().is_empty()))
}

/// A new token, on disk beside the old one.
pub(super) struct Staged {
    data_dir: PathBuf,
}

/// Writes the token beside the old one, 0600 and synced.
pub(super) fn stage(data_dir: &Path, token: &SecretString) -> Result<Staged, AccessError> {
    let path = data_dir.join(STAGED_FILE);
    let written = (|| {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(token.expose_secret().as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()
    })();
    written.map_err(|source| AccessError::File { path, source })?;
    Ok(Staged { data_dir: data_dir.to_owned() })
}

impl Staged {
    /// Takes the old token's place.
    pub(super) fn publish(self) -> Result<(), AccessError> {
        let path = self.data_dir.join(SYSTEM_TOKEN_FILE);
        let published = fs::rename(self.data_dir.join(STAGED_FILE), &path)
            .and_then(|()| File::open(&self.data_dir)?.sync_all());
        published.map_err(|source| AccessError::File { path, source })
    }
}

impl Access {
    /// Remembers when the token in the file ends, and says so in time.
    pub(super) fn system_token_ends_at(&self, expires: Timestamp) {
        self.system_token_ends.store(expires.millis(), Ordering::Relaxed);
        if let Some(warning) = self.system_token_warning() {
            tracing::warn!(target: "catalyst.auth", expires_at = %expires, "System token approaching expiry — {warning}");
        }
    }

    /// What an operator has to know of the system token's end, from 30 days before it.
    pub fn system_token_warning(&self) -> Option<String> {
        let ends = Timestamp::from_millis(self.system_token_ends.load(Ordering::Relaxed));
        let left = ends.seconds_since(self.clock.now());
        (ends.millis() > 0 && left < WARN_SECONDS).then(|| {
            format!(
                "the system token ends in {} days, at {ends}: 'catalyst auth key rotate' makes a fresh one, and so does 'catalyst token recover' while the service is stopped",
                left.div_euclid(86_400)
            )
        })
    }
}
