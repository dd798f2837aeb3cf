//! Whom a backup is encrypted to.

use super::{BackupError, Result};
use age::{
    Callbacks, NoCallbacks, plugin,
    secrecy::{ExposeSecret as _, SecretString},
    tag, tagpq, x25519,
};
use std::{collections::BTreeMap, fmt, fs::File, io::Read as _, path::Path};

/// No file of recipients is longer, in octets.
const MAX_FILE: u64 = 1 << 20;
/// The work that a passphrase's scrypt costs: N = 2^18, as `age -p` has it; about a second.
const WORK: u8 = 18;
/// The fewest characters of a passphrase.
const PASSPHRASE_MIN: usize = 16;

/// What a backup is encrypted with.
pub enum Lock {
    /// Whoever has one of the identities opens it.
    Recipients(Vec<Box<dyn age::Recipient + Send>>),
    /// Whoever knows the passphrase opens it.
    Passphrase(Box<age::scrypt::Recipient>),
}

impl Lock {
    /// A passphrase, whose strength is all that protects the backup.
    ///
    /// # Errors
    /// It has fewer than 16 characters.
    pub fn of_passphrase(passphrase: SecretString) -> Result<Self> {
        if passphrase.expose_secret().chars().count() < PASSPHRASE_MIN {
            return Err(BackupError::Usage(format!(
                "the passphrase has fewer than {PASSPHRASE_MIN} characters: 'catalyst passphrase new' makes one"
            )));
        }
        let mut recipient = age::scrypt::Recipient::new(passphrase);
        recipient.set_work_factor(WORK);
        Ok(Self::Passphrase(Box::new(recipient)))
    }

    /// Recipients where nobody can be asked anything, as in a service.
    ///
    /// # Errors
    /// As [`parse_recipients`].
    pub fn unattended(recipients: &[String]) -> Result<Self> {
        Ok(Self::Recipients(parse_recipients(recipients, NoCallbacks)?))
    }

    /// An encryptor for one file.
    pub(super) fn encryptor(&self) -> Result<age::Encryptor> {
        let made = match self {
            Self::Recipients(all) => {
                age::Encryptor::with_recipients(all.iter().map(|one| &**one as &dyn age::Recipient))
            }
            Self::Passphrase(one) => {
                age::Encryptor::with_recipients(std::iter::once(&**one as &dyn age::Recipient))
            }
        };
        made.map_err(|error| BackupError::Usage(format!("cannot encrypt: {}", one_line(&error))))
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Recipients(all) => write!(f, "Recipients({})", all.len()),
            Self::Passphrase(_) => f.write_str("Passphrase"),
        }
    }
}

/// Reads recipients: native ones (`age1…`), tagged ones, and those of plugins, which must be installed.
///
/// # Errors
/// One that is none, which is named by its number, and never repeated where it may be an identity.
pub fn parse_recipients(
    texts: &[String],
    callbacks: impl Callbacks,
) -> Result<Vec<Box<dyn age::Recipient + Send>>> {
    let mut found: Vec<Box<dyn age::Recipient + Send>> = Vec::new();
    let mut plugins: BTreeMap<String, Vec<plugin::Recipient>> = BTreeMap::new();
    for (place, text) in texts.iter().map(|text| text.trim()).enumerate() {
        if let Ok(recipient) = text.parse::<x25519::Recipient>() {
            found.push(Box::new(recipient));
        } else if let Ok(recipient) = text.parse::<tagpq::Recipient>() {
            found.push(Box::new(recipient));
        } else if let Ok(recipient) = text.parse::<tag::Recipient>() {
            found.push(Box::new(recipient));
        } else if let Ok(recipient) = text.parse::<plugin::Recipient>() {
            plugins.entry(recipient.plugin().to_owned()).or_default().push(recipient);
        } else {
            return Err(BackupError::Usage(no_recipient(text, place + 1)));
        }
    }
    for (name, recipients) in plugins {
        let plugin = plugin::RecipientPluginV1::new(&name, &recipients, &[], callbacks.clone());
        found.push(Box::new(plugin.map_err(|_| {
            BackupError::Usage(format!(
                "a recipient is for the plugin '{name}', and there is no program age-plugin-{name} in PATH: install it, or name another recipient"
            ))
        })?));
    }
    if found.is_empty() {
        return Err(BackupError::Usage(
            "nobody could open the backup: name a recipient with --recipient (age-keygen makes one), --recipients-file or CATALYST_PKI_BACKUP_RECIPIENTS, or give --passphrase".into(),
        ));
    }
    Ok(found)
}

fn no_recipient(text: &str, place: usize) -> String {
    let begins = |word: &str| text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    if begins("AGE-SECRET-KEY-") || begins("AGE-PLUGIN-") {
        return format!(
            "recipient {place} is an identity, which opens backups: keep it away from this machine, and name the recipient that belongs to it (age-keygen -y prints it)"
        );
    }
    if begins("ssh-") || begins("ecdsa-") || begins("sk-") {
        return format!(
            "recipient {place} is an SSH key, which this program does not encrypt to: make an age identity with age-keygen, and name its recipient"
        );
    }
    format!(
        "recipient {place} is none of age's: one that begins with 'age1' is wanted, as age-keygen prints it"
    )
}

/// The recipients in a file of age's format: one a line; blank lines and those that begin with `#` are passed over.
///
/// # Errors
/// The file can't be read, or has none.
pub fn recipients_in_file(path: &Path) -> Result<Vec<String>> {
    let failed = BackupError::io("read", path);
    let file = File::open(path).map_err(&failed)?;
    let mut text = String::new();
    file.take(MAX_FILE).read_to_string(&mut text).map_err(&failed)?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let found: Vec<String> = lines.map(str::to_owned).collect();
    if found.is_empty() {
        return Err(BackupError::Usage(format!("there is no recipient in {}", path.display())));
    }
    Ok(found)
}

/// age's own messages have several lines.
pub(super) fn one_line(message: &impl fmt::Display) -> String {
    message.to_string().lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}
