//! The keys that sign tokens: no CA keys, but made, pinned and guarded like them.

use super::{Authority, Result, error::AuthorityError, keys::Wanted};
use crate::{
    identity::Actor,
    store::{KeyRole, KeyRow, KeyRowState, Stamp},
};
use catalyst_signing::{GuardedKey, SignatureAlgorithm};
use std::time::Duration;
use tokio::time::Instant;

/// What the key goes by in logs and metrics.
pub(super) const TOKEN: &str = "token";
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);

impl Authority {
    /// Opens the active token key; makes the first one where there is none. Tokens are ES384, so it is P-384.
    ///
    /// # Errors
    /// Whatever key store and certificate store answer.
    pub async fn token_key(&self) -> Result<GuardedKey> {
        let _one_at_a_time = self.change.lock().await;
        let keys = self.token_keys().await?;
        let row = match keys.iter().find(|row| row.state == KeyRowState::Active) {
            Some(row) => row.clone(),
            None => {
                let stamp = Stamp { at: self.clock.now(), by: Actor::Service };
                let row = self.waiting_token_key(&keys, &stamp).await?;
                self.store.activate_token_key(row.intention.generation, stamp.at, None, &stamp).await?;
                row
            }
        };
        self.open_token_key(&row).await
    }

    /// Makes the token key of the next generation, or takes the one that an earlier try left behind, and opens it. It
    /// signs nothing before [`crate::store::Store::activate_token_key`].
    ///
    /// # Errors
    /// Whatever key store and certificate store answer.
    pub async fn next_token_key(&self, by: Actor) -> Result<(GuardedKey, u32)> {
        let _one_at_a_time = self.change.lock().await;
        let keys = self.token_keys().await?;
        let row = self.waiting_token_key(&keys, &Stamp { at: self.clock.now(), by }).await?;
        Ok((self.open_token_key(&row).await?, row.intention.generation))
    }

    async fn token_keys(&self) -> Result<Vec<KeyRow>> {
        let mut keys = self.store.hierarchy().await?.keys;
        keys.retain(|row| row.intention.role == KeyRole::Token);
        Ok(keys)
    }

    /// The key that was begun and does not sign yet, else a new generation; made in either case.
    async fn waiting_token_key(&self, keys: &[KeyRow], stamp: &Stamp) -> Result<KeyRow> {
        let waits = |row: &&KeyRow| matches!(row.state, KeyRowState::Intended | KeyRowState::Made);
        let newest = keys.iter().map(|row| row.intention.generation).max().unwrap_or(0);
        let generation = keys.iter().find(waits).map_or(newest + 1, |row| row.intention.generation);
        let wanted = Wanted {
            role: KeyRole::Token,
            generation,
            algorithm: SignatureAlgorithm::EcP384,
            backend: self.config.key_backends.tokens.clone(),
            named: self.config.key_references.tokens.clone(),
        };
        self.keys.ensure(&wanted, stamp).await
    }

    async fn open_token_key(&self, row: &KeyRow) -> Result<GuardedKey> {
        self.keys.open(row, TOKEN, Instant::now() + OPEN_TIMEOUT).await.map_err(AuthorityError::from)
    }
}
