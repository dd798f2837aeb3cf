//! The login: the PIN is given as rarely as can be, and one that was refused never again.

use super::{
    place::Place,
    turn::{PATIENCE, Taken, Turn},
};
use crate::{
    Opening,
    config::{Pin, TokenConfig},
    trouble::Trouble,
};
use catalyst_signing::{Refusal, SignError};
use cryptoki::{
    context::Function,
    error::{Error, RvError},
    session::{Session, SessionState, UserType},
};
use rustix::fs::OFlags;
use secrecy::{ExposeSecret as _, SecretString};
use std::{
    fs::{self, Metadata, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};
use zeroize::Zeroizing;

/// How much of a PIN file is read, in octets.
const PIN_FILE_MOST: usize = 4096;

/// The logins at one token, one at a time, and the PIN that it refused last.
pub(super) type Ledger = Turn<Option<Refused>>;

/// The logins under one of the names that an operator has for a token.
#[derive(Default)]
pub(super) struct Logins {
    /// When the operator last wanted a refused PIN tried again.
    retried: Mutex<Option<Instant>>,
    worked: AtomicBool,
    /// Whether the token denied a login that its sessions' state claims.
    doubted: AtomicBool,
    /// How often the token was logged out here: sessions of before are not used any more.
    logouts: AtomicU64,
}

/// A PIN that the token refused: `None` was entered at the token itself.
pub(super) struct Refused {
    pin: Option<SecretString>,
    at: Instant,
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
        let mut refused = take(config, place)?;
        if self.doubted.swap(false, Ordering::Relaxed) || !is_logged_in(session)? {
            self.present(&mut refused, config, place, session, UserType::User)?;
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
        self.present(&mut *take(config, place)?, config, place, session, UserType::ContextSpecific)
    }

    /// Logs the token out, unless `in_use` says that it is wanted again.
    pub(super) fn leave(&self, place: &Place, session: &Session, in_use: impl FnOnce() -> bool) {
        if let Some(_turn) = place.ledger.take(PATIENCE)
            && !in_use()
        {
            self.logouts.fetch_add(1, Ordering::Relaxed);
            // One who was logged out already is as good.
            let _ = session.logout();
        }
    }

    /// How often the token was logged out, once no logout is under way: some modules (Kryoptic) never come back from
    /// C_Logout or C_Login when another session is used meanwhile. Only for those who count among the users whom
    /// [`Logins::leave`] asks for.
    pub(super) fn logouts(&self, config: &TokenConfig, place: &Place) -> Result<u64, Trouble> {
        match config.opening {
            Opening::Kept => Ok(0),
            Opening::WhileInUse => {
                let _turn = take(config, place)?;
                Ok(self.logouts.load(Ordering::Relaxed))
            }
        }
    }

    /// The operator wants a refused PIN tried again. Does not block.
    pub(super) fn retry(&self) {
        *self.retried.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// The token said that it is not logged in: whatever the next session's state is, it logs in.
    pub(super) fn doubt(&self) {
        self.doubted.store(true, Ordering::Relaxed);
    }

    /// Whether the token was ever logged in.
    pub(super) fn worked(&self) -> bool {
        self.worked.load(Ordering::Relaxed)
    }

    /// Gives the PIN, unless the token refused it under any of its names and no operator wants it tried again.
    fn present(
        &self,
        refused: &mut Option<Refused>,
        config: &TokenConfig,
        place: &Place,
        session: &Session,
        user: UserType,
    ) -> Result<(), Trouble> {
        let pin = read(config)?;
        let retried = *self.retried.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(earlier) = refused
            && retried.is_none_or(|retried| retried <= earlier.at)
            && same(earlier.pin.as_ref(), pin.as_ref())
        {
            return Err(earlier.error.clone().into());
        }
        let few_tries = check_flags(config, place)?;
        let (code, function) = match session.login(user, pin.as_ref()) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {
                *refused = None;
                return Ok(());
            }
            Err(Error::Pkcs11(code, function)) => (code, function),
            Err(error) => return Err(error.into()),
        };
        let again = || Trouble::from(Error::Pkcs11(code, function));
        let reason = match again().into_error(&config.name) {
            SignError::Refused { kind: Refusal::Pin, reason } => reason,
            _ if was_counted(place, few_tries) => {
                format!("{}: {}, and the token has fewer tries left since", config.name, again().answer())
            }
            _ => return Err(again()),
        };
        let error = SignError::refused(
            Refusal::Pin,
            format!(
                "{reason}; it is not tried again, for tokens lock after a few wrong ones: correct {} and run \
                 `catalyst backend retry`",
                config.pin_source()
            ),
        );
        *refused = Some(Refused { pin, at: Instant::now(), error: error.clone() });
        Err(error.into())
    }
}

fn take<'a>(config: &TokenConfig, place: &'a Place) -> Result<Taken<'a, Option<Refused>>, Trouble> {
    place.ledger.take(PATIENCE).ok_or_else(|| {
        SignError::unavailable(format!("{}: an earlier login at the token does not come back", config.name))
            .into()
    })
}

/// Whether the session's token is logged in already, by the session's own state.
pub(super) fn is_logged_in(session: &Session) -> Result<bool, Error> {
    let state = session.get_session_info()?.session_state();
    Ok(matches!(state, SessionState::RoUser | SessionState::RwUser))
}

/// A token tells when one more wrong PIN would lock it (PKCS#11 3.1, table 6): then none is tried.
/// Answers whether few tries are left.
fn check_flags(config: &TokenConfig, place: &Place) -> Result<bool, Trouble> {
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
        return Ok(info.user_pin_count_low());
    };
    Err(SignError::refused(Refusal::Pin, format!("{}: {why}", config.name)).into())
}

/// Whether a login that failed for no clear reason was one with a wrong PIN, as the token's flags tell.
fn was_counted(place: &Place, few_tries: bool) -> bool {
    place.module.pkcs11.get_token_info(place.slot).is_ok_and(|info| {
        info.user_pin_locked() || info.user_pin_final_try() || (info.user_pin_count_low() && !few_tries)
    })
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
                format!(
                    "{}: the PIN file {} {why}; put it right, then try again: a key that is refused since waits for \
                     `catalyst backend retry`",
                    config.name,
                    path.display()
                ),
            )),
        },
    }
}

fn read_file(path: &Path) -> Result<SecretString, String> {
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => "is not there".to_owned(),
        _ => format!("cannot be read ({error})"),
    };
    check_regular(&fs::metadata(path).map_err(unreadable)?)?;
    // Another file may have taken its place since, and the opening of a pipe would wait for a writer.
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path)
        .map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    check_regular(&metadata)?;
    let mode = metadata.permissions().mode();
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

fn check_regular(metadata: &Metadata) -> Result<(), String> {
    let kind = metadata.file_type();
    if kind.is_file() {
        return Ok(());
    }
    let what = if kind.is_dir() {
        "is a directory: name the file in it"
    } else if kind.is_fifo() {
        "is a pipe, which can be read once alone: put the PIN in a regular file"
    } else {
        "is no regular file: put the PIN in one"
    };
    Err(what.to_owned())
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
    use std::os::unix::net::UnixListener;

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

    #[test]
    fn only_a_regular_file_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let error = read_file(directory.path()).unwrap_err();
        assert!(error.contains("is a directory"), "{error}");
        let pipe = directory.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let error = read_file(&pipe).unwrap_err();
        assert!(error.contains("is a pipe"), "{error}");
        let socket = directory.path().join("socket");
        let _listener = UnixListener::bind(&socket).unwrap();
        let error = read_file(&socket).unwrap_err();
        assert!(error.contains("no regular file"), "{error}");
    }
}
