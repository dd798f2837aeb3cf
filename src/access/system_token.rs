//! The file `system-token` in the data directory: 0600, replaced atomically.

use super::AccessError;
use crate::identity::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

/// The file's name.
pub const SYSTEM_TOKEN_FILE: &str = "system-token";
const WARN_SECONDS: i64 = 30 * 86_400;

/// The stored token, if there is one.
pub(super) fn read(data_dir: &Path) -> Result<Option<SecretString>, AccessError> {
    let path = data_dir.join(SYSTEM_TOKEN_FILE);
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

/// Writes the token beside the old one, then takes its place.
pub(super) fn write(data_dir: &Path, token: &SecretString) -> Result<(), AccessError> {
    let path = data_dir.join(SYSTEM_TOKEN_FILE);
    let temporary = data_dir.join(format!("{SYSTEM_TOKEN_FILE}.new"));
    let written = (|| {
        let _ = fs::remove_file(&temporary);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(token.expose_secret().as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        File::open(data_dir)?.sync_all()
    })();
    written.map_err(|source| AccessError::File { path, source })
}

/// Says in time that the token ends.
pub(super) fn warn_of_expiry(expires: Timestamp, now: Timestamp) {
    let left = expires.seconds_since(now);
    if left < WARN_SECONDS {
        tracing::warn!(target: "catalyst.auth", expires_at = %expires, days_remaining = left / 86_400,
            "System token approaching expiry — remove the file system-token and restart to make a new one");
    }
}
