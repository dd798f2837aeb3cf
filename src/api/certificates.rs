//! Certificates: signed, generated, listed, revoked.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /pki/csr/sign`
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignCsrRequest {
    /// PKCS#10, PEM; its key on P-384 or P-256, its one URI SAN the SPIFFE id.
    pub csr_pem: String,
    /// `orchestrator`, `auth`, `node`, `gateway`, `envoy/app` or `envoy/transport`.
    pub service_type: String,
    /// A lower-case DNS name.
    pub instance_id: String,
    /// 1 to 86400.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<i64>,
}

/// A signed certificate.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SignedCertificate {
    /// The certificate, PEM.
    pub certificate_pem: String,
    /// Issuing CA, then root; PEM.
    pub chain: Vec<String>,
    /// ISO 8601, UTC.
    pub expires_at: String,
    /// When to ask for the next; ISO 8601, UTC.
    pub renew_after: String,
    /// SHA-256 of the DER, base64url.
    pub fingerprint: String,
    /// Hex.
    pub serial: String,
}

/// `POST /pki/keypair`
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeypairRequest {
    /// As in [`SignCsrRequest`].
    pub service_type: String,
    /// As in [`SignCsrRequest`].
    pub instance_id: String,
    /// As in [`SignCsrRequest`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<i64>,
}

/// `POST /pki/ca/{ski}/revoke`, `POST /pki/certificates/{serial}/revoke`
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeRequest {
    /// `unspecified`, `keyCompromise`, `cACompromise`, `superseded` or `cessationOfOperation`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `GET /pki/certificates`
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificatePage {
    /// Newest first.
    pub certificates: Vec<CertificateItem>,
    /// For the next page; null on the last.
    pub next_cursor: Option<String>,
}

/// A certificate in a list.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateItem {
    /// Hex.
    pub serial: String,
    /// Null for CAs.
    pub spiffe_id: Option<String>,
    /// base64url.
    pub fingerprint: String,
    /// ISO 8601, UTC.
    pub expires_at: String,
    /// `active`, `held`, `revoked` or `expired`.
    pub status: String,
    /// `root-ca`, `services-ca`, `transport-ca` or `end-entity`.
    #[serde(rename = "type")]
    pub certificate_type: String,
    /// Subject CN.
    pub common_name: String,
}

/// `GET /pki/certificates/{serial}`
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateDetail {
    /// As in lists.
    #[serde(flatten)]
    pub item: CertificateItem,
    /// The certificate, PEM.
    pub certificate_pem: String,
    /// Hex.
    pub issuer_serial: String,
    /// ISO 8601, UTC.
    pub not_before: String,
    /// ISO 8601, UTC.
    pub created_at: String,
}

/// `GET /pki/export/certificates`
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportPage {
    /// Newest first.
    pub certificates: Vec<CertificateDetail>,
    /// For the next page; null on the last.
    pub next_cursor: Option<String>,
}

/// `POST /pki/certificates/purge`
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Purged {
    /// How many expired certificates were deleted.
    pub purged_count: u64,
}

/// A new key with its certificate; answered once and kept nowhere.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Keypair {
    /// PKCS#8, PEM.
    pub private_key_pem: String,
    /// Its certificate.
    #[serde(flatten)]
    pub certificate: SignedCertificate,
}

impl std::fmt::Debug for Keypair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keypair").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

impl Drop for Keypair {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.private_key_pem);
    }
}
