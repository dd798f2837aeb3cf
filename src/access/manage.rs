//! Looking after tokens that were made: listing, revoking, verifying.

use super::{Access, AccessError, Action, Caller, Claims, Decision, Entity, PrincipalKind};
use crate::{
    identity::{Fingerprint, Timestamp, Workload},
    store::{TokenQuery, TokenRecord, TokenRow, TokenSelector},
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
    /// Revokes credentials; answers how many were good until now. It holds from the next call on. Whoever has a scope
    /// revokes what it could have made, and nothing of others.
    ///
    /// # Errors
    /// [`AccessError::Beyond`] the caller's scope, and then nothing is revoked; the store's.
    pub async fn revoke(&self, caller: &Caller, which: Selector) -> Result<u64, AccessError> {
        let is_global = caller.facts.is_global_admin();
        let stamp = self.stamp(caller.actor.clone());
        let which = match which {
            Selector::Jti(jti) => match preset(&jti) {
                Some(_) if !is_global => return Err(beyond("preset secrets")),
                Some((kind, hash)) => {
                    return Ok(self.store.revoke_preset_secret(kind, &hash, &stamp).await?.into());
                }
                None => TokenSelector::Jti(jti),
            },
            Selector::San(san) => TokenSelector::San(san),
            Selector::Certificate(fingerprint) => TokenSelector::Certificate(fingerprint),
        };
        if !is_global {
            self.check_scope(caller, &which).await?;
        }
        let revoked = self.store.revoke_tokens(&which, &stamp).await?;
        for record in &revoked {
            tracing::info!(target: "catalyst.auth", jti = record.jti, subject = record.subject, by = %stamp.by,
                "Token revoked");
        }
        Ok(revoked.len() as u64)
    }

    async fn check_scope(&self, caller: &Caller, which: &TokenSelector) -> Result<(), AccessError> {
        let all = TokenQuery { limit: u32::MAX, ..TokenQuery::default() };
        let records: Vec<TokenRecord> = match which {
            TokenSelector::Jti(jti) => self.store.token(jti).await?.into_iter().collect(),
            TokenSelector::San(san) => self.records(TokenQuery { san: Some(san.clone()), ..all }).await?,
            TokenSelector::Certificate(fingerprint) => {
                self.records(TokenQuery { certificate_fingerprint: Some(*fingerprint), ..all }).await?
            }
        };
        match records.iter().find(|record| !self.is_in_scope(caller, record)) {
            Some(record) => Err(beyond(&format!("the token {}", record.jti))),
            None => Ok(()),
        }
    }

    async fn records(&self, query: TokenQuery) -> Result<Vec<TokenRecord>, AccessError> {
        Ok(self.store.tokens(&query).await?.into_iter().map(|row| row.record).collect())
    }

    /// Whether the caller could have made it.
    fn is_in_scope(&self, caller: &Caller, record: &TokenRecord) -> bool {
        if let Some(grant) = &record.bootstrap {
            let workload = grant.spiffe_id.clone().and_then(|id| {
                let own = self.config.own.spiffe_id();
                let domain = own.trust_domain().parse().ok()?;
                Workload::of(&domain, id).ok()
            });
            return workload.is_some_and(|workload| {
                let resource = self.certificates_of(&workload);
                self.policies.decide(&caller.facts, Action::CertSign, &resource) == Decision::Allow
            });
        }
        let within = |sets: &[String], own: &[String]| {
            own.is_empty() || !sets.is_empty() && sets.iter().all(|item| own.contains(item))
        };
        let kind = PrincipalKind::parse(&record.principal);
        let entity = serde_json::from_str::<Entity>(&record.entity);
        entity.is_ok_and(|entity| {
            (caller.facts.kind == PrincipalKind::Admin || kind == Ok(caller.facts.kind))
                && within(&entity.trusted_nodes, &caller.facts.trusted_nodes)
                && within(&entity.trusted_domains, &caller.facts.trusted_domains)
        })
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

fn beyond(what: &str) -> AccessError {
    AccessError::Beyond(format!("{what} lies beyond the caller's scope"))
}

/// The kind and hash of a preset secret's name, as `preset_jti` writes it.
fn preset(jti: &str) -> Option<(&'static str, [u8; 32])> {
    let (kind, hash) = jti.strip_prefix("preset:")?.split_once(':')?;
    let kind = ["system", "bootstrap"].into_iter().find(|known| *known == kind)?;
    let hash: Fingerprint = hash.parse().ok()?;
    Some((kind, *hash.as_bytes()))
}
