//! Token keys: ES384 JWTs (RFC 7515, 7518, 7519). The newest key signs, through its key store and the guard; every
//! live one verifies, here.

use super::{AccessError, claims::Claims};
use crate::{
    identity::{SpiffeId, SpkiHash, Timestamp},
    store::{KeyRole, KeyRow, KeyRowState, Store},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use catalyst_signing::{GuardedKey, KeyHealth, Purpose, SignatureAlgorithm, ecdsa};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use secrecy::SecretString;
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

const SIGNING_DEADLINE: Duration = Duration::from_secs(10);
/// No token of ours is longer; a header may be.
pub(super) const LONGEST_TOKEN: usize = 16 * 1024;

/// The keys of this deployment, as they are now.
#[derive(Clone)]
pub(super) struct KeyRing {
    /// `None` while its key store is away: tokens can be checked all the same.
    signer: Option<Arc<Signer>>,
    verifiers: Arc<Vec<Verifier>>,
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kids: Vec<&str> = self.verifiers.iter().map(|verifier| verifier.kid.as_str()).collect();
        f.debug_struct("KeyRing").field("kids", &kids).finish_non_exhaustive()
    }
}

/// The open key.
pub(super) struct Signer {
    key: GuardedKey,
    kid: String,
}

/// The public half of a key.
#[derive(Clone)]
struct Verifier {
    kid: String,
    key: DecodingKey,
    jwk: Value,
    active: bool,
    /// Of a retired one: until when its tokens are taken.
    until: Option<Timestamp>,
}

impl Verifier {
    fn is_live(&self, now: Timestamp) -> bool {
        self.active || self.until.is_some_and(|until| now < until)
    }
}

impl KeyRing {
    /// The keys that the store knows, with the open one that signs.
    pub(super) async fn load(store: &dyn Store, signer: Option<Arc<Signer>>) -> Result<Self, AccessError> {
        let rows = store.hierarchy().await?.keys;
        let tokens = rows.iter().filter(|row| row.intention.role == KeyRole::Token);
        let verifiers = tokens.filter_map(verifier).collect::<Result<_, _>>()?;
        Ok(Self { signer, verifiers: Arc::new(verifiers) })
    }

    /// The keys once this one has taken over, as the store then has them: those before verify until `grace_until`, or
    /// their own end if that is sooner.
    pub(super) fn rotated(&self, signer: Arc<Signer>, grace_until: Timestamp) -> Result<Self, AccessError> {
        let pin = signer.key.pin();
        let (kid, key, jwk) =
            public_key(&pin.spki).ok_or_else(|| AccessError::TokenKey(pin.uri.to_string()))?;
        let earlier = self.verifiers.iter().filter(|verifier| verifier.kid != kid).map(|verifier| Verifier {
            active: false,
            until: Some(verifier.until.map_or(grace_until, |until| until.min(grace_until))),
            ..verifier.clone()
        });
        let mut verifiers: Vec<_> = earlier.collect();
        verifiers.push(Verifier { kid, key, jwk, active: true, until: None });
        Ok(Self { signer: Some(signer), verifiers: Arc::new(verifiers) })
    }

    pub(super) fn signer(&self) -> Result<&Arc<Signer>, AccessError> {
        self.signer.as_ref().ok_or(AccessError::KeyNotOpen)
    }

    /// `kid` of the key that signs.
    pub(super) fn active_kid(&self) -> Option<&str> {
        self.verifiers.iter().find(|verifier| verifier.active).map(|verifier| verifier.kid.as_str())
    }

    /// The live keys (RFC 7517), the one that signs first.
    pub(super) fn jwks(&self, now: Timestamp) -> Result<Value, AccessError> {
        let mut live: Vec<&Verifier> = self.verifiers.iter().filter(|one| one.is_live(now)).collect();
        if live.is_empty() {
            return Err(AccessError::KeyNotOpen);
        }
        live.sort_by_key(|verifier| !verifier.active);
        let keys: Vec<&Value> = live.into_iter().map(|verifier| &verifier.jwk).collect();
        Ok(json!({ "keys": keys }))
    }

    /// Checks signature, algorithm, key, issuer, audience and times; no leeway, it is our own clock. Answers also
    /// when the key's tokens die.
    pub(super) fn verify(
        &self,
        token: &str,
        audience: &str,
        trust_domain: &str,
        now: Timestamp,
    ) -> Result<(Claims, Option<Timestamp>), AccessError> {
        if self.verifiers.is_empty() {
            return Err(AccessError::KeyNotOpen);
        }
        if token.len() > LONGEST_TOKEN {
            return Err(AccessError::Malformed("too long"));
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| AccessError::Malformed("no JWT"))?;
        if header.typ.as_deref() != Some("JWT") || header.alg != Algorithm::ES384 {
            return Err(AccessError::Malformed("of another type or algorithm"));
        }
        let kid = header.kid.as_deref();
        let known = self.verifiers.iter().find(|verifier| kid == Some(verifier.kid.as_str()));
        let verifier = known.ok_or(AccessError::Invalid("signed with a key that is not ours"))?;
        if !verifier.is_live(now) {
            return Err(AccessError::Invalid("signed with a key that was rotated out"));
        }
        let mut validation = Validation::new(Algorithm::ES384);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["exp", "aud"]);
        // Times are read below, from the clock that everything else here uses.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let claims = jsonwebtoken::decode::<Claims>(token, &verifier.key, &validation)
            .map_err(|_| AccessError::Invalid("signature or audience do not fit"))?
            .claims;
        // The key says who made it; the instance id may have changed since.
        let own = claims
            .iss
            .parse::<SpiffeId>()
            .is_ok_and(|id| id.trust_domain() == trust_domain && id.path().starts_with("auth/"));
        if !own {
            return Err(AccessError::Invalid("made by another service"));
        }
        if now.seconds() >= claims.exp {
            return Err(AccessError::Expired);
        }
        if now.seconds() < claims.nbf {
            return Err(AccessError::Invalid("not valid yet"));
        }
        Ok((claims, verifier.until.filter(|_| !verifier.active)))
    }
}

impl Signer {
    pub(super) fn new(key: GuardedKey) -> Result<Self, AccessError> {
        let pin = key.pin();
        if pin.algorithm != SignatureAlgorithm::EcP384 {
            return Err(AccessError::TokenKey(pin.uri.to_string()));
        }
        let kid = SpkiHash::of_spki(&pin.spki).to_string();
        Ok(Self { key, kid })
    }

    pub(super) fn kid(&self) -> &str {
        &self.kid
    }

    /// Opens the latch if it fell, makes a probe signature, and says how the key fares.
    pub(super) async fn retry(&self) -> KeyHealth {
        self.key.retry();
        // How it went is the key's health from then on.
        let _ = self.key.probe(Instant::now() + SIGNING_DEADLINE).await;
        self.key.health()
    }

    /// A compact JWS over the claims.
    pub(super) async fn sign(&self, claims: &Claims) -> Result<SecretString, AccessError> {
        let header = json!({ "alg": "ES384", "kid": self.kid, "typ": "JWT" });
        let part = |json: String| URL_SAFE_NO_PAD.encode(json);
        let claims = serde_json::to_string(claims).map_err(internal)?;
        let input = format!("{}.{}", part(header.to_string()), part(claims));
        let signature = self.sign_octets(Purpose::Token, input.clone().into_bytes()).await?;
        Ok(SecretString::from(format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))))
    }

    /// r and s side by side (RFC 7518, 3.4), where X.509 wants a SEQUENCE.
    pub(super) async fn sign_octets(
        &self,
        purpose: Purpose,
        octets: Vec<u8>,
    ) -> Result<Vec<u8>, AccessError> {
        let verified = self.key.sign(purpose, octets, Instant::now() + SIGNING_DEADLINE).await?;
        ecdsa::fixed_from_der(ecdsa::Curve::P384, &verified.signature).map_err(internal)
    }
}

/// The public half of a key of the store; `None` where it was not made, or is retired without grace.
fn verifier(row: &KeyRow) -> Option<Result<Verifier, AccessError>> {
    let made = row.made.as_ref()?;
    let active = row.state == KeyRowState::Active;
    if !active && row.verifies_until.is_none() {
        return None;
    }
    let built = public_key(&made.spki).map(|(kid, key, jwk)| Verifier {
        kid,
        key,
        jwk,
        active,
        until: row.verifies_until,
    });
    Some(built.ok_or_else(|| AccessError::TokenKey(made.uri.clone())))
}

fn public_key(spki: &[u8]) -> Option<(String, DecodingKey, Value)> {
    // An uncompressed P-384 point is the last 96 octets of its SPKI (RFC 5480, 2.2).
    let (x, y) = spki.get(spki.len().checked_sub(96)?..)?.split_at(48);
    let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
    let kid = SpkiHash::of_spki(spki).to_string();
    let key = DecodingKey::from_ec_components(&x, &y).ok()?;
    let jwk =
        json!({ "kty": "EC", "crv": "P-384", "x": x, "y": y, "use": "sig", "alg": "ES384", "kid": kid });
    Some((kid, key, jwk))
}

pub(super) fn internal(error: impl std::fmt::Display) -> AccessError {
    AccessError::Internal(error.to_string())
}
