//! From what a request presents to who is calling.

use super::{
    Access, AccessError, Caller, Credential, Facts, Presented, claims::Claims, remembered::Checked,
    vocabulary::PrincipalKind,
};
use crate::{
    identity::{Actor, Fingerprint, Timestamp, sha256},
    store::{BootstrapUse, Stamp},
};
use aws_lc_rs::constant_time;
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;

/// The authentication scheme of a renewal proof: it is a bearer token nowhere.
const RENEWAL_SCHEME: &str = "catalyst-renew";

/// The credential of an `Authorization: Bearer` header's value (RFC 6750, 2.1).
pub fn bearer(header: &[u8]) -> Option<&str> {
    scheme_and_credential(header)
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, credential)| credential)
}

fn scheme_and_credential(header: &[u8]) -> Option<(&str, &str)> {
    let (scheme, credential) = std::str::from_utf8(header).ok()?.split_once(' ')?;
    let credential = credential.trim();
    (!credential.is_empty()).then_some((scheme, credential))
}

impl Access {
    /// Takes the operator's preset secret as the system token; the store keeps its hash.
    ///
    /// # Errors
    /// The store's; a preset secret that was revoked.
    pub async fn preset_system_token(&mut self, secret: &SecretString) -> Result<(), AccessError> {
        let hash = sha256(secret.expose_secret().as_bytes());
        let known = self.store.preset_secret("system", &hash, &self.stamp(Actor::Service)).await?;
        if known.revoked_at.is_some() {
            return Err(AccessError::PresetRevoked("CATALYST_SYSTEM_TOKEN"));
        }
        self.preset_system = Some(hash);
        tracing::info!(target: "catalyst.auth", jti = preset_jti("system", &hash), "Preset system token in use");
        Ok(())
    }

    /// Checks what a request presents, at this very moment.
    ///
    /// # Errors
    /// [`AccessError::Missing`]; whatever speaks against the credential; the store's.
    pub async fn authenticate(&self, presented: Presented<'_>) -> Result<Caller, AccessError> {
        let Some(header) = presented.authorization else {
            let certificate = presented.certificate.ok_or(AccessError::Missing)?;
            return self.by_certificate(certificate).await;
        };
        let (scheme, credential) =
            scheme_and_credential(header).ok_or(AccessError::Malformed("no scheme and credential"))?;
        if scheme.eq_ignore_ascii_case(RENEWAL_SCHEME) {
            if !presented.for_csr {
                return Err(AccessError::Malformed("a renewal proof is for CSRs alone"));
            }
            return self.by_renewal_proof(credential).await;
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(AccessError::Malformed("of an unknown scheme"));
        }
        let checked = self.by_bearer(credential).await?;
        if let Some(bound_to) = checked.bound_to {
            prove_binding(&checked.caller, bound_to, presented, self.clock.now())?;
        }
        Ok(checked.caller)
    }

    /// Checks a bearer credential, all but the certificate that it may be bound to.
    pub(super) async fn by_bearer(&self, credential: &str) -> Result<Checked, AccessError> {
        let hash = sha256(credential.as_bytes());
        let epoch = self.epoch();
        let now = self.clock.now();
        if let Some(checked) = self.remembered.get(&hash, epoch, now) {
            return Ok(checked);
        }
        let is = |preset: &[u8; 32]| constant_time::verify_slices_are_equal(preset, &hash).is_ok();
        let checked = if self.preset_system.as_ref().is_some_and(is) {
            self.as_system(&hash).await?
        } else if let Some(preset) = self.preset_bootstrap.as_ref().filter(|preset| is(&preset.hash)) {
            self.by_preset_bootstrap(preset).await?
        } else {
            self.by_token(credential, now).await?
        };
        self.remembered.put(hash, checked.clone(), epoch);
        Ok(checked)
    }

    async fn as_system(&self, hash: &[u8; 32]) -> Result<Checked, AccessError> {
        let known = self.store.preset_secret("system", hash, &self.stamp(Actor::Service)).await?;
        if known.revoked_at.is_some() {
            return Err(AccessError::Revoked);
        }
        let facts = Facts {
            kind: PrincipalKind::Admin,
            cedar_id: "system".to_owned(),
            sub: "system".to_owned(),
            id: "system".to_owned(),
            name: "system".to_owned(),
            entity_type: "service".to_owned(),
            node_id: None,
            spiffe_id: None,
            trusted_nodes: Vec::new(),
            trusted_domains: Vec::new(),
        };
        let credential = Credential::Token { expires: None, is_bound: false };
        let caller = Caller { actor: Actor::System, facts: Arc::new(facts), credential };
        Ok(Checked { caller, bound_to: None, until: None })
    }

    pub(super) async fn by_token(&self, token: &str, now: Timestamp) -> Result<Checked, AccessError> {
        let trust_domain = self.config.own.spiffe_id().trust_domain();
        let (claims, key_ends) = self.ring()?.verify(token, trust_domain, trust_domain, now)?;
        self.still_good(&claims).await?;
        let kind = claims.kind().ok_or(AccessError::Invalid("of an unknown principal"))?;
        let expires = Timestamp::from_seconds(claims.exp);
        let bound_to = claims.cnf.as_ref().map(|cnf| cnf.thumbprint.parse::<Fingerprint>()).transpose();
        let bound_to = bound_to.map_err(|_| AccessError::Invalid("bound to no certificate"))?;
        let until = key_ends.map_or(expires, |end| end.min(expires));
        Ok(Checked { caller: self.caller(claims, kind, until), bound_to, until: Some(until) })
    }

    /// A token that we signed and do not know was made on a store that is gone.
    pub(super) async fn still_good(&self, claims: &Claims) -> Result<(), AccessError> {
        let record = self.store.token(&claims.jti).await?;
        let record = record.ok_or(AccessError::Invalid("the token is not recorded here"))?;
        if record.revoked_at.is_some() {
            return Err(AccessError::Revoked);
        }
        Ok(())
    }

    fn caller(&self, claims: Claims, kind: PrincipalKind, expires: Timestamp) -> Caller {
        let (actor, credential, spiffe_id, cedar_id) = match &claims.bootstrap {
            None => (
                Actor::Token { subject: claims.sub.clone(), jti: claims.jti.clone() },
                Credential::Token { expires: Some(expires), is_bound: claims.cnf.is_some() },
                None,
                claims.entity.name.clone(),
            ),
            Some(grant) => {
                let bound = grant.spiffe_id.as_ref().map(|text| text.0.clone());
                let bootstrap = BootstrapUse {
                    credential: claims.jti.clone(),
                    uses: Some(grant.uses),
                    refuse_existing: bound.is_none() && !self.config.dev,
                    warn_existing: bound.is_none() && self.config.dev,
                };
                (
                    Actor::Bootstrap { credential: claims.jti.clone() },
                    Credential::Bootstrap(bootstrap),
                    bound,
                    claims.jti.clone(),
                )
            }
        };
        let facts = Facts {
            kind,
            cedar_id,
            sub: claims.sub,
            id: claims.entity.id,
            name: claims.entity.name,
            entity_type: claims.entity.entity_type,
            node_id: claims.entity.node_id,
            spiffe_id,
            trusted_nodes: claims.entity.trusted_nodes,
            trusted_domains: claims.entity.trusted_domains,
        };
        Caller { actor, facts: Arc::new(facts), credential }
    }

    pub(super) fn stamp(&self, by: Actor) -> Stamp {
        Stamp { at: self.clock.now(), by }
    }
}

/// A bound token is good only over a connection on which its certificate was proven (RFC 8705, 3), and no longer than
/// that lives: once it is purged, a denial of its identity would not find the token any more.
fn prove_binding(
    caller: &Caller,
    bound_to: Fingerprint,
    presented: Presented<'_>,
    now: Timestamp,
) -> Result<(), AccessError> {
    if let Some(certificate) = presented.certificate.filter(|shown| shown.fingerprint == bound_to) {
        let lives = certificate.not_after.is_some_and(|not_after| now < not_after);
        return if lives { Ok(()) } else { Err(AccessError::Expired) };
    }
    let found = presented.certificate.map(|certificate| certificate.fingerprint);
    tracing::warn!(target: "catalyst.auth", token_thumbprint = %bound_to,
        tls_cert_thumbprint = found.map(|found| found.to_string()).unwrap_or_default(),
        subject = caller.facts.sub, action = "rejected",
        "Certificate binding mismatch — cnf.x5t#S256 does not match TLS certificate");
    Err(AccessError::Invalid("bound to a certificate that was not presented"))
}

/// How a preset secret is named where tokens have a `jti`: it can be revoked by it.
pub(super) fn preset_jti(kind: &str, hash: &[u8; 32]) -> String {
    format!("preset:{kind}:{}", Fingerprint::from(*hash))
}
