//! What a token says (RFC 7519), and what is made of it.

use super::vocabulary::PrincipalKind;
use crate::identity::{Fingerprint, SpiffeId};
use serde::{Deserialize, Serialize};

/// What a token says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claims {
    /// The service's SPIFFE id.
    pub iss: String,
    /// Whom it was made for.
    pub sub: String,
    /// Names the token.
    pub jti: String,
    /// Made, in seconds.
    pub iat: i64,
    /// Not before, in seconds.
    pub nbf: i64,
    /// Not at or after, in seconds.
    pub exp: i64,
    /// The trust domain.
    pub aud: String,
    /// `CATALYST::ADMIN`, …
    pub principal: String,
    /// Whom it speaks for.
    pub entity: Entity,
    /// The certificate that must be presented with it (RFC 8705, 3.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cnf: Option<Confirmation>,
    /// Of a bootstrap credential: what it is good for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap: Option<Bootstrap>,
}

/// Whom a token speaks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entity {
    /// Its id.
    pub id: String,
    /// Its name; the Cedar id of the principal.
    pub name: String,
    /// `service`, `user`, …
    #[serde(rename = "type")]
    pub entity_type: String,
    /// The node that a NODE is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_id: Option<String>,
    /// Nodes it is limited to; none means any.
    #[serde(default)]
    pub trusted_nodes: Vec<String>,
    /// Domains it is limited to; none means any.
    #[serde(default)]
    pub trusted_domains: Vec<String>,
}

/// Binds a token to a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// SHA-256 of the certificate's DER, base64url.
    #[serde(rename = "x5t#S256")]
    pub thumbprint: String,
}

impl Confirmation {
    /// The binding to this certificate.
    pub fn to(certificate: Fingerprint) -> Self {
        Self { thumbprint: certificate.to_string() }
    }
}

/// What a minted bootstrap credential is good for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bootstrap {
    /// The one identity that it serves; any where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spiffe_id: Option<SpiffeIdText>,
    /// How many certificates it may bring.
    pub uses: u32,
}

/// A SPIFFE id in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SpiffeIdText(pub SpiffeId);

impl TryFrom<String> for SpiffeIdText {
    type Error = crate::identity::SpiffeIdError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self)
    }
}

impl From<SpiffeIdText> for String {
    fn from(text: SpiffeIdText) -> Self {
        text.0.to_string()
    }
}

impl Claims {
    /// The principal that the token names, if it is one that a token can have.
    pub(super) fn kind(&self) -> Option<PrincipalKind> {
        let kind = PrincipalKind::parse(&self.principal).ok()?;
        match (kind, &self.bootstrap) {
            (PrincipalKind::Bootstrap, Some(_)) => Some(kind),
            (PrincipalKind::Bootstrap | PrincipalKind::Svid, _) | (_, Some(_)) => None,
            _ => Some(kind),
        }
    }
}
