//! The system token, and a new signing key: the key takes over and a fresh system token is recorded in one step.

use super::{Access, AccessError, system_token, token_key::Signer};
use crate::identity::{Actor, Timestamp};
use catalyst_signing::GuardedKey;
use secrecy::{ExposeSecret, SecretString};
use std::{path::Path, sync::Arc};

/// What a rotation did.
#[derive(Clone, Debug)]
pub struct Rotated {
    /// `kid` of the key before.
    pub previous: String,
    /// `kid` of the key that signs now.
    pub new: String,
    /// When tokens of earlier keys die; `None` where they have died.
    pub grace_until: Option<Timestamp>,
    /// How many unexpired tokens die before their time.
    pub cut_short: u64,
}

impl Access {
    /// The system token in `<data directory>/system-token`, made anew where there is none that is good for long.
    /// Answers the token and whether it was made just now.
    ///
    /// # Errors
    /// The key store's, the store's or the file's.
    pub async fn system_token(&self, data_dir: &Path) -> Result<(SecretString, bool), AccessError> {
        // A rotation writes the same files.
        let _one_at_a_time = self.rotating.lock().await;
        if let Some(token) = self.take_staged(data_dir).await? {
            return Ok((token, true));
        }
        if let Some(token) = system_token::read(data_dir)? {
            match self.good_until(&token).await {
                Ok(expires) => {
                    self.system_token_ends_at(expires);
                    return Ok((token, false));
                }
                Err(error) if is_bad_token(&error) => {
                    tracing::warn!(target: "catalyst.auth", error = %error, "System token replaced");
                }
                Err(error) => return Err(error),
            }
        }
        Ok((self.new_system_token_in(data_dir).await?, true))
    }

    /// Warns in time that the system token in the file ends, for a service that runs for a year.
    ///
    /// # Errors
    /// The file's, the store's; a token that is no longer good, which only a restart or `token recover` replaces.
    pub async fn look_at_system_token(&self, data_dir: &Path) -> Result<(), AccessError> {
        let Some(token) = system_token::read(data_dir)? else { return Ok(()) };
        let expires = self.good_until(&token).await?;
        self.system_token_ends_at(expires);
        Ok(())
    }

    /// Puts a token in its place that is recorded and was not published: the service ended between the two. Nobody
    /// else has it, and the one before it dies with its key.
    async fn take_staged(&self, data_dir: &Path) -> Result<Option<SecretString>, AccessError> {
        let Some((staged, token)) = system_token::read_staged(data_dir)? else { return Ok(None) };
        match self.good_until(&token).await {
            Ok(expires) => {
                staged.publish()?;
                self.system_token_ends_at(expires);
                tracing::warn!(target: "catalyst.auth", "System token put in place that an earlier run had made");
                Ok(Some(token))
            }
            // It was never recorded; the next one is written over it.
            Err(error) if is_bad_token(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// When a system token ends. One of a key that was rotated out is not good: it dies with that key's grace.
    async fn good_until(&self, token: &SecretString) -> Result<Timestamp, AccessError> {
        let trust_domain = self.config.own.spiffe_id().trust_domain();
        let (claims, key_ends) =
            self.ring()?.verify(token.expose_secret(), trust_domain, trust_domain, self.clock.now())?;
        self.still_good(&claims).await?;
        match key_ends {
            Some(_) => Err(AccessError::Invalid("signed with a key that was rotated out")),
            None => Ok(Timestamp::from_seconds(claims.exp)),
        }
    }

    /// Makes a new system token whatever there is, and writes it down.
    pub(super) async fn new_system_token_in(&self, data_dir: &Path) -> Result<SecretString, AccessError> {
        let ring = self.ring()?;
        let (token, record) = self.new_system_token(ring.signer()?).await?;
        // A token that could not be written down would be valid for a year with nobody holding it.
        let staged = system_token::stage(data_dir, &token)?;
        self.store.record_token(&record, &self.stamp(Actor::Service)).await?;
        staged.publish()?;
        self.system_token_ends_at(record.expires_at);
        Ok(token)
    }

    /// Lets a new key sign: the one that `next` makes, which is asked for once no other rotation is under way. Tokens
    /// of earlier keys are taken for `grace_seconds` more. Where the system token lies in a file (`data_dir`), a fresh
    /// one is recorded in the same step and takes its place.
    ///
    /// # Errors
    /// The key store's, the store's or the file's; then the earlier key still signs.
    pub async fn rotate<E: From<AccessError>>(
        &self,
        next: impl Future<Output = Result<(GuardedKey, u32), E>>,
        grace_seconds: i64,
        data_dir: Option<&Path>,
        by: Actor,
    ) -> Result<Rotated, E> {
        let _one_at_a_time = self.rotating.lock().await;
        let (key, generation) = next.await?;
        Ok(self.take_over(key, generation, grace_seconds, data_dir, by).await?)
    }

    async fn take_over(
        &self,
        key: GuardedKey,
        generation: u32,
        grace_seconds: i64,
        data_dir: Option<&Path>,
        by: Actor,
    ) -> Result<Rotated, AccessError> {
        let before = self.ring()?;
        let signer = Arc::new(Signer::new(key)?);
        let stamp = self.stamp(by);
        let grace_until = stamp.at.plus_seconds(grace_seconds);
        let fresh = match data_dir {
            Some(data_dir) => {
                let (token, record) = self.new_system_token(&signer).await?;
                Some((system_token::stage(data_dir, &token)?, record))
            }
            None => None,
        };
        let record = fresh.as_ref().map(|(_, record)| record);
        // Made before the step: nothing between it and the change in here may fail, or the earlier key would go on.
        let next = before.rotated(signer.clone(), grace_until)?;
        let cut_short = self.store.activate_token_key(generation, grace_until, record, &stamp).await?;
        self.set_ring(next);
        if let Some((staged, record)) = fresh {
            staged.publish()?;
            self.system_token_ends_at(record.expires_at);
        }
        let rotated = Rotated {
            previous: before.active_kid().unwrap_or_default().to_owned(),
            new: signer.kid().to_owned(),
            grace_until: (grace_seconds > 0).then_some(grace_until),
            cut_short,
        };
        tracing::info!(target: "catalyst.auth", previous_kid = rotated.previous, kid = rotated.new,
            grace_until = %grace_until, tokens_cut_short = cut_short, by = %stamp.by, "Token key rotated");
        Ok(rotated)
    }
}

/// Whether it is the token that is at fault, and not what it was checked with.
fn is_bad_token(error: &AccessError) -> bool {
    matches!(
        error,
        AccessError::Invalid(_) | AccessError::Malformed(_) | AccessError::Expired | AccessError::Revoked
    )
}
