//! Tokens and the keys that sign them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
