//! A private key that leaves: on record first, and encrypted.

use super::{BackupError, Lock, Result, recipients::one_line};
use crate::{
    identity::{Actor, Clock as _, SpkiHash, SystemClock},
    store::{AuditEntry, KeyRole, KeyRow, KeyRowState, Stamp, Store},
};
use catalyst_signing::{KeyPin, KeyUri};
use serde_json::json;
use std::{fmt, io::Write as _, str::FromStr};
use zeroize::Zeroizing;

/// Takes the pinned private key (PKCS#8, PEM) out of the key store of a name, or says why it can't be had: a clause.
pub type TakeKey<'a> = &'a (dyn Fn(&str, &KeyPin) -> std::result::Result<Zeroizing<String>, String> + Sync);

/// Which key is meant: of a role the one that is in force, or that of a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyName {
    /// What it is for.
    pub role: KeyRole,
    /// Counts from 1 within the role.
    pub generation: Option<u32>,
}

impl FromStr for KeyName {
    type Err = &'static str;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        const FORM: &str =
            "root, services, transport or token is wanted, and after a colon a generation, as in root:1";
        let (role, generation) = match text.split_once(':') {
            None => (text, None),
            Some((role, generation)) => (role, Some(generation.parse().map_err(|_| FORM)?)),
        };
        Ok(Self { role: role.parse().map_err(|_| FORM)?, generation })
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.generation {
            Some(generation) => write!(f, "{}:{generation}", self.role),
            None => write!(f, "{}", self.role),
        }
    }
}

/// A key that may be written out: it is on record.
#[derive(Debug)]
pub struct ExportedKey {
    /// Which.
    pub name: KeyName,
    /// Where it lies here.
    pub uri: KeyUri,
    /// SHA-256 of its public half.
    pub spki: SpkiHash,
    /// The PKCS#8 (PEM), encrypted with age.
    pub sealed: Vec<u8>,
}

/// Takes a key out and encrypts it. That it left, and to whom it is encrypted, stands in the audit log before this
/// answers. `recipients` are those of `lock`, as they were given.
///
/// # Errors
/// No such key, one that cannot leave, a key file that can't be opened, or the store's.
pub async fn export_key(
    store: &dyn Store,
    name: KeyName,
    take: TakeKey<'_>,
    lock: &Lock,
    recipients: &[String],
) -> Result<ExportedKey> {
    let row = find(&store.hierarchy().await?.keys, name)?;
    let name = KeyName { generation: Some(row.intention.generation), ..name };
    let unusable = |what: &str| BackupError::Usage(format!("the {name} key {what}"));
    let made = row.made.ok_or_else(|| unusable("was never made"))?;
    let pin = KeyPin {
        uri: KeyUri::parse(&made.uri).map_err(|_| unusable("has a URI that cannot be read"))?,
        algorithm: row.intention.algorithm.parse().map_err(|_| unusable("is of an unknown algorithm"))?,
        spki: made.spki,
    };
    let sealed = seal(&take(&row.intention.backend, &pin).map_err(BackupError::KeyStays)?, lock)?;
    let spki = SpkiHash::of_spki(&pin.spki);
    let detail = json!({
        "role": name.role.as_str(), "generation": name.generation, "keyUri": pin.uri.to_string(),
        "spki": spki.to_string(), "recipients": recipients,
    });
    let entry = AuditEntry {
        action: "key.exported".to_owned(),
        subject: pin.uri.to_string(),
        detail: detail.to_string(),
    };
    store.append_audit(&[entry], &Stamp { at: SystemClock.now(), by: Actor::Service }).await?;
    Ok(ExportedKey { name, uri: pin.uri, spki, sealed })
}

fn find(keys: &[KeyRow], name: KeyName) -> Result<KeyRow> {
    let of_role = || keys.iter().filter(|key| key.intention.role == name.role);
    let found = match name.generation {
        Some(generation) => of_role().find(|key| key.intention.generation == generation),
        None => of_role().find(|key| key.state == KeyRowState::Active),
    };
    found.cloned().ok_or_else(|| {
        let known: Vec<_> = of_role()
            .map(|key| format!("{}:{} ({})", name.role, key.intention.generation, key.state.as_str()))
            .collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        BackupError::Usage(format!(
            "there is no {name} key that is in force or of that generation; of this role there are: {known}"
        ))
    })
}

/// The key, encrypted. The plain text is in memory alone, and overwritten.
fn seal(pem: &str, lock: &Lock) -> Result<Vec<u8>> {
    let failed = |error: std::io::Error| BackupError::Usage(format!("cannot encrypt: {}", one_line(&error)));
    let mut sealed = Vec::new();
    let mut stream = lock.encryptor()?.wrap_output(&mut sealed).map_err(failed)?;
    stream.write_all(pem.as_bytes()).map_err(failed)?;
    stream.finish().map_err(failed)?;
    Ok(sealed)
}
