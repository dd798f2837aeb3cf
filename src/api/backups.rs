//! Backups.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /pki/backups/verified`
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VerifiedBackupReport {
    /// SHA-256 of the backup's `manifest.json`, hex.
    pub manifest_sha256: String,
    /// When it was made, as its manifest has it; ISO 8601, UTC.
    pub created_at: String,
    /// The deployment that it is a backup of, 16 hex digits.
    pub deployment: String,
}

/// Answer to `POST /pki/backups/verified`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct VerifiedBackupNoted {
    /// Always true.
    pub success: bool,
}

/// How the backups are, in `GET /pki/status`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupStatus {
    /// When the newest in the service's directory was made; missing where there is none, or the service makes none.
    /// ISO 8601, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_at: Option<String>,
    /// Its octets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_size: Option<u64>,
    /// When the newest was made that was wholly verified; missing where none was. ISO 8601, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_created_at: Option<String>,
    /// When that was reported. ISO 8601, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_at: Option<String>,
}
