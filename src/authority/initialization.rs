//! Making the planned hierarchy: one step to whoever looks, and safe to repeat after a crash at any point.

use super::{
    Authority, Result,
    ceremony::{Ceremony, INTERMEDIATE_DAYS, checked_days, checked_name, log_made, same_name},
    config::NamedKey,
    error::AuthorityError,
    issuance::check_clock,
    issuer::Issuer,
    keys::Wanted,
    recovery::MayIssue,
};
use crate::{
    identity::{Actor, CaRole},
    store::{CaPlan, InitPlan, KeyRole, SignedCa, Stamp},
};
use catalyst_signing::{KeyPin, SignatureAlgorithm};
use std::sync::Arc;

const ROOT_DAYS: u32 = 3_650;

/// What to initialize; without any word all three CAs with their defaults.
#[derive(Clone, Debug, Default)]
pub struct InitRequest {
    /// The root's subject CN.
    pub common_name: Option<String>,
    /// The signature algorithm of all CAs that are made.
    pub algorithm: Option<SignatureAlgorithm>,
    /// The root's lifetime in days.
    pub ttl_days: Option<u32>,
    /// The root alone, intermediates to be made one by one.
    pub root_only: bool,
}

impl InitRequest {
    fn is_default(&self) -> bool {
        self.common_name.is_none() && self.algorithm.is_none() && self.ttl_days.is_none() && !self.root_only
    }
}

impl Authority {
    /// Makes the hierarchy. Without any word in the request it is idempotent; with one, an initialized CA refuses.
    ///
    /// # Errors
    /// [`AuthorityError::Conflict`] on an initialized CA; whatever key store and certificate store answer.
    pub async fn initialize(self: &Arc<Self>, request: InitRequest, by: Actor) -> Result<()> {
        let authority = self.clone();
        self.to_its_end(async move { authority.initialize_here(request, by).await }).await
    }

    async fn initialize_here(self: &Arc<Self>, request: InitRequest, by: Actor) -> Result<()> {
        let permit = self.may_issue()?;
        let _one_at_a_time = self.change.lock().await;
        if self.is_initialized() {
            return if request.is_default() {
                Ok(())
            } else {
                Err(AuthorityError::Conflict(
                    "the CA is initialized already: its root cannot be made again".into(),
                ))
            };
        }
        let plan = self.plan(&request)?;
        let stamp = Stamp { at: self.clock.now(), by };
        check_clock(Some(self.store.newest_time().await?), stamp.at)?;
        if self.state.load().hierarchy().plan.is_none() {
            self.look_at_named_keys(&plan).await?;
        }
        let committed = self.store.begin_initialization(&plan, &stamp).await?;
        if committed != plan && !request.is_default() {
            tracing::warn!(target: "catalyst.pki", "An earlier initialization was begun — it is finished as it was planned");
        }
        // From now on the upkeep knows what is to be finished, should this fail.
        self.reload().await?;
        self.complete(&permit, &committed, &stamp).await
    }

    /// Finishes an initialization that a crash interrupted; answers whether there was one. Waits for no other change.
    pub(super) async fn resume_initialization(self: &Arc<Self>) -> Result<bool> {
        let Ok(permit) = self.may_issue() else { return Ok(false) };
        let Ok(_one_at_a_time) = self.change.try_lock() else { return Ok(false) };
        let plan = match self.state.load().hierarchy().plan.clone() {
            Some(plan) if !self.is_initialized() => plan,
            _ => return Ok(false),
        };
        tracing::info!(target: "catalyst.pki", "Finishing the interrupted initialization");
        self.complete(&permit, &plan, &Stamp { at: self.clock.now(), by: Actor::Service }).await?;
        Ok(true)
    }

    fn plan(&self, request: &InitRequest) -> Result<InitPlan> {
        let algorithm = request.algorithm.unwrap_or(self.config.algorithm);
        let ca = |role: CaRole, common_name: String, ttl_days: u32| CaPlan {
            role: role.as_str().into(),
            common_name,
            algorithm: algorithm.name().into(),
            ttl_days,
            backend: self.config.key_backends.for_ca(role).into(),
        };
        let root_name = request.common_name.clone().unwrap_or_else(|| CaRole::Root.default_common_name());
        let root =
            ca(CaRole::Root, checked_name(root_name)?, checked_days(request.ttl_days.unwrap_or(ROOT_DAYS))?);
        let mut cas = vec![root];
        if !request.root_only {
            for role in [CaRole::Services, CaRole::Transport] {
                cas.push(ca(role, role.default_common_name(), INTERMEDIATE_DAYS));
            }
        }
        // An intermediate of the root's name would be self-issued, whatever key it holds.
        if cas.iter().skip(1).any(|ca| same_name(&ca.common_name, &cas[0].common_name)) {
            return Err(AuthorityError::Invalid("the root needs another name than its intermediates".into()));
        }
        Ok(InitPlan { trust_domain: self.config.trust_domain.to_string(), cas })
    }

    /// A plan is for good: keys that settings name are looked at before it is committed.
    async fn look_at_named_keys(&self, plan: &InitPlan) -> Result<()> {
        let mut seen: Vec<(NamedKey, KeyPin)> = Vec::new();
        for ca in &plan.cas {
            let wanted = self.first_key(ca)?;
            let Some(pin) = self.keys.look_first(&wanted).await? else { continue };
            let Some(key) = wanted.named else { continue };
            if let Some((other, _)) = seen.iter().find(|(_, known)| known.spki == pin.spki) {
                let setting = |key: &NamedKey| key.setting.clone().unwrap_or_default();
                return Err(AuthorityError::Conflict(format!(
                    "{} and {} name one key: two CAs never share a key; name another one in one of them",
                    setting(other),
                    setting(&key)
                )));
            }
            seen.push((key, pin));
        }
        Ok(())
    }

    fn first_key(&self, ca: &CaPlan) -> Result<Wanted> {
        let role: CaRole = ca.role.parse().map_err(|_| broken_plan())?;
        Ok(Wanted {
            role: KeyRole::Ca(role),
            generation: 1,
            algorithm: ca.algorithm.parse().map_err(|_| broken_plan())?,
            backend: ca.backend.clone(),
            named: self.config.named_key(role, &ca.backend),
        })
    }

    /// Makes what the plan says. Each step is committed before the next, and repeating one changes nothing, so that
    /// a crash anywhere is followed by the same hierarchy; it is served only once it is complete.
    async fn complete(self: &Arc<Self>, permit: &MayIssue, plan: &InitPlan, stamp: &Stamp) -> Result<()> {
        if plan.trust_domain != self.config.trust_domain.as_str() {
            return Err(AuthorityError::Conflict(format!(
                "the initialization was begun for the trust domain '{}', the setting says '{}'",
                plan.trust_domain, self.config.trust_domain
            )));
        }
        let mut made: Vec<SignedCa> = Vec::new();
        let mut issuers: Vec<Arc<Issuer>> = Vec::new();
        for ca in &plan.cas {
            let role: CaRole = ca.role.parse().map_err(|_| broken_plan())?;
            let row = self.keys.ensure(&self.first_key(ca)?, stamp).await?;
            let ceremony =
                Ceremony { role, generation: 1, common_name: &ca.common_name, ttl_days: ca.ttl_days };
            let (signed, issuer) = self.sign_ca(permit, &ceremony, &row, issuers.first(), stamp).await?;
            made.push(signed);
            issuers.push(issuer);
        }
        self.store.complete_initialization(&made, stamp).await?;
        self.reload_with(&issuers).await?;
        for (ca, issuer) in made.iter().zip(&issuers) {
            log_made(ca, issuer, issuers.first());
        }
        let root = made.first().ok_or_else(broken_plan)?;
        tracing::info!(
            target: "catalyst.pki",
            root = %crate::identity::Fingerprint::of_certificate(&root.der),
            intermediates = made.len() - 1,
            trust_domain = plan.trust_domain,
            "PKI initialized"
        );
        for (ca, issuer) in made.iter().zip(&issuers) {
            if ca.role != CaRole::Root {
                self.observer.certificate_issued(
                    "intermediate",
                    issuer.key().pin().algorithm.name(),
                    &root.common_name,
                );
            }
            // A CRL that fails here is made up for by the upkeep; the hierarchy stands.
            if let Err(error) = self.sign_crl_with(issuer).await {
                tracing::error!(target: "catalyst.pki", ca_name = ca.common_name, error = %error, "CRL not signed");
            }
        }
        Ok(())
    }
}

fn broken_plan() -> AuthorityError {
    AuthorityError::Internal("the stored initialization plan cannot be read".into())
}
