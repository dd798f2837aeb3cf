//! The audit log.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A record of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditItem {
    /// Counts from 1 without gaps.
    pub seq: i64,
    /// Milliseconds since the epoch.
    pub at: i64,
    /// Who: `service`, `system`, `token:<sub>:<jti>`, `bootstrap:<jti>`, `svid:<SPIFFE id>:<serial>`.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// To what.
    pub subject: String,
    /// A JSON object, exactly as it is hashed.
    pub detail: String,
    /// Hash of the record before, hex.
    pub prev_hash: String,
    /// Hash of this record, hex.
    pub hash: String,
}

/// `GET /pki/audit`
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditPage {
    /// In ascending order.
    pub records: Vec<AuditItem>,
    /// `after` of the next page, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_after: Option<i64>,
}

/// A place in the audit log's chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditPoint {
    /// The number of the record; 0 before the first.
    pub seq: i64,
    /// Its hash, hex.
    pub hash: String,
}

/// A signed head of the audit log, as it is logged every minute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SignedHead {
    /// The newest record's number, which is also the count of all records ever written.
    pub seq: i64,
    /// Its hash, hex.
    pub hash: String,
    /// When it was signed, ms since the epoch.
    pub at: i64,
    /// The token key that signed.
    pub kid: String,
    /// ES384 over `catalyst-pki/audit/v1`, a zero octet, seq and at (8 octets each, big-endian) and the 32 octets of
    /// the hash; r and s side by side, base64url.
    pub signature: String,
}

/// `GET /pki/audit/verify`
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditVerdict {
    /// Whether the chain is whole, from the first record that is left to the newest.
    pub intact: bool,
    /// The first wrong number, where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken_at: Option<i64>,
    /// Where the records in the store begin; what was before lies in sealed files.
    pub base: AuditPoint,
    /// Where they end.
    pub head: AuditPoint,
}
