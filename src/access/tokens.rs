//! Tokens: ES384 JWTs (RFC 7515, 7518, 7519) under the token key, signed through the guard.

use super::AccessError;
use crate::{
    identity::{SpiffeId, SpkiHash, Timestamp},
    store::TokenRecord,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use catalyst_signing::{GuardedKey, Purpose, SignatureAlgorithm, ecdsa};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// The principal that may do everything.
pub(super) const ADMIN: &str = "CATALYST::ADMIN";
const SYSTEM_TOKEN_SECONDS: i64 = 365 * 86_400;
const SIGNING_DEADLINE: Duration = Duration::from_secs(10);

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
}

/// Whom a token speaks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entity {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `service`, `user`, …
    #[serde(rename = "type")]
    pub entity_type: String,
    /// Nodes it is limited to; none means any.
    #[serde(default)]
    pub trusted_nodes: Vec<String>,
    /// Domains it is limited to; none means any.
    #[serde(default)]
    pub trusted_domains: Vec<String>,
}

/// The token key: signs through its key store, verifies here.
pub(super) struct TokenKey {
    key: GuardedKey,
    kid: String,
    verifier: DecodingKey,
    jwk: Value,
    issuer: SpiffeId,
}

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl TokenKey {
    pub(super) fn new(key: GuardedKey, issuer: SpiffeId) -> Result<Self, AccessError> {
        let pin = key.pin();
        let unusable = || AccessError::TokenKey(pin.uri.to_string());
        if pin.algorithm != SignatureAlgorithm::EcP384 {
            return Err(unusable());
        }
        // An uncompressed P-384 point is the last 96 octets of its SPKI (RFC 5480, 2.2).
        let point = pin.spki.len().checked_sub(96).and_then(|at| pin.spki.get(at..)).ok_or_else(unusable)?;
        let (x, y) = point.split_at(48);
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        let kid = SpkiHash::of_spki(&pin.spki).to_string();
        let verifier = DecodingKey::from_ec_components(&x, &y).map_err(|_| unusable())?;
        let jwk =
            json!({ "kty": "EC", "crv": "P-384", "x": x, "y": y, "use": "sig", "alg": "ES384", "kid": kid });
        Ok(Self { key, kid, verifier, jwk, issuer })
    }

    pub(super) fn jwks(&self) -> String {
        json!({ "keys": [self.jwk] }).to_string()
    }

    /// Makes a system token, a global ADMIN for a year, and the record that makes it valid.
    pub(super) async fn new_system_token(
        &self,
        now: Timestamp,
    ) -> Result<(SecretString, TokenRecord), AccessError> {
        let claims = Claims {
            iss: self.issuer.to_string(),
            sub: "system".into(),
            jti: random_id()?,
            iat: now.seconds(),
            nbf: now.seconds(),
            exp: now.seconds() + SYSTEM_TOKEN_SECONDS,
            aud: self.issuer.trust_domain().to_owned(),
            principal: ADMIN.into(),
            entity: Entity {
                id: "system".into(),
                name: "system".into(),
                entity_type: "service".into(),
                trusted_nodes: Vec::new(),
                trusted_domains: Vec::new(),
            },
        };
        let token = self.sign(&claims).await?;
        let record = TokenRecord {
            jti: claims.jti.clone(),
            subject: claims.sub.clone(),
            principal: claims.principal.clone(),
            entity: serde_json::to_string(&claims.entity).map_err(internal)?,
            sans: Vec::new(),
            certificate_fingerprint: None,
            bootstrap: None,
            issued_at: Timestamp::from_seconds(claims.iat),
            expires_at: Timestamp::from_seconds(claims.exp),
            revoked_at: None,
        };
        Ok((token, record))
    }

    async fn sign(&self, claims: &Claims) -> Result<SecretString, AccessError> {
        let header = json!({ "alg": "ES384", "kid": self.kid, "typ": "JWT" });
        let part = |json: String| URL_SAFE_NO_PAD.encode(json);
        let input = format!(
            "{}.{}",
            part(header.to_string()),
            part(serde_json::to_string(claims).map_err(internal)?)
        );
        let deadline = Instant::now() + SIGNING_DEADLINE;
        let verified = self.key.sign(Purpose::Token, input.clone().into_bytes(), deadline).await?;
        // JWS wants r and s side by side (RFC 7518, 3.4), X.509 a SEQUENCE.
        let signature = ecdsa::fixed_from_der(ecdsa::Curve::P384, &verified.signature).map_err(internal)?;
        Ok(SecretString::from(format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))))
    }

    /// Checks signature, algorithm, key, issuer, audience and times; no leeway, it is our own clock.
    pub(super) fn verify(&self, token: &str, now: Timestamp) -> Result<Claims, AccessError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| AccessError::Invalid("malformed"))?;
        if header.alg != Algorithm::ES384 || header.kid.as_deref() != Some(self.kid.as_str()) {
            return Err(AccessError::Invalid("signed with another key or algorithm"));
        }
        if header.typ.as_deref() != Some("JWT") {
            return Err(AccessError::Invalid("of another type"));
        }
        let mut validation = Validation::new(Algorithm::ES384);
        validation.set_audience(&[self.issuer.trust_domain()]);
        // Times are read below, from the clock that everything else here uses.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let claims = jsonwebtoken::decode::<Claims>(token, &self.verifier, &validation)
            .map_err(|_| AccessError::Invalid("signature or audience do not fit"))?
            .claims;
        // The key says who made it; the instance id may have changed since.
        let own = claims.iss.parse::<SpiffeId>().is_ok_and(|id| {
            id.trust_domain() == self.issuer.trust_domain() && id.path().starts_with("auth/")
        });
        if !own {
            return Err(AccessError::Invalid("made by another service"));
        }
        if now.seconds() >= claims.exp {
            return Err(AccessError::Invalid("expired"));
        }
        if now.seconds() < claims.nbf {
            return Err(AccessError::Invalid("not valid yet"));
        }
        Ok(claims)
    }
}

/// 128 random bits, base64url.
fn random_id() -> Result<String, AccessError> {
    let mut id = [0; 16];
    aws_lc_rs::rand::fill(&mut id).map_err(|_| AccessError::Internal("no random numbers".into()))?;
    Ok(URL_SAFE_NO_PAD.encode(id))
}

fn internal(error: impl std::fmt::Display) -> AccessError {
    AccessError::Internal(error.to_string())
}
