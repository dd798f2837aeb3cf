//! Looking after tokens that were made: listing, revoking, verifying.

use super::{Access, AccessError, Claims};
use crate::{
    identity::{Actor, Fingerprint, Timestamp},
    store::{TokenQuery, TokenRow, TokenSelector},
};

/// Which credentials to revoke.
#[derive(Clone, Debug)]
pub enum Selector {
    /// The token of this name, or a preset secret by the name that the log gives it.
    Jti(String),
    /// Tokens with this SAN.
    San(String),
    /// Tokens bound to this certificate.
    Certificate(Fingerprint),
}

impl Access {
    /// Revokes credentials; answers how many were good until now. It holds from the next call on.
    ///
    /// # Errors
    /// The store's.
    pub async fn revoke(&self, which: Selector, by: Actor) -> Result<u64, AccessError> {
        let stamp = self.stamp(by);
        let which = match which {
            Selector::Jti(jti) => match preset(&jti) {
                Some((kind, hash)) => {
                    return Ok(self.store.revoke_preset_secret(kind, &hash, &stamp).await?.into());
                }
                None => TokenSelector::Jti(jti),
            },
            Selector::San(san) => TokenSelector::San(san),
            Selector::Certificate(fingerprint) => TokenSelector::Certificate(fingerprint),
        };
        let revoked = self.store.revoke_tokens(&which, &stamp).await?;
        for record in &revoked {
            tracing::info!(target: "catalyst.auth", jti = record.jti, subject = record.subject, by = %stamp.by,
                "Token revoked");
        }
        Ok(revoked.len() as u64)
    }

    /// Tokens that were made, newest first.
    ///
    /// # Errors
    /// The store's.
    pub async fn tokens(&self, query: &TokenQuery) -> Result<Vec<TokenRow>, AccessError> {
        Ok(self.store.tokens(query).await?)
    }

    /// The names of tokens that were revoked before their end.
    ///
    /// # Errors
    /// The store's.
    pub async fn revoked(&self) -> Result<Vec<String>, AccessError> {
        Ok(self.store.revoked_tokens(self.clock.now()).await?)
    }

    /// What a token says, if it is good for this audience (the trust domain when nothing is said). A certificate that
    /// it is bound to is not asked for: the caller compares `cnf` with the one that it was shown.
    ///
    /// # Errors
    /// What speaks against it; the store's.
    pub async fn verify(&self, token: &str, audience: Option<&str>) -> Result<Claims, AccessError> {
        let trust_domain = self.config.own.spiffe_id().trust_domain();
        let audience = audience.unwrap_or(trust_domain);
        let (claims, _) = self.ring()?.verify(token, audience, trust_domain, self.clock.now())?;
        self.still_good(&claims).await?;
        claims.kind().ok_or(AccessError::Invalid("of an unknown principal"))?;
        Ok(claims)
    }

    /// Whether a listed token is past its end.
    pub fn has_ended(&self, expires_at: Timestamp) -> bool {
        self.clock.now() >= expires_at
    }
}

/// The kind and hash of a preset secret's name, as `preset_jti` writes it.
fn preset(jti: &str) -> Option<(&'static str, [u8; 32])> {
    let (kind, hash) = jti.strip_prefix("preset:")?.split_once(':')?;
    let kind = ["system", "bootstrap"].into_iter().find(|known| *known == kind)?;
    let hash: Fingerprint = hash.parse().ok()?;
    Some((kind, *hash.as_bytes()))
}
