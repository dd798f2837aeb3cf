//! The deny list, and owners of names.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /pki/identities/deny`
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DenyRequest {
    /// Whom.
    pub spiffe_id: String,
    /// Why, in your words; 1 to 500 characters.
    pub reason: String,
    /// Revoke the identity's certificates for good.
    #[serde(default)]
    pub compromised: bool,
}

/// Answer to a denial.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DenyAnswer {
    /// Always true.
    pub success: bool,
    /// Certificates of the identity that have not expired yet.
    pub expiring_certs: Vec<ExpiringCert>,
    /// The CRL that says so is still to be signed.
    pub crl_pending: bool,
    /// It does not stand in the journal of denials yet; missing where it does, or where there is none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub journal_pending: bool,
}

/// A certificate that has not expired yet.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExpiringCert {
    /// Hex.
    pub serial: String,
    /// ISO 8601, UTC.
    pub expires_at: String,
}

/// `POST /pki/identities/allow`
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AllowRequest {
    /// Whom.
    pub spiffe_id: String,
}

/// A denied identity.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeniedIdentity {
    /// Whom.
    pub spiffe_id: String,
    /// Why.
    pub reason: String,
    /// Milliseconds since the epoch.
    pub denied_at: i64,
}

/// `POST /pki/identities/release`
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReleaseRequest {
    /// The name to give free.
    pub dns_name: String,
}
