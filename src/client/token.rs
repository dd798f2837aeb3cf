//! Which credential is sent, and where it comes from.

use super::{ClientError, Kind, Result};
use secrecy::{ExposeSecret as _, SecretString};
use std::{
    fs::{File, TryLockError},
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// No token is longer: a request's head has to fit a server's buffer.
const LONGEST: u64 = 16 * 1024;

/// What may hold a token, the first that does wins.
#[derive(Debug, Default)]
pub struct TokenSources {
    /// `--token`
    pub given: Option<SecretString>,
    /// `--token-file`
    pub given_file: Option<PathBuf>,
    /// `CATALYST_AUTH_TOKEN`
    pub variable: Option<SecretString>,
    /// `CATALYST_AUTH_TOKEN_FILE`
    pub variable_file: Option<PathBuf>,
    /// `system-token` of a service on this machine; only for a service on this machine.
    pub system_token: Option<PathBuf>,
}

impl TokenSources {
    /// The token, if there is any. `is_here`: the service is on this machine.
    ///
    /// # Errors
    /// Two on the command line, a file that can't be read or that others may read, text that is no token.
    pub fn find(self, is_here: bool) -> Result<Option<SecretString>> {
        let token = match self {
            Self { given: Some(_), given_file: Some(_), .. } => {
                return Err(ClientError::usage("--token and --token-file are both given")
                    .with_hint("give one of them"));
            }
            Self { given: Some(token), .. } | Self { given_file: None, variable: Some(token), .. } => token,
            Self { given_file: Some(path), .. } | Self { variable_file: Some(path), .. } => read(&path)?,
            Self { system_token: Some(path), .. } if is_here => match system_token(&path)? {
                Some(token) => token,
                None => return Ok(None),
            },
            _ => return Ok(None),
        };
        checked(token).map(Some)
    }
}

/// A file that is not there, or not for us, is no source; one that everybody may read is an error here too. Nor is one
/// whose service does not run: then somebody else may listen in its place, and would be given the token.
fn system_token(path: &Path) -> Result<Option<SecretString>> {
    if !is_served(path) {
        return Ok(None);
    }
    match File::open(path) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        opened => read_from(opened, path).map(Some),
    }
}

/// Whether a service holds the lock of the data directory that this file lies in.
fn is_served(path: &Path) -> bool {
    let lock = File::open(path.with_file_name("catalyst.lock"));
    lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// The one line of a file that its owner alone may read.
///
/// # Errors
/// A file that can't be read, that others may read, or that holds more than a token.
pub fn read(path: &Path) -> Result<SecretString> {
    read_from(File::open(path), path)
}

fn read_from(opened: io::Result<File>, path: &Path) -> Result<SecretString> {
    let failed = |error: io::Error| {
        ClientError::usage(format!("cannot read the token in {}: {error}", path.display())).with_hint(
            "name a file that holds the token alone, with --token-file or CATALYST_AUTH_TOKEN_FILE",
        )
    };
    let file = opened.map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    // A pipe, as of a shell's <(…), is nobody else's.
    if metadata.is_file() && metadata.mode() & 0o077 != 0 {
        let mode = metadata.mode() & 0o777;
        return Err(ClientError::usage(format!(
            "the token in {} may be read by others than its owner (mode {mode:o})",
            path.display()
        ))
        .with_hint(format!(
            "run: chmod 600 {}; and replace the token if others had access",
            path.display()
        )));
    }
    read_text(file).map_err(failed)
}

/// The text of a token, without the white space around it.
///
/// # Errors
/// Whatever reading answers, and more text than any token has.
pub fn read_text(source: impl io::Read) -> io::Result<SecretString> {
    let mut text = Zeroizing::new(String::new());
    let read = source.take(LONGEST + 1).read_to_string(&mut text)?;
    if read as u64 > LONGEST {
        return Err(io::Error::other("it is too long for a token"));
    }
    Ok(SecretString::from(text.trim()))
}

fn checked(token: SecretString) -> Result<SecretString> {
    let text = token.expose_secret();
    if text.is_empty() {
        return Err(ClientError::new(Kind::Usage, "the token is empty").with_hint(
            "give one with --token-file or CATALYST_AUTH_TOKEN; 'catalyst auth token mint' makes them",
        ));
    }
    // What would end the header, and what no token has.
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(ClientError::usage("the token has spaces or other characters that no token has")
            .with_hint("give the token alone, on one line"));
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt as _};

    fn file(directory: &Path, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = directory.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    /// As a service that runs on the directory holds it.
    fn lock(directory: &Path) -> File {
        let lock = File::create(directory.join("catalyst.lock")).unwrap();
        lock.lock().unwrap();
        lock
    }

    fn found(sources: TokenSources, is_here: bool) -> Option<String> {
        sources.find(is_here).unwrap().map(|token| token.expose_secret().to_owned())
    }

    #[test]
    fn the_nearest_source_wins() {
        let directory = tempfile::tempdir().unwrap();
        let _running = lock(directory.path());
        let path = |name: &str| Some(file(directory.path(), name, &format!("{name}\n"), 0o600));
        let all = || TokenSources {
            given: None,
            given_file: path("file"),
            variable: Some("variable".into()),
            variable_file: path("variable-file"),
            system_token: path("system"),
        };
        let no_file = || TokenSources { given_file: None, ..all() };
        let files = || TokenSources { variable: None, ..no_file() };
        assert_eq!(found(TokenSources { given: Some("flag".into()), ..no_file() }, true).unwrap(), "flag");
        assert_eq!(found(all(), true).unwrap(), "file");
        assert_eq!(found(no_file(), true).unwrap(), "variable");
        assert_eq!(found(files(), true).unwrap(), "variable-file");
        assert_eq!(found(TokenSources { variable_file: None, ..files() }, true).unwrap(), "system");
        let both = TokenSources { given: Some("a".into()), given_file: path("b"), ..TokenSources::default() };
        assert_eq!(both.find(true).unwrap_err().kind, Kind::Usage);
    }

    #[test]
    fn a_system_token_stays_on_its_machine_and_may_be_absent() {
        let directory = tempfile::tempdir().unwrap();
        let there = file(directory.path(), "system-token", "secret\n", 0o600);
        let only = |path| TokenSources { system_token: Some(path), ..TokenSources::default() };
        assert_eq!(found(only(there.clone()), true), None, "no service runs there");
        let _running = lock(directory.path());
        assert_eq!(found(only(there.clone()), true).unwrap(), "secret");
        assert_eq!(found(only(there), false), None);
        assert_eq!(found(only(directory.path().join("absent")), true), None);
    }

    #[test]
    fn a_file_that_others_may_read_is_refused_with_the_command_that_helps() {
        let directory = tempfile::tempdir().unwrap();
        let _running = lock(directory.path());
        for mode in [0o640, 0o604, 0o644] {
            let path = file(directory.path(), "token", "secret\n", mode);
            let hint = read(&path).unwrap_err().hint.unwrap();
            assert!(hint.starts_with(&format!("run: chmod 600 {}", path.display())), "{hint}");
            let sources = TokenSources { system_token: Some(path), ..TokenSources::default() };
            assert!(sources.find(true).is_err());
        }
    }

    #[test]
    fn text_that_is_no_token_is_refused() {
        for bad in ["", "a b", "a\r\nx-header: b", "ü", &"a".repeat(20_000)] {
            let directory = tempfile::tempdir().unwrap();
            let path = file(directory.path(), "token", bad, 0o600);
            let sources = TokenSources { given_file: Some(path), ..TokenSources::default() };
            assert_eq!(sources.find(true).unwrap_err().kind, Kind::Usage, "{}", bad.len());
        }
    }
}
