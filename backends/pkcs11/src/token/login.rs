//! The login: the PIN is given as rarely as can be, and one that was refused never again.

use super::{
    place::Place,
    turn::{PATIENCE, Taken, Turn},
};
use crate::{
    config::{Pin, TokenConfig},
    trouble::Trouble,
};
use catalyst_signing::{Refusal, SignError};
use cryptoki::{
    context::Function,
    error::{Error, RvError},
    session::{Session, SessionState, UserType},
};
use secrecy::{ExposeSecret as _, SecretString};
use std::{
    fs::File,
    io::{self, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};
use zeroize::Zeroizing;

/// How much of a PIN file is read, in octets.
const PIN_FILE_MOST: usize = 4096;

/// One token's logins, one at a time.
#[derive(Default)]
pub(super) struct Logins {
    turn: Turn<Option<Refused>>,
    /// How often the operator wanted a refused PIN tried again.
    retries: AtomicU64,
    worked: AtomicBool,
    /// Whether the token denied a login that its sessions' state claims.
    doubted: AtomicBool,
}

/// A PIN that the token refused: `None` was entered at the token itself.
struct Refused {
    pin: Option<SecretString>,
    retries: u64,
    error: SignError,
}

impl Logins {
    /// Logs the token in, if it is not logged in yet: the login belongs to the token and the process, not to a session.
    pub(super) fn enter(
        &self,
        config: &TokenConfig,
        place: &Place,
        session: &Session,
    ) -> Result<(), Trouble> {
        if !place.login_required {
            return Ok(());
        }
        let mut refused = self.take(config)?;
        if self.doubted.swap(false, Ordering::Relaxed) || !is_logged_in(session)? {
            let retries = self.retries.load(Ordering::Relaxed);
            present(&mut refused, retries, config, place, session, UserType::User)?;
        }
        self.worked.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// The login between C_SignInit and C_Sign that a key with CKA_ALWAYS_AUTHENTICATE wants.
    pub(super) fn consent(
        &self,
        config: &TokenConfig,
        place: &Place,
        session: &Session,
    ) -> Result<(), Trouble> {
        let mut refused = self.take(config)?;
        present(
            &mut refused,
            self.retries.load(Ordering::Relaxed),
            config,
            place,
            session,
            UserType::ContextSpecific,
        )
    }

    /// Logs the token out, unless `in_use` says that it is wanted again.
    pub(super) fn leave(&self, session: &Session, in_use: impl FnOnce() -> bool) {
        if let Some(_turn) = self.turn.take(PATIENCE)
            && !in_use()
        {
            // One who was logged out already is as good.
            let _ = session.logout();
        }
    }

    /// The operator wants a refused PIN tried again. Does not block.
    pub(super) fn retry(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    /// The token said that it is not logged in: whatever the next session's state is, it logs in.
    pub(super) fn doubt(&self) {
        self.doubted.store(true, Ordering::Relaxed);
    }

    /// Whether the token was ever logged in.
    pub(super) fn worked(&self) -> bool {
        self.worked.load(Ordering::Relaxed)
    }

    fn take(&self, config: &TokenConfig) -> Result<Taken<'_, Option<Refused>>, Trouble> {
        self.turn.take(PATIENCE).ok_or_else(|| {
            SignError::unavailable(format!(
                "{}: an earlier login at the token does not come back",
                config.name
            ))
            .into()
        })
    }
}

/// Whether the session's token is logged in already, by the session's own state.
pub(super) fn is_logged_in(session: &Session) -> Result<bool, Error> {
    let state = session.get_session_info()?.session_state();
    Ok(matches!(state, SessionState::RoUser | SessionState::RwUser))
}

fn present(
    refused: &mut Option<Refused>,
    retries: u64,
    config: &TokenConfig,
    place: &Place,
    session: &Session,
    user: UserType,
) -> Result<(), Trouble> {
    let pin = read(config)?;
    if let Some(earlier) = refused
        && earlier.retries == retries
        && same(earlier.pin.as_ref(), pin.as_ref())
    {
        return Err(earlier.error.clone().into());
    }
    check_flags(config, place)?;
    let error = match session.login(user, pin.as_ref()) {
        Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {
            *refused = None;
            return Ok(());
        }
        Err(error) => error,
    };
    let Error::Pkcs11(code, function) = error else {
        return Err(error.into());
    };
    if code == RvError::UserPinNotInitialized {
        return Err(Error::Pkcs11(code, function).into());
    }
    match Trouble::from(Error::Pkcs11(code, function)).into_error(&config.name) {
        SignError::Refused { kind: Refusal::Pin, reason } => {
            let error = SignError::refused(
                Refusal::Pin,
                format!(
                    "{reason}; it is not tried again, for tokens lock after a few wrong ones: correct {} and run \
                     `catalyst backend retry`",
                    config.pin_source()
                ),
            );
            *refused = Some(Refused { pin, retries, error: error.clone() });
            Err(error.into())
        }
        _ => Err(Error::Pkcs11(code, function).into()),
    }
}

/// A token tells when one more wrong PIN would lock it (PKCS#11 3.1, table 6): then none is tried.
fn check_flags(config: &TokenConfig, place: &Place) -> Result<(), Trouble> {
    let info = place.module.pkcs11.get_token_info(place.slot)?;
    let pad = matches!(config.pin, Pin::Pad);
    let why = if info.user_pin_locked() {
        "the user PIN is locked: the security officer has to set it anew, with the vendor's tool"
    } else if info.user_pin_final_try() {
        "one more wrong PIN would lock the token, so none is tried: log in once with the vendor's tool and the right \
         PIN, then run `catalyst backend retry`"
    } else if !info.user_pin_initialized() && !pad {
        return Err(Error::Pkcs11(RvError::UserPinNotInitialized, Function::Login).into());
    } else if pad && !info.protected_authentication_path() {
        "the token has no PIN pad (CKF_PROTECTED_AUTHENTICATION_PATH): give the PIN in a file"
    } else {
        if info.user_pin_count_low() {
            tracing::warn!(target: "catalyst.pki", token = %config.name, serial = %place.facts.serial,
                "A wrong PIN was given to the token since its last login; few tries are left");
        }
        return Ok(());
    };
    Err(SignError::refused(Refusal::Pin, format!("{}: {why}", config.name)).into())
}

/// The PIN as it is now; `None` where it is entered at the token.
fn read(config: &TokenConfig) -> Result<Option<SecretString>, SignError> {
    match &config.pin {
        Pin::Known(pin) => Ok(Some(pin.clone())),
        Pin::Pad => Ok(None),
        Pin::File(path) => match read_file(path) {
            Ok(pin) => Ok(Some(pin)),
            Err(why) => Err(SignError::refused(
                Refusal::Pin,
                format!("{}: the PIN file {} {why}", config.name, path.display()),
            )),
        },
    }
}

fn read_file(path: &Path) -> Result<SecretString, String> {
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => "is not there".to_owned(),
        _ => format!("cannot be read ({error})"),
    };
    let mut file = File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(format!("is open to others (mode {:04o}): chmod 600 it", mode & 0o7777));
    }
    // Room for any PIN and the lines after it, so that the buffer is not moved while it grows.
    let mut content = Zeroizing::new(Vec::with_capacity(PIN_FILE_MOST));
    file.by_ref().take(PIN_FILE_MOST as u64).read_to_end(&mut content).map_err(unreadable)?;
    let text = std::str::from_utf8(&content).map_err(|_| "is not text in UTF-8".to_owned())?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(SecretString::from(line)),
        _ => Err("has no PIN in its first line".to_owned()),
    }
}

fn same(one: Option<&SecretString>, other: Option<&SecretString>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.expose_secret() == other.expose_secret(),
        (None, None) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn file(content: &[u8], mode: u32) -> (tempfile::TempDir, std::path::PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pin");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (directory, path)
    }

    #[test]
    fn the_pin_is_the_first_line_without_its_break() {
        for content in [&b"12 34"[..], b"12 34\n", b"12 34\r\n", b"12 34\nsomething else\n"] {
            let (_directory, path) = file(content, 0o600);
            assert_eq!(read_file(&path).unwrap().expose_secret(), "12 34");
        }
    }

    #[test]
    fn a_pin_file_that_will_not_do_says_why() {
        for (content, mode, says) in [
            (&b"1234"[..], 0o640, "is open to others (mode 0640)"),
            (b"1234", 0o604, "chmod 600"),
            (b"\n1234", 0o600, "no PIN in its first line"),
            (b"", 0o600, "no PIN in its first line"),
            (b"\xff\xfe", 0o600, "UTF-8"),
        ] {
            let (_directory, path) = file(content, mode);
            let error = read_file(&path).unwrap_err();
            assert!(error.contains(says), "{error}");
            assert!(!error.contains("1234"), "{error}");
        }
        assert_eq!(read_file(Path::new("/nonexistent/pin")).unwrap_err(), "is not there");
    }
}
