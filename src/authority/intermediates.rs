//! Further intermediate CAs.

use super::{
    Authority, Result,
    ceremony::{Ceremony, INTERMEDIATE_DAYS, checked_days, checked_name, log_made, same_name},
    config::NamedKey,
    error::AuthorityError,
    issuance::check_clock,
    keys::{Wanted, refuse_pin},
};
use crate::{
    identity::{Actor, CaRole},
    store::{CaRow, KeyRole, KeyRowState, Stamp},
};
use catalyst_signing::SignatureAlgorithm;
use std::sync::Arc;

/// A further intermediate.
#[derive(Clone, Debug, Default)]
pub struct IntermediateRequest {
    /// Subject CN.
    pub common_name: String,
    /// What it is for; read from the words Services or Transport in the name where it is not said.
    pub role: Option<CaRole>,
    /// Lifetime in days; 730 unless said.
    pub ttl_days: Option<u32>,
    /// Signature algorithm; the configured one unless said.
    pub algorithm: Option<SignatureAlgorithm>,
    /// Name of the key store; the configured one unless said.
    pub backend: Option<String>,
    /// An existing key, as its key store names it; the one that a setting names unless said, or a new one.
    pub key_reference: Option<String>,
}

impl Authority {
    /// Makes a further intermediate. The first of its role issues at once; a later one is published and waits for
    /// [`Authority::activate`]. A request that a crash interrupted is taken up again by the next for its role.
    ///
    /// # Errors
    /// [`AuthorityError::Conflict`] while the role has a CA that was made and not activated, or where another CA has
    /// the name; a root that is away.
    pub async fn create_intermediate(
        self: &Arc<Self>,
        request: IntermediateRequest,
        by: Actor,
    ) -> Result<CaRow> {
        let authority = self.clone();
        self.to_its_end(async move { authority.create_intermediate_here(request, by).await }).await
    }

    async fn create_intermediate_here(
        self: &Arc<Self>,
        request: IntermediateRequest,
        by: Actor,
    ) -> Result<CaRow> {
        refuse_pin([request.backend.as_ref(), request.key_reference.as_ref()])?;
        let permit = self.may_issue()?;
        let _one_at_a_time = self.change.lock().await;
        if !self.is_initialized() {
            return Err(AuthorityError::NotInitialized);
        }
        let common_name = checked_name(request.common_name.clone())?;
        self.refuse_taken_name(&common_name)?;
        let role = role_of(&request)?;
        if let Some(backend) = &request.backend {
            self.keys.key_stores.get(backend).map_err(|error| AuthorityError::Invalid(error.to_string()))?;
        }
        let ttl_days = checked_days(request.ttl_days.unwrap_or(INTERMEDIATE_DAYS))?;
        let stamp = Stamp { at: self.clock.now(), by };
        check_clock(Some(self.store.newest_time().await?), stamp.at)?;
        let wanted = self.next_key(role, &request)?;
        let root = Arc::new(self.open_root(stamp.at).await?);
        let key = self.keys.ensure(&wanted, &stamp).await?;
        let ceremony = Ceremony { role, generation: wanted.generation, common_name: &common_name, ttl_days };
        let (signed, issuer) = self.sign_ca(&permit, &ceremony, &key, Some(&root), &stamp).await?;
        self.store.record_intermediate(&signed, &stamp).await?;
        self.reload_with(std::slice::from_ref(&issuer)).await?;
        log_made(&signed, &issuer, Some(&root));
        self.observer.certificate_issued(
            "intermediate",
            root.key().pin().algorithm.name(),
            root.common_name(),
        );
        if let Err(error) = self.sign_crl_with(&issuer).await {
            tracing::error!(target: "catalyst.pki", ca_name = signed.common_name, error = %error, "CRL not signed");
        }
        let row = self.state.load().ca(signed.ski).cloned();
        row.ok_or_else(|| AuthorityError::Internal("the new CA is not in the store".into()))
    }

    /// Two CAs of one name would be one to verifiers that look for a CRL by its issuer's name (RFC 5280, 6.3.3), and
    /// an intermediate of the root's name would be self-issued.
    fn refuse_taken_name(&self, name: &str) -> Result<()> {
        let state = self.state.load();
        let taken = state.hierarchy().cas.iter().find(|row| same_name(&row.certificate.common_name, name));
        taken.map_or(Ok(()), |row| {
            Err(AuthorityError::Conflict(format!(
                "the {} CA of generation {} has the name '{name}': give the new CA another one, so that verifiers can tell their CRLs apart",
                row.certificate.role, row.certificate.generation
            )))
        })
    }

    /// The key generation that a new CA of this role gets: the one a crash left without a certificate, else the next.
    fn next_key(&self, role: CaRole, request: &IntermediateRequest) -> Result<Wanted> {
        let state = self.state.load();
        let hierarchy = state.hierarchy();
        let waiting = hierarchy.cas.iter().find(|row| {
            row.certificate.role == role
                && row.activated_at.is_none()
                && row.revoked_at.is_none()
                && row.key.state == KeyRowState::Certified
        });
        if let Some(row) = waiting {
            return Err(AuthorityError::Conflict(format!(
                "{} ({}) was made and is not active yet: activate or retire it first",
                row.certificate.common_name, row.certificate.ski
            )));
        }
        let of_role = hierarchy.keys.iter().filter(|key| key.intention.role == KeyRole::Ca(role));
        let last = of_role.max_by_key(|key| key.intention.generation);
        let unfinished = last.filter(|key| matches!(key.state, KeyRowState::Intended | KeyRowState::Made));
        let backend =
            request.backend.clone().unwrap_or_else(|| self.config.key_backends.for_ca(role).to_owned());
        let asked = request.key_reference.clone().map(|reference| NamedKey { reference, setting: None });
        Ok(Wanted {
            role: KeyRole::Ca(role),
            generation: unfinished
                .map(|key| key.intention.generation)
                .or_else(|| last.map(|key| key.intention.generation + 1))
                .unwrap_or(1),
            algorithm: request.algorithm.unwrap_or(self.config.algorithm),
            named: asked.or_else(|| self.config.named_key(role, &backend)),
            backend,
        })
    }
}

fn role_of(request: &IntermediateRequest) -> Result<CaRole> {
    match request.role {
        Some(CaRole::Root) => {
            Err(AuthorityError::Invalid("an intermediate is for services or transport".into()))
        }
        Some(role) => Ok(role),
        None => CaRole::in_name(&request.common_name).ok_or_else(|| {
            AuthorityError::Invalid(
                "say what the CA is for with role services or transport: its name does not tell".into(),
            )
        }),
    }
}
