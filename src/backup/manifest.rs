//! The manifest: what a backup holds, as it was when it was made. Its exact bytes are signed.

use super::{BackupError, Result, text};
use crate::{
    identity::{CaRole, Fingerprint, KeyId, SpkiHash, Timestamp, hex, sha256, unhex},
    store::{KeyRole, StoreFacts},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, str::FromStr};

/// The format that this program writes, and the only one there is.
pub const FORMAT: u32 = 1;
/// No manifest is longer, in octets.
pub const MAX_MANIFEST: u64 = 1 << 20;
/// The longest name of a key file.
const MAX_NAME: usize = 90;

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// Version of the program that made it.
    pub program: String,
    /// When; the moment of the snapshot.
    #[serde(with = "text")]
    pub created_at: Timestamp,
    /// What stands in `certs.db`.
    pub store: StoreEntry,
    /// What follows the manifest and its signature, in this order.
    pub parts: Vec<Part>,
}

/// What stands in `certs.db`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StoreEntry {
    /// Schema version.
    pub schema: i64,
    /// The deployment id.
    pub deployment: String,
    /// SPIFFE trust domain.
    pub trust_domain: String,
    /// The bundle's version.
    pub bundle_version: i64,
    /// The SPIFFE bundle's sequence number.
    pub spiffe_sequence: i64,
    /// The audit log's head.
    pub audit: AuditPoint,
    /// How many rows each table has.
    pub rows: BTreeMap<String, u64>,
    /// The CAs, by role and generation.
    pub cas: Vec<CaEntry>,
    /// The numbers of their CRLs.
    pub crls: Vec<CrlEntry>,
    /// Where the keys are, by role and generation.
    pub pins: Vec<Pin>,
}

/// The newest audit record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuditPoint {
    /// Its number; 0 when there is none.
    pub seq: i64,
    /// Its hash, hex.
    pub hash: String,
    /// When it was written, ms since the epoch; `None` where it lies in a sealed file.
    pub at: Option<i64>,
}

/// A CA.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CaEntry {
    /// SHA-256 of its certificate.
    #[serde(with = "text")]
    pub fingerprint: Fingerprint,
    /// Subject CN.
    pub common_name: String,
    /// What for.
    #[serde(with = "text")]
    pub role: CaRole,
    /// Counts from 1 within the role.
    pub generation: u32,
    /// End of validity.
    #[serde(with = "text")]
    pub expires_at: Timestamp,
}

/// The numbers of a CRL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CrlEntry {
    /// The CA's key identifier, hex.
    #[serde(with = "text")]
    pub ca: KeyId,
    /// The greatest number that was given away.
    pub reserved: i64,
    /// The number of the published one.
    pub published: Option<i64>,
}

/// Where a key is, and its public half's hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pin {
    /// What for.
    #[serde(with = "text")]
    pub role: KeyRole,
    /// Counts from 1 within the role.
    pub generation: u32,
    /// The signature algorithm's name.
    pub algorithm: String,
    /// Name of the key store.
    pub key_store: String,
    /// The key URI.
    pub key_uri: String,
    /// SHA-256 of the SubjectPublicKeyInfo.
    #[serde(with = "text")]
    pub spki_sha256: SpkiHash,
    /// As in `ca_key.state`.
    pub state: String,
}

/// A file of the backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Part {
    /// Its name in the archive.
    #[serde(with = "text")]
    pub name: PartName,
    /// Octets.
    pub size: u64,
    /// SHA-256, hex.
    pub sha256: String,
    /// Of a key file: the key URI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_uri: Option<String>,
}

/// The name of a file that may stand in a backup, and no other: never absolute, never outside.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PartName {
    /// `certs.db`
    CertsDb,
    /// `keys/<file>`, where the file's name has letters, digits, `-`, `_` and `.`, and begins with none of the three.
    Key(String),
}

impl PartName {
    /// The name of a key file in a backup; `None` where its name is of no form that may stand there.
    #[must_use]
    pub fn of_key_file(name: &str) -> Option<Self> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let begins = name.starts_with(|c: char| c.is_ascii_alphanumeric());
        (begins && name.len() <= MAX_NAME && name.chars().all(plain)).then(|| Self::Key(name.to_owned()))
    }
}

impl fmt::Display for PartName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CertsDb => f.write_str("certs.db"),
            Self::Key(name) => write!(f, "keys/{name}"),
        }
    }
}

/// The text names no file that may stand in a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name that no file of a backup has: certs.db and keys/<file> are wanted")]
pub struct PartNameError;

impl FromStr for PartName {
    type Err = PartNameError;
    fn from_str(text: &str) -> std::result::Result<Self, PartNameError> {
        match text.strip_prefix("keys/") {
            Some(name) => Self::of_key_file(name).ok_or(PartNameError),
            None if text == "certs.db" => Ok(Self::CertsDb),
            None => Err(PartNameError),
        }
    }
}

impl Part {
    /// The part with these bytes.
    #[must_use]
    pub fn of_key_file(name: PartName, bytes: &[u8], key_uri: String) -> Self {
        Self { name, size: bytes.len() as u64, sha256: hex(&sha256(bytes)), key_uri: Some(key_uri) }
    }
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// It is another program's or a newer one's, or says what none that this program writes says.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let unreadable =
            |error: serde_json::Error| BackupError::Damaged(format!("its manifest cannot be read: {error}"));
        let Version { format } = serde_json::from_slice(bytes).map_err(unreadable)?;
        if format != FORMAT {
            return Err(BackupError::Usage(format!(
                "the backup has format {format}, and this program knows format {FORMAT}: use the version that made it, or a later one"
            )));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(unreadable)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// `certs.db` first, then key files, each once and in the order of their names.
    fn check(&self) -> Result<()> {
        let names: Vec<_> = self.parts.iter().map(|part| &part.name).collect();
        if names.first() != Some(&&PartName::CertsDb) || !names.is_sorted_by(|a, b| a < b) {
            return Err(BackupError::damaged("its manifest lists certs.db not first, or a file twice"));
        }
        let hashed = |part: &Part| unhex(&part.sha256).is_some_and(|hash| hash.len() == 32);
        if !self.parts.iter().all(hashed) || self.size().is_none() {
            return Err(BackupError::damaged(
                "its manifest has a hash that is none, or sizes beyond all bounds",
            ));
        }
        Ok(())
    }

    /// The octets of all parts together; `None` where no disk could hold them.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        let total = self.parts.iter().try_fold(0_u64, |sum, part| sum.checked_add(part.size));
        total.filter(|total| *total <= 1 << 60)
    }

    /// The bytes that are signed and stored.
    ///
    /// # Errors
    /// More keys and CAs than a manifest holds.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(self)
            .map_err(|error| BackupError::Usage(format!("the manifest cannot be written: {error}")))?;
        bytes.push(b'\n');
        if bytes.len() as u64 > MAX_MANIFEST {
            return Err(BackupError::Usage(format!(
                "the manifest would be longer than {MAX_MANIFEST} octets"
            )));
        }
        Ok(bytes)
    }
}

impl StoreEntry {
    /// What the manifest says of a store.
    ///
    /// # Errors
    /// There is nothing in it that could be restored.
    pub fn of(facts: &StoreFacts) -> Result<Self> {
        let (Some(trust_domain), Some(_)) = (&facts.trust_domain, facts.initialized_at) else {
            return Err(BackupError::Usage(
                "the CA is not initialized, so that there is nothing to back up: run 'catalyst pki init' first".into(),
            ));
        };
        let ca = |ca: &crate::store::CaFacts| CaEntry {
            fingerprint: ca.fingerprint(),
            common_name: ca.common_name.clone(),
            role: ca.role,
            generation: ca.generation,
            expires_at: ca.not_after,
        };
        let pin = |key: &crate::store::KeyFacts| {
            let made = key.made.as_ref()?;
            Some(Pin {
                role: key.role,
                generation: key.generation,
                algorithm: key.algorithm.clone(),
                key_store: key.backend.clone(),
                key_uri: made.uri.clone(),
                spki_sha256: SpkiHash::of_spki(&made.spki),
                state: key.state.as_str().to_owned(),
            })
        };
        let crl = |crl: &crate::store::CrlFacts| CrlEntry {
            ca: crl.ca,
            reserved: crl.reserved,
            published: crl.published,
        };
        Ok(Self {
            schema: facts.schema,
            deployment: facts.deployment.clone(),
            trust_domain: trust_domain.to_string(),
            bundle_version: facts.bundle_version,
            spiffe_sequence: facts.spiffe_sequence,
            audit: AuditPoint {
                seq: facts.audit.seq,
                hash: hex(&facts.audit.hash),
                at: facts.audit_at.map(Timestamp::millis),
            },
            rows: facts.rows.clone(),
            cas: facts.cas.iter().map(ca).collect(),
            crls: facts.crls.iter().map(crl).collect(),
            pins: facts.keys.iter().filter_map(pin).collect(),
        })
    }

    /// In what another differs, in words; empty where in nothing.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<&'static str> {
        [
            ("schema", self.schema == other.schema),
            ("deployment", self.deployment == other.deployment),
            ("trust domain", self.trust_domain == other.trust_domain),
            ("bundle version", self.bundle_version == other.bundle_version),
            ("SPIFFE sequence", self.spiffe_sequence == other.spiffe_sequence),
            ("audit head", self.audit == other.audit),
            ("row counts", self.rows == other.rows),
            ("CAs", self.cas == other.cas),
            ("CRL numbers", self.crls == other.crls),
            ("pins", self.pins == other.pins),
        ]
        .into_iter()
        .filter_map(|(what, same)| (!same).then_some(what))
        .collect()
    }
}
