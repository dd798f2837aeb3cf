//! A copy of a store: what stands in it, for whoever backs up and restores.

use super::{AuditHead, KeyRole, KeyRowState, MadeKey};
use crate::identity::{CaRole, Fingerprint, KeyId, Timestamp, TrustDomain};
use std::collections::BTreeMap;

/// What a store holds, as far as a backup tells of it. Read from stores of every schema so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreFacts {
    /// Schema version (`PRAGMA user_version`).
    pub schema: i64,
    /// The deployment id, 16 hex digits.
    pub deployment: String,
    /// `None` until a hierarchy was planned.
    pub trust_domain: Option<TrustDomain>,
    /// When the hierarchy was complete.
    pub initialized_at: Option<Timestamp>,
    /// The bundle's version.
    pub bundle_version: i64,
    /// The SPIFFE bundle's sequence number.
    pub spiffe_sequence: i64,
    /// The newest audit record.
    pub audit: AuditHead,
    /// When it was written; `None` where there is none, or where it lies in a sealed file.
    pub audit_at: Option<Timestamp>,
    /// How many rows each table has, by its name.
    pub rows: BTreeMap<String, u64>,
    /// All keys, by role and generation.
    pub keys: Vec<KeyFacts>,
    /// All CAs, by role and generation.
    pub cas: Vec<CaFacts>,
    /// All CRLs, by the CA's key identifier.
    pub crls: Vec<CrlFacts>,
}

/// A key, as far as a backup tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFacts {
    /// What for.
    pub role: KeyRole,
    /// Counts from 1 within the role.
    pub generation: u32,
    /// The signature algorithm's name.
    pub algorithm: String,
    /// Name of the key store.
    pub backend: String,
    /// Where it is, and its public half; `None` for one that was only intended.
    pub made: Option<MadeKey>,
    /// How far it has come.
    pub state: KeyRowState,
}

/// A CA, as far as a backup tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaFacts {
    /// What for.
    pub role: CaRole,
    /// Counts from 1 within the role.
    pub generation: u32,
    /// Its subject key identifier.
    pub ski: KeyId,
    /// Its issuer's; its own for a root.
    pub issuer: KeyId,
    /// Subject CN.
    pub common_name: String,
    /// The certificate, DER.
    pub der: Vec<u8>,
    /// End of validity.
    pub not_after: Timestamp,
    /// Whether it was revoked.
    pub is_revoked: bool,
}

impl CaFacts {
    /// SHA-256 of the certificate.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of_certificate(&self.der)
    }
}

/// The numbers of a CA's CRL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrlFacts {
    /// Whose.
    pub ca: KeyId,
    /// The greatest number that was given away.
    pub reserved: i64,
    /// The number of the published one.
    pub published: Option<i64>,
}

impl StoreFacts {
    /// The CA that issues for a role now.
    #[must_use]
    pub fn active_ca(&self, role: CaRole) -> Option<(&CaFacts, &KeyFacts)> {
        let active = self.cas.iter().filter(|ca| ca.role == role && !ca.is_revoked);
        active.filter_map(|ca| Some((ca, self.key_of(ca)?))).find(|(_, key)| key.state == KeyRowState::Active)
    }

    /// The key of a CA.
    #[must_use]
    pub fn key_of(&self, ca: &CaFacts) -> Option<&KeyFacts> {
        self.keys.iter().find(|key| key.role == KeyRole::Ca(ca.role) && key.generation == ca.generation)
    }

    /// The CA that has issued another's certificate.
    #[must_use]
    pub fn issuer_of(&self, ca: &CaFacts) -> Option<&CaFacts> {
        self.cas.iter().find(|other| other.ski == ca.issuer)
    }
}
