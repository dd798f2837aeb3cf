//! The deny list and CRLs.

use crate::identity::{KeyId, Serial, SpiffeId, Timestamp};

/// A row of `denied_identity`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// Who.
    pub spiffe_id: SpiffeId,
    /// Why, in the operator's words.
    pub reason: String,
    /// Since when.
    pub denied_at: Timestamp,
    /// The certificates were revoked for good.
    pub compromised: bool,
}

/// A certificate that still lives although its identity is denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpiringCertificate {
    /// Its serial number.
    pub serial: Serial,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// What a denial did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DenyOutcome {
    /// Every unexpired certificate of the identity, now on hold or revoked.
    pub expiring: Vec<ExpiringCertificate>,
    /// The CAs whose CRL must say so.
    pub issuers: Vec<KeyId>,
}

/// What lifting a denial did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowOutcome {
    /// The identity had been denied.
    pub was_denied: bool,
    /// The CAs whose CRL changes.
    pub issuers: Vec<KeyId>,
}

/// Why a certificate stands on a CRL (RFC 5280, 5.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RevocationReason {
    /// unspecified (0); the extension is then left out.
    Unspecified,
    /// keyCompromise (1)
    KeyCompromise,
    /// cACompromise (2)
    CaCompromise,
    /// superseded (4)
    Superseded,
    /// cessationOfOperation (5)
    CessationOfOperation,
    /// certificateHold (6)
    CertificateHold,
}

impl RevocationReason {
    /// The CRLReason code.
    pub fn code(self) -> u8 {
        match self {
            Self::Unspecified => 0,
            Self::KeyCompromise => 1,
            Self::CaCompromise => 2,
            Self::Superseded => 4,
            Self::CessationOfOperation => 5,
            Self::CertificateHold => 6,
        }
    }

    /// As RFC 5280, 5.3.1 writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "keyCompromise",
            Self::CaCompromise => "cACompromise",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessationOfOperation",
            Self::CertificateHold => "certificateHold",
        }
    }

    /// The reason of a code; `None` for codes that this CA does not use.
    pub fn from_code(code: u8) -> Option<Self> {
        use RevocationReason::*;
        [Unspecified, KeyCompromise, CaCompromise, Superseded, CessationOfOperation, CertificateHold]
            .into_iter()
            .find(|reason| reason.code() == code)
    }
}

/// A line of a CRL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrlEntry {
    /// The certificate.
    pub serial: Serial,
    /// Since when.
    pub revoked_at: Timestamp,
    /// Why.
    pub reason: RevocationReason,
}

/// A CRL whose number is committed and that is about to be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrlReservation {
    /// Whose CRL.
    pub issuer: KeyId,
    /// Its CRLNumber: rises, over a restore too.
    pub number: i64,
    /// How many changes of the list it covers.
    pub revision: i64,
    /// What stands on it, by serial number.
    pub entries: Vec<CrlEntry>,
}

/// A signed CRL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrlPublication {
    /// Whose CRL.
    pub issuer: KeyId,
    /// The reserved number.
    pub number: i64,
    /// The reservation's revision.
    pub revision: i64,
    /// thisUpdate.
    pub this_update: Timestamp,
    /// nextUpdate.
    pub next_update: Timestamp,
    /// CertificateList, DER.
    pub der: Vec<u8>,
}

/// The CRL of one CA certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrlRow {
    /// Whose CRL.
    pub issuer: KeyId,
    /// The one published last, if any was.
    pub published: Option<CrlPublication>,
    /// A revocation, hold or release waits for the next one.
    pub pending: bool,
}
