//! Who may do what: today the system token, signed by the token key, or preset by the operator.

mod error;
mod policy;
mod principal;
mod recover;
mod system_token;
mod tokens;
mod vocabulary;

pub use error::AccessError;
pub use policy::{Decision, Policies};
pub use principal::{Credential, Facts, PeerCertificate, Presented};
pub use recover::RecoveredToken;
pub use system_token::SYSTEM_TOKEN_FILE;
pub use tokens::{Claims, Entity};
pub use vocabulary::{Action, PrincipalKind, Resource, ResourceKind, UnknownWord};

use crate::{
    identity::{Actor, Clock, SpiffeId, Timestamp},
    store::{Stamp, Store},
};
use aws_lc_rs::{constant_time, digest};
use catalyst_signing::GuardedKey;
use secrecy::{ExposeSecret, SecretString};
use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};
use tokens::TokenKey;

/// So many verified tokens are remembered.
const REMEMBERED: usize = 10_000;

/// Who is calling, after the credential was checked.
#[derive(Clone, Debug)]
pub struct Caller {
    /// For the audit log.
    pub actor: Actor,
    /// May do everything.
    pub is_admin: bool,
}

/// The credential of an `Authorization: Bearer` header's value (RFC 6750, 2.1).
pub fn bearer(header: &[u8]) -> Option<&str> {
    let (scheme, credential) = std::str::from_utf8(header).ok()?.split_once(' ')?;
    let credential = credential.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !credential.is_empty()).then_some(credential)
}

/// Checks credentials. The preset secret needs no key; tokens can be checked once the token key is open.
#[derive(Debug)]
pub struct Access {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    preset: Option<[u8; 32]>,
    key: OnceLock<TokenKey>,
    /// By SHA-256 of the whole compact token: who it is and until when.
    verified: Mutex<HashMap<[u8; 32], (Caller, Timestamp)>>,
}

impl Access {
    /// Takes no credential yet.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, preset: None, key: OnceLock::new(), verified: Mutex::default() }
    }

    /// Takes the open token key. `issuer` is the service's own SPIFFE id.
    ///
    /// # Errors
    /// A token key that is not P-384.
    pub fn open(&self, key: GuardedKey, issuer: SpiffeId) -> Result<(), AccessError> {
        let key = TokenKey::new(key, issuer)?;
        // The first one stays: there is one token key to a process.
        let _ = self.key.set(key);
        Ok(())
    }

    /// Takes the operator's preset secret as the system token; the store keeps its hash.
    ///
    /// # Errors
    /// The store's; a preset secret that was revoked.
    pub async fn preset_system_token(&mut self, secret: &SecretString) -> Result<(), AccessError> {
        let hash = sha256(secret.expose_secret().as_bytes());
        let stamp = Stamp { at: self.clock.now(), by: Actor::Service };
        let known = self.store.preset_secret("system", &hash, &stamp).await?;
        if known.revoked_at.is_some() {
            return Err(AccessError::PresetRevoked);
        }
        self.preset = Some(hash);
        Ok(())
    }

    /// The system token in `<data directory>/system-token`, made anew where there is none that is good for long.
    /// Answers the token and whether it was made just now.
    ///
    /// # Errors
    /// The key store's, the store's or the file's.
    pub async fn system_token(&self, data_dir: &Path) -> Result<(SecretString, bool), AccessError> {
        if let Some(token) = system_token::read(data_dir)? {
            match self.verify(token.expose_secret()).await {
                Ok((_, expires)) => {
                    system_token::warn_of_expiry(expires, self.clock.now());
                    return Ok((token, false));
                }
                Err(error @ AccessError::Invalid(_)) => {
                    tracing::warn!(target: "catalyst.auth", error = %error, "System token replaced")
                }
                Err(error) => return Err(error),
            }
        }
        let now = self.clock.now();
        let (token, record) = self.key()?.new_system_token(now).await?;
        // A token that could not be written down would be valid for a year with nobody holding it.
        let staged = system_token::stage(data_dir, &token)?;
        self.store.record_token(&record, &Stamp { at: now, by: Actor::Service }).await?;
        staged.publish()?;
        Ok((token, true))
    }

    /// Checks a bearer credential.
    ///
    /// # Errors
    /// [`AccessError::Invalid`] with the reason; the store's.
    pub async fn authenticate(&self, bearer: &str) -> Result<Caller, AccessError> {
        let hash = sha256(bearer.as_bytes());
        if self.preset.is_some_and(|preset| constant_time::verify_slices_are_equal(&preset, &hash).is_ok()) {
            return Ok(Caller { actor: Actor::System, is_admin: true });
        }
        if let Some(caller) = self.remembered(&hash) {
            return Ok(caller);
        }
        let (caller, expires) = self.verify(bearer).await?;
        self.remember(hash, caller.clone(), expires);
        Ok(caller)
    }

    /// The public half of the token key as a JWKS.
    ///
    /// # Errors
    /// [`AccessError::KeyNotOpen`]
    pub fn jwks(&self) -> Result<String, AccessError> {
        Ok(self.key()?.jwks())
    }

    fn key(&self) -> Result<&TokenKey, AccessError> {
        self.key.get().ok_or(AccessError::KeyNotOpen)
    }

    async fn verify(&self, bearer: &str) -> Result<(Caller, Timestamp), AccessError> {
        let claims = self.key()?.verify(bearer, self.clock.now())?;
        // A token that we signed and do not know was made on a store that is gone.
        let record = self
            .store
            .token(&claims.jti)
            .await?
            .ok_or(AccessError::Invalid("the token is not recorded here"))?;
        if record.revoked_at.is_some() {
            return Err(AccessError::Invalid("the token is revoked"));
        }
        let caller = Caller {
            actor: Actor::Token { subject: claims.sub, jti: claims.jti },
            is_admin: claims.principal == tokens::ADMIN
                && claims.entity.trusted_nodes.is_empty()
                && claims.entity.trusted_domains.is_empty(),
        };
        Ok((caller, Timestamp::from_seconds(claims.exp)))
    }

    fn remembered(&self, hash: &[u8; 32]) -> Option<Caller> {
        let verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        verified
            .get(hash)
            .filter(|(_, expires)| self.clock.now() < *expires)
            .map(|(caller, _)| caller.clone())
    }

    fn remember(&self, hash: [u8; 32], caller: Caller, expires: Timestamp) {
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        if verified.len() >= REMEMBERED {
            verified.clear();
        }
        verified.insert(hash, (caller, expires));
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    hash
}
