//! Shapes on the wire: serde and OpenAPI, nothing else. Names never change; fields may be added.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Every error's body.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// A sentence for people.
    pub error: String,
    /// A stable word for programs.
    pub code: String,
}

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
    /// `certified`, `active`, `retired` or `revoked`.
    pub state: String,
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

/// `POST /pki/ca/{ski}/revoke`, `POST /pki/certificates/{serial}/revoke`
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeRequest {
    /// `unspecified`, `keyCompromise`, `cACompromise`, `superseded` or `cessationOfOperation`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
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
    /// `healthy`, `degraded` or `uninitialized`.
    pub status: String,
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
    /// What is to be done.
    pub warnings: Vec<String>,
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

/// Something was done.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Done {
    /// Always true.
    pub success: bool,
    /// A CRL that says so is still to be signed.
    pub crl_pending: bool,
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

/// `POST /pki/certificates/purge`
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Purged {
    /// How many expired certificates were deleted.
    pub purged_count: u64,
}

/// `GET /ready`
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Readiness {
    /// Bundle and CRLs can be served.
    pub ready: bool,
    /// `ok`, or why certificates can't be signed.
    pub signing: String,
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

/// `POST /auth/tokens`
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MintRequest {
    /// Whom it is for; `bootstrap` makes a bootstrap credential, whatever the principal.
    pub subject: String,
    /// `ADMIN`, `NODE`, `NODE_CUSTODIAN`, `DATA_CUSTODIAN` or `USER`, also with `CATALYST::` before it.
    pub principal: String,
    /// Whom it speaks for.
    pub entity: TokenEntity,
    /// Names by which it can be revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sans: Option<Vec<String>>,
    /// Lifetime: a number with `s`, `m`, `h` or `d`; an hour when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<String>,
    /// Binds it to a certificate: base64url or hex SHA-256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_fingerprint: Option<String>,
    /// Of a bootstrap credential: the one identity that it serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spiffe_id: Option<String>,
    /// Of a bootstrap credential: it serves any identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub any_identity: Option<bool>,
    /// Of a bootstrap credential for any identity: how many certificates it brings; 1 when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses: Option<u32>,
}

/// Whom a token speaks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TokenEntity {
    /// Its id.
    pub id: String,
    /// Its name; the Cedar id of the principal.
    pub name: String,
    /// `service`, `user`, …
    #[serde(rename = "type")]
    pub entity_type: String,
    /// The node it is, of a `NODE`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_id: Option<String>,
    /// Nodes it is limited to; none means any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trusted_nodes: Option<Vec<String>>,
    /// Domains it is limited to; none means any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trusted_domains: Option<Vec<String>>,
}

/// A token that was just made.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MintedToken {
    /// The JWT.
    pub token: String,
    /// Names it.
    pub jti: String,
    /// ISO 8601, UTC.
    pub expires_at: String,
    /// What the minter should know.
    pub warnings: Vec<String>,
}

impl std::fmt::Debug for MintedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MintedToken").field("jti", &self.jti).finish_non_exhaustive()
    }
}

/// What is kept of a token.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenItem {
    /// Names it.
    pub jti: String,
    /// Whom it is for.
    pub sub: String,
    /// `CATALYST::ADMIN`, …
    pub principal: String,
    /// Seconds.
    pub iat: i64,
    /// Seconds.
    pub exp: i64,
    /// The same as `exp`.
    pub expiry: i64,
    /// The same as `certificateFingerprint`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cfn: Option<String>,
    /// The certificate it is bound to, base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_fingerprint: Option<String>,
    /// Names by which it can be revoked.
    pub sans: Vec<String>,
    /// `entity.id`
    pub entity_id: String,
    /// `entity.name`
    pub entity_name: String,
    /// `entity.type`
    pub entity_type: String,
    /// Whether it was revoked.
    pub revoked: bool,
    /// Of a bootstrap credential: the identity that it serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spiffe_id: Option<String>,
    /// Of a bootstrap credential: how many certificates it may bring.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses: Option<u32>,
}

/// `GET /auth/tokens`
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenPage {
    /// Newest first.
    pub tokens: Vec<TokenItem>,
    /// Of the next page, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// `POST /auth/tokens/revoke`: exactly one of the three.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RevokeTokensRequest {
    /// The token of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// All with this SAN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub san: Option<String>,
    /// All bound to this certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_fingerprint: Option<String>,
}

/// What was revoked.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevokedTokens {
    /// Always.
    pub success: bool,
    /// How many were good until now.
    pub revoked: u64,
}

/// `POST /auth/tokens/verify`
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VerifyTokenRequest {
    /// The JWT.
    pub token: String,
    /// Whom it must be meant for; the trust domain when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
}

/// Whether a token is good.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TokenVerdict {
    /// Whether it is.
    pub valid: bool,
    /// Its claims, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<serde_json::Value>,
    /// Why not, if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// `GET /auth/keys`
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TokenKeys {
    /// Always.
    pub success: bool,
    /// The keys that tokens verify under (RFC 7517).
    pub jwks: serde_json::Value,
}

/// `POST /auth/keys/rotate`
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RotateKeyRequest {
    /// Tokens of earlier keys die at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub immediate: Option<bool>,
    /// Otherwise they are taken so long; 24 hours when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_period_ms: Option<i64>,
}

/// What the rotation did.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RotatedKey {
    /// Always.
    pub success: bool,
    /// `kid` of the key before.
    pub previous_key_id: String,
    /// `kid` of the key that signs now.
    pub new_key_id: String,
    /// When tokens of earlier keys die; ISO 8601, UTC. Absent where they have died.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_period_ends_at: Option<String>,
    /// How many unexpired tokens die before their time.
    pub tokens_cut_short: u64,
}

/// `POST /auth/authorize`
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuthorizeRequest {
    /// A word of the vocabulary, such as `IBGP_CONNECT`.
    pub action: String,
    /// Where.
    pub node_context: NodeContext,
}

/// Where an action takes place.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeContext {
    /// The node.
    pub node_id: String,
    /// Its domains.
    pub domains: Vec<String>,
}

/// What policy says to an action.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Authorization {
    /// Whether it is allowed.
    pub success: bool,
    /// True where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed: Option<bool>,
    /// `token_expired`, `token_malformed`, `token_revoked`, `permission_denied` or `system_error`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_type: Option<String>,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why not, of a permission that is denied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasons: Option<Vec<String>>,
}

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
