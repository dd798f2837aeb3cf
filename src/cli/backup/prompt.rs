//! Passphrases: from the environment, from a file, or from whoever sits at the terminal. Never from an argument.

use super::Trouble;
use crate::{
    backup::BackupError,
    client::printable,
    settings::{Environment, SettingsError},
};
use age::Callbacks;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use secrecy::{ExposeSecret as _, SecretString};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
};
use zeroize::Zeroizing;

const VARIABLE: &str = "CATALYST_BACKUP_PASSPHRASE";
const VARIABLE_FILE: &str = "CATALYST_BACKUP_PASSPHRASE_FILE";
/// No passphrase is longer, in octets.
const LONGEST: usize = 4096;

/// The passphrase that the environment gives.
pub(super) fn given(environment: &Environment) -> Result<Option<SecretString>, Trouble> {
    given_by(environment, VARIABLE, VARIABLE_FILE)
}

/// The secret that one of two variables gives: itself, or the path of a file that holds it.
pub(in crate::cli) fn given_by(
    environment: &Environment,
    variable: &str,
    variable_file: &str,
) -> Result<Option<SecretString>, Trouble> {
    let value = environment.get(variable)?;
    let path = environment.get(variable_file)?;
    match (value, path) {
        (Some(_), Some(_)) => {
            let both = format!("{variable} and {variable_file} are both given: give one of them");
            Err(SettingsError::Together(both).into())
        }
        (Some(value), None) => Ok(Some(value.clone())),
        (None, Some(path)) => {
            let path = path.expose_secret();
            let text = fs::read_to_string(path).map(Zeroizing::new).map_err(|error| {
                BackupError::Usage(format!("{variable_file}: cannot read {path}: {error}"))
            })?;
            Ok(Some(text.trim_end_matches(['\r', '\n']).into()))
        }
        (None, None) => Ok(None),
    }
}

/// A passphrase for something new: asked twice, unless the environment gives it.
pub(super) fn new(environment: &Environment) -> Result<SecretString, Trouble> {
    if let Some(given) = given(environment)? {
        return Ok(given);
    }
    let first = ask("Passphrase of the backup", VARIABLE_FILE)?;
    let second = ask("The same once more", VARIABLE_FILE)?;
    if first.expose_secret() != second.expose_secret() {
        return Err(BackupError::Usage("the two passphrases differ; nothing was made".into()).into());
    }
    Ok(first)
}

/// The passphrase of something that is there.
pub(super) fn known(environment: &Environment) -> Result<SecretString, Trouble> {
    given(environment)?.map_or_else(|| ask("Passphrase of the backup", VARIABLE_FILE), Ok)
}

/// What age and its plugins ask for and say.
#[derive(Clone)]
pub(in crate::cli) struct Terminal {
    passphrase: Option<SecretString>,
}

impl Terminal {
    pub(in crate::cli) fn new(environment: &Environment) -> Result<Self, Trouble> {
        Ok(Self { passphrase: given(environment)? })
    }
}

impl Callbacks for Terminal {
    fn display_message(&self, message: &str) {
        let _ = writeln!(io::stderr(), "{}", printable(message));
    }

    fn confirm(&self, message: &str, yes: &str, no: Option<&str>) -> Option<bool> {
        let no = no.unwrap_or("no");
        let answer = line(&format!("{message} [1: {yes}, 2: {no}]"), true).ok()?;
        match answer.expose_secret() {
            "1" => Some(true),
            "2" => Some(false),
            _ => None,
        }
    }

    fn request_public_string(&self, description: &str) -> Option<String> {
        line(description, true).ok().map(|answer| answer.expose_secret().to_owned())
    }

    fn request_passphrase(&self, description: &str) -> Option<SecretString> {
        self.passphrase.clone().or_else(|| line(description, false).ok())
    }
}

/// A secret from whoever sits at the terminal; `variable_file` gives it where nobody does.
pub(in crate::cli) fn ask(what: &str, variable_file: &str) -> Result<SecretString, Trouble> {
    line(what, false).map_err(|error| {
        let told = format!("cannot ask for a passphrase: {error}; give it with {variable_file}");
        BackupError::Usage(told).into()
    })
}

/// A line from the terminal, whatever standard input is.
fn line(what: &str, is_shown: bool) -> io::Result<SecretString> {
    let mut terminal = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
    // First: what is typed as soon as the question stands there is not shown either.
    let modes = Modes::set(&terminal, is_shown)?;
    write!(terminal, "{}: ", printable(what))?;
    let typed = typed(&mut terminal);
    drop(modes);
    writeln!(terminal)?;
    typed
}

/// The terminal's modes of before, which come back when this is dropped.
struct Modes {
    terminal: File,
    before: Termios,
}

impl Modes {
    fn set(terminal: &File, is_shown: bool) -> io::Result<Self> {
        let terminal = terminal.try_clone()?;
        let before = tcgetattr(&terminal)?;
        let mut now = before.clone();
        // Ctrl-C comes as a character: a signal would end the program with the echo turned off.
        now.local_modes.remove(LocalModes::ICANON | LocalModes::ISIG);
        now.local_modes.set(LocalModes::ECHO, is_shown);
        tcsetattr(&terminal, OptionalActions::Flush, &now)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Modes {
    fn drop(&mut self) {
        // A terminal that has gone needs none.
        let _ = tcsetattr(&self.terminal, OptionalActions::Flush, &self.before);
    }
}

fn typed(terminal: &mut File) -> io::Result<SecretString> {
    let mut text = Zeroizing::new(Vec::with_capacity(LONGEST));
    let mut octet = Zeroizing::new([0]);
    loop {
        if terminal.read(octet.as_mut_slice())? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match octet[0] {
            b'\n' | b'\r' => break,
            // Ctrl-C, Ctrl-D
            3 | 4 => return Err(io::Error::other("interrupted")),
            // Ctrl-U
            21 => text.clear(),
            // Backspace: the last character, however many octets it has.
            8 | 127 => while text.pop().is_some_and(|octet| octet & 0xc0 == 0x80) {},
            _ if text.len() == LONGEST => return Err(io::Error::other("it is too long")),
            other => text.push(other),
        }
    }
    let text = str::from_utf8(&text).map_err(|_| io::Error::other("it is no UTF-8"))?;
    Ok(text.into())
}
