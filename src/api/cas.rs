//! The hierarchy.

use super::BackupStatus;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /pki/initialize`; without any field all three CAs are made.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InitializeRequest {
    /// The root's subject CN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common_name: Option<String>,
    /// `EC-P384`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<String>,
    /// The root's lifetime.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_days: Option<u32>,
    /// With any other field, only the root is made unless this is true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with_intermediates: Option<bool>,
}

/// Answer to `POST /pki/initialize`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Initialized {
    /// Always true.
    pub success: bool,
    /// base64url.
    pub root_fingerprint: String,
    /// base64url; null while there is no such CA.
    pub services_ca_fingerprint: Option<String>,
    /// base64url; null while there is no such CA.
    pub transport_ca_fingerprint: Option<String>,
}

/// `POST /pki/intermediary`
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IntermediaryRequest {
    /// Subject CN.
    pub common_name: String,
    /// 730 unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_days: Option<u32>,
    /// `services` or `transport`; read from the name where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// `EC-P384`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<String>,
    /// The key store's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    /// An existing key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_uri: Option<String>,
}

/// A CA.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ca {
    /// base64url.
    pub fingerprint: String,
    /// Key identifier, hex; names its CRL.
    pub ski: String,
    /// `root`, `services` or `transport`.
    pub role: String,
    /// Counts from 1 within the role.
    pub generation: u32,
    /// Subject CN.
    pub common_name: String,
    /// `EC-P384`, …
    pub algorithm: String,
    /// `certified` (waits for its activation, or was superseded), `active`, `retired` or `revoked`.
    pub state: String,
    /// Since when it is in the bundle; ISO 8601, UTC.
    pub published_at: String,
    /// When it first became active; missing where it never was. ISO 8601, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activated_at: Option<String>,
    /// ISO 8601, UTC.
    pub expires_at: String,
    /// How many certificates it has issued.
    pub issued_cert_count: u64,
    /// Where its key is.
    pub key_uri: String,
    /// SHA-256 of its public key (SPKI), base64url.
    pub spki_sha256: String,
}

/// Answer to `POST /pki/intermediary` and to activation, retirement and revocation.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CaCertificate {
    /// The CA.
    #[serde(flatten)]
    pub ca: Ca,
    /// Its certificate, PEM.
    pub certificate_pem: String,
    /// What it chains to, PEM.
    pub chain: Vec<String>,
}

/// `POST /pki/ca/{ski}/activate`
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ActivateRequest {
    /// Do not wait for the 24 hours in which verifiers fetch the bundle.
    #[serde(default)]
    pub now: bool,
}

/// `POST /pki/ca/{ski}/repin`
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RepinRequest {
    /// Where the same key is now.
    pub key_uri: String,
    /// Name of the key store that holds it there; the CA's own unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
}

/// The trust bundle as JSON.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CaBundle {
    /// The trust domain.
    pub trust_domain: String,
    /// PEM: live services CAs, then the roots.
    pub services_bundle: Vec<String>,
    /// PEM: live transport CAs, then the roots.
    pub transport_bundle: Vec<String>,
    /// Rises with each change.
    pub version: i64,
    /// When the first of them ends.
    pub expires_at: String,
}

/// `GET /pki/status`
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// `healthy`, `degraded`, `uninitialized` or `recovery`.
    pub status: String,
    /// The restore that waits to be confirmed; missing where none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<super::Recovery>,
    /// The trust domain.
    pub trust_domain: String,
    /// The root.
    pub root_ca: Option<Ca>,
    /// The services CA in force.
    pub services_ca: Option<Ca>,
    /// The transport CA in force.
    pub transport_ca: Option<Ca>,
    /// All intermediates that are in the bundle.
    pub intermediates: Vec<Ca>,
    /// End-entity certificates neither expired, held nor revoked.
    pub active_cert_count: u64,
    /// Identities on the deny list.
    pub denied_identity_count: u64,
    /// The backups; missing where the service makes none and none was reported as verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupStatus>,
    /// What is to be done.
    pub warnings: Vec<String>,
}
