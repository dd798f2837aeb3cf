//! The key that signs tokens: no CA key, but made, pinned and guarded like one.

use super::{Authority, Result, error::AuthorityError, keys::Wanted};
use crate::{
    identity::Actor,
    store::{KeyRole, KeyRow, KeyRowState, Stamp},
};
use catalyst_signing::{GuardedKey, SignatureAlgorithm};
use std::time::Duration;
use tokio::time::Instant;

const OPEN_TIMEOUT: Duration = Duration::from_secs(30);

impl Authority {
    /// Opens the active token key; makes the first one where there is none. Tokens are ES384, so it is P-384.
    ///
    /// # Errors
    /// Whatever key store and certificate store answer.
    pub async fn token_key(&self) -> Result<GuardedKey> {
        let _one_at_a_time = self.change.lock().await;
        let hierarchy = self.store.hierarchy().await?;
        let is_token = |row: &&KeyRow| row.intention.role == KeyRole::Token;
        let active = hierarchy.keys.iter().filter(is_token).find(|row| row.state == KeyRowState::Active);
        let row = match active {
            Some(row) => row.clone(),
            None => {
                let stamp = Stamp { at: self.clock.now(), by: Actor::Service };
                let wanted = Wanted {
                    role: KeyRole::Token,
                    generation: hierarchy
                        .keys
                        .iter()
                        .filter(is_token)
                        .map(|row| row.intention.generation)
                        .max()
                        .unwrap_or(1),
                    algorithm: SignatureAlgorithm::EcP384,
                    backend: self.config.key_backends.tokens.clone(),
                    reference: None,
                };
                let row = self.keys.ensure(&wanted, &stamp).await?;
                self.store.activate_token_key(wanted.generation, stamp.at, None, &stamp).await?;
                row
            }
        };
        self.keys.open(&row, "token", Instant::now() + OPEN_TIMEOUT).await.map_err(AuthorityError::from)
    }
}
