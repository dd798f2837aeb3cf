//! The preshared bootstrap credential: opaque, known by its hash, good until its TTL has run from the first time that
//! hash was seen, over restarts.

use super::{
    Access, AccessError, Caller, Credential, Facts, authenticate::preset_jti, remembered::Checked,
    vocabulary::PrincipalKind,
};
use crate::{
    identity::{Actor, Fingerprint, Timestamp, sha256},
    store::BootstrapUse,
};
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;

/// The hash of the preshared credential, and when it ends.
#[derive(Clone, Debug)]
pub(super) struct PresetBootstrap {
    pub(super) hash: [u8; 32],
    ends: Timestamp,
}

impl Access {
    /// Takes the operator's preshared bootstrap credential; the store keeps its hash and when it was first seen. One
    /// that has ended or was revoked is not taken, and the log says so.
    ///
    /// # Errors
    /// The store's.
    pub async fn preset_bootstrap_token(&mut self, secret: &SecretString) -> Result<(), AccessError> {
        let hash = sha256(secret.expose_secret().as_bytes());
        let known = self.store.preset_secret("bootstrap", &hash, &self.stamp(Actor::Service)).await?;
        let ttl = i64::try_from(self.config.bootstrap_ttl.as_millis()).unwrap_or(i64::MAX);
        let ends = Timestamp::from_millis(known.first_seen.millis().saturating_add(ttl));
        if known.revoked_at.is_some() || self.clock.now() >= ends {
            tracing::warn!(target: "catalyst.auth", ended_at = %ends,
                "Preshared bootstrap token no longer taken — set another CATALYST_BOOTSTRAP_TOKEN, or mint one per node");
        } else {
            tracing::info!(target: "catalyst.auth", jti = preset_jti("bootstrap", &hash), expires_at = %ends,
                "Preshared bootstrap token in use");
        }
        self.preset_bootstrap = Some(PresetBootstrap { hash, ends });
        Ok(())
    }

    pub(super) async fn by_preset_bootstrap(&self, preset: &PresetBootstrap) -> Result<Checked, AccessError> {
        let known = self.store.preset_secret("bootstrap", &preset.hash, &self.stamp(Actor::Service)).await?;
        if known.revoked_at.is_some() {
            return Err(AccessError::Revoked);
        }
        if self.clock.now() >= preset.ends {
            return Err(AccessError::Expired);
        }
        let facts = Facts {
            kind: PrincipalKind::Bootstrap,
            cedar_id: "preset".to_owned(),
            sub: "bootstrap".to_owned(),
            id: "bootstrap".to_owned(),
            name: "bootstrap".to_owned(),
            entity_type: "service".to_owned(),
            node_id: None,
            spiffe_id: None,
            trusted_nodes: Vec::new(),
            trusted_domains: Vec::new(),
        };
        let bootstrap = BootstrapUse {
            credential: format!("preset:{}", Fingerprint::from(preset.hash)),
            uses: None,
            refuse_existing: !self.config.dev,
            warn_existing: self.config.dev,
        };
        let caller = Caller {
            actor: Actor::Bootstrap { credential: "preset".to_owned() },
            facts: Arc::new(facts),
            credential: Credential::Bootstrap(bootstrap),
        };
        Ok(Checked { caller, bound_to: None, until: Some(preset.ends) })
    }
}
