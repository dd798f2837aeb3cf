//! Keys and CAs: what is planned, what is made, what is in force.

use crate::identity::{CaRole, KeyId, Serial, Timestamp, TrustDomain};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// What a store belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// 8 random octets in hex, made with the store; names the deployment in key stores and probes.
    pub id: String,
    /// Set by [`super::Store::begin_initialization`], for good.
    pub trust_domain: Option<TrustDomain>,
}

/// What a CA is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaPlan {
    /// `root`, `services` or `transport`.
    pub role: String,
    /// Subject CN.
    pub common_name: String,
    /// The signature algorithm's name, as the signing crate spells it.
    pub algorithm: String,
    /// Lifetime in days.
    pub ttl_days: u32,
    /// Scheme of the key store that holds its key.
    pub backend: String,
}

/// The hierarchy that [`super::Store::complete_initialization`] will complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InitPlan {
    /// The trust domain, for good.
    pub trust_domain: String,
    /// Root first.
    pub cas: Vec<CaPlan>,
}

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyRole {
    /// A CA's key.
    Ca(CaRole),
    /// The key that signs tokens.
    Token,
}

impl KeyRole {
    /// As in `ca_key.role`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ca(role) => role.as_str(),
            Self::Token => "token",
        }
    }
}

impl fmt::Display for KeyRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for KeyRole {
    type Err = crate::identity::UnknownCaRole;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "token" { Ok(Self::Token) } else { text.parse().map(Self::Ca) }
    }
}

/// A key that is about to be made or taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyIntention {
    /// What for.
    pub role: KeyRole,
    /// Counts from 1 within the role.
    pub generation: u32,
    /// The signature algorithm's name.
    pub algorithm: String,
    /// Scheme of the key store.
    pub backend: String,
    /// What the operator typed to name an existing key; `None`: one is made.
    pub reference: Option<String>,
    /// The intent's nonce.
    pub nonce: [u8; 16],
}

/// Where a key is, and its public half.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeKey {
    /// The key URI.
    pub uri: String,
    /// SubjectPublicKeyInfo, DER.
    pub spki: Vec<u8>,
}

/// How far a key has come, as `ca_key.state` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyRowState {
    /// Committed, perhaps not made yet.
    Intended,
    /// Made, its public key known.
    Made,
    /// Has a certificate, does not issue: waits to be activated, or was superseded.
    Certified,
    /// Signs.
    Active,
    /// Signs nothing any more.
    Retired,
}

impl KeyRowState {
    /// As in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Intended => "intended",
            Self::Made => "made",
            Self::Certified => "certified",
            Self::Active => "active",
            Self::Retired => "retired",
        }
    }

    /// Reads the word; `None` for any other.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Intended, Self::Made, Self::Certified, Self::Active, Self::Retired]
            .into_iter()
            .find(|s| s.as_str() == text)
    }
}

/// A row of `ca_key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRow {
    /// What was intended.
    pub intention: KeyIntention,
    /// When.
    pub intended_at: Timestamp,
    /// What was made of it.
    pub made: Option<MadeKey>,
    /// How far it has come.
    pub state: KeyRowState,
    /// Until when a retired token key's tokens are taken; `None` for every other key.
    pub verifies_until: Option<Timestamp>,
}

/// The TBS bytes of a CA certificate that is about to be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaIntention {
    /// Whose certificate.
    pub role: CaRole,
    /// Of which generation.
    pub generation: u32,
    /// Its serial number.
    pub serial: Serial,
    /// TBSCertificate, DER.
    pub tbs: Vec<u8>,
}

/// A signed CA certificate with what the store keeps of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCa {
    /// Whose certificate.
    pub role: CaRole,
    /// Of which generation.
    pub generation: u32,
    /// Its subject key identifier.
    pub ski: KeyId,
    /// The issuer's; its own for a root.
    pub issuer: KeyId,
    /// The issuer's serial number; its own for a root.
    pub issuer_serial: Serial,
    /// Its serial number.
    pub serial: Serial,
    /// Subject CN.
    pub common_name: String,
    /// The certificate, DER.
    pub der: Vec<u8>,
    /// Start of validity.
    pub not_before: Timestamp,
    /// End of validity.
    pub not_after: Timestamp,
}

/// A CA as the store knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaRow {
    /// Its certificate.
    pub certificate: SignedCa,
    /// Its key.
    pub key: KeyRow,
    /// Since when it is in the bundle.
    pub published_at: Timestamp,
    /// When it first became active.
    pub activated_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// How many certificates it has issued.
    pub issued_count: u64,
}

impl CaRow {
    /// In the bundle: unexpired, unrevoked, not retired.
    pub fn is_live(&self, at: Timestamp) -> bool {
        self.revoked_at.is_none() && self.key.state != KeyRowState::Retired && at < self.certificate.not_after
    }

    /// Issues for its role.
    pub fn is_active(&self) -> bool {
        self.key.state == KeyRowState::Active && self.revoked_at.is_none()
    }
}

/// Everything known of keys and CAs.
#[derive(Clone, Debug, Default)]
pub struct Hierarchy {
    /// What was planned, if anything was.
    pub plan: Option<InitPlan>,
    /// When the plan was completed; until then nothing is served.
    pub initialized_at: Option<Timestamp>,
    /// All keys, by role and generation.
    pub keys: Vec<KeyRow>,
    /// All CAs, by role and generation; empty until the plan is completed.
    pub cas: Vec<CaRow>,
    /// Rises whenever the set of live CAs changes.
    pub bundle_version: i64,
    /// Rises whenever the set of live roots changes.
    pub spiffe_sequence: i64,
}
