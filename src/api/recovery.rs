//! The time after a restore.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// That the store was put back from a backup.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Recovery {
    /// When the backup was made; ISO 8601, UTC.
    pub snapshot_at: String,
    /// When it was put back; ISO 8601, UTC.
    pub restored_at: String,
    /// When an operator said that the instance of before is gone; missing until then. ISO 8601, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_at: Option<String>,
}

/// `POST /pki/recovery/confirm`
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfirmRecoveryRequest {
    /// The instance that ran before the restore is gone and never comes back. Nothing is confirmed unless this is true.
    #[serde(default)]
    pub old_instance_is_gone: bool,
}

/// Answer to `POST /pki/recovery/confirm`
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecoveryConfirmed {
    /// Always true.
    pub success: bool,
    /// What was confirmed by it; missing where no restore waited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<Recovery>,
}
