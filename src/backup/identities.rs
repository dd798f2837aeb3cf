//! Who can open a backup.

use super::{BackupError, Result, recipients::one_line};
use age::{
    Callbacks, Decryptor, IdentityFile, armor::ArmoredReader, encrypted::EncryptedIdentity,
    secrecy::SecretString,
};
use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::Path,
};
use zeroize::Zeroizing;

/// No file of identities is longer, in octets.
const MAX_FILE: u64 = 1 << 20;
/// The most work that a passphrase's scrypt may cost: N = 2^20 takes 1 GB, and seconds. What wants more may be meant to
/// hurt.
const MAX_WORK: u8 = 20;

/// What a backup is opened with.
pub struct Identities(pub(super) Vec<Box<dyn age::Identity>>);

impl Identities {
    /// These and others: any of them opens.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identities({})", self.0.len())
    }
}

/// A passphrase that the backup itself was encrypted with.
#[must_use]
pub fn passphrase_identity(passphrase: SecretString) -> Identities {
    let mut identity = age::scrypt::Identity::new(passphrase);
    identity.set_max_work_factor(MAX_WORK);
    Identities(vec![Box::new(identity)])
}

/// Reads a file of identities (`AGE-SECRET-KEY-1…`, `AGE-PLUGIN-…`), which may be encrypted with a passphrase; then the
/// callbacks are asked for that.
///
/// # Errors
/// A file that can't be read or holds something else, of which nothing is repeated; the wrong passphrase.
pub fn read_identities(path: &Path, callbacks: impl Callbacks) -> Result<Identities> {
    let failed = BackupError::io("read", path);
    let mut bytes = Zeroizing::new(Vec::new());
    let file = File::open(path).map_err(&failed)?;
    file.take(MAX_FILE).read_to_end(&mut bytes).map_err(&failed)?;
    let shown = path.display();
    let unusable = |why: String| {
        BackupError::Usage(format!("{shown} is no file of age identities: {why}; age-keygen makes one"))
    };
    let identities = if is_encrypted(&bytes) {
        let decryptor = Decryptor::new(ArmoredReader::new(bytes.as_slice()));
        let decryptor = decryptor.map_err(|error| unusable(one_line(&error)))?;
        let encrypted = EncryptedIdentity::new(decryptor, callbacks, Some(MAX_WORK)).ok_or_else(|| {
            unusable("it is encrypted to recipients, and only passphrases are asked for here".into())
        })?;
        let opened = encrypted.decrypt(path.to_str());
        opened
            .map_err(|error| match error {
                age::DecryptError::KeyDecryptionFailed => {
                    BackupError::Closed(format!("the passphrase does not open the identity file {shown}"))
                }
                other => unusable(one_line(&other)),
            })?
            .into_identities()
    } else {
        let parsed = IdentityFile::from_buffer(io::BufReader::new(bytes.as_slice()));
        parsed.map_err(|error| unusable(error.to_string()))?.with_callbacks(callbacks).into_identities()
    };
    let identities = identities.map_err(|error| unusable(one_line(&error)))?;
    if identities.is_empty() {
        return Err(unusable("there is none in it".into()));
    }
    Ok(Identities(identities.into_iter().map(|one| one as Box<dyn age::Identity>).collect()))
}

fn is_encrypted(bytes: &[u8]) -> bool {
    bytes.starts_with(b"age-encryption.org/") || bytes.starts_with(b"-----BEGIN AGE ENCRYPTED FILE-----")
}
