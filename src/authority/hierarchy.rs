//! Making CAs: the planned hierarchy in one step that survives a crash at any point, and further intermediates.

use super::{
    Authority, Result,
    error::AuthorityError,
    issuance::check_clock,
    issuer::Issuer,
    keys::Wanted,
    x509::{self, CaCertificate, CaContent, Signer},
};
use crate::{
    identity::{Actor, CaRole, KeyId, Serial, Timestamp},
    store::{
        CaIntention, CaPlan, CaRow, InitPlan, KeyRole, KeyRow, KeyRowState, RevocationReason, SignedCa, Stamp,
    },
};
use catalyst_signing::{Purpose, SignatureAlgorithm};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

const DAY_SECONDS: i64 = 86_400;
/// notBefore lies this many seconds back, for clocks that are a little behind.
const BACKDATE_SECONDS: i64 = 60;
const ROOT_DAYS: u32 = 3_650;
const INTERMEDIATE_DAYS: u32 = 730;
/// A CA needs twice the longest SVID lifetime to issue at all.
const SHORTEST_CA_DAYS: u32 = 3;
const LONGEST_CA_DAYS: u32 = 36_500;
/// How long one CA certificate may take, its key included: an HSM makes RSA keys for minutes.
const CEREMONY_DEADLINE: Duration = Duration::from_secs(300);
/// How long a new CA must have been in the bundle before it issues.
const PUBLISHED_BEFORE_ACTIVE_SECONDS: i64 = DAY_SECONDS;

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
    /// An existing key, as its key store names it.
    pub key_reference: Option<String>,
}

/// What a CA certificate is to be, beside its key.
struct Ceremony<'a> {
    role: CaRole,
    generation: u32,
    common_name: &'a str,
    ttl_days: u32,
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
        let committed = self.store.begin_initialization(&plan, &stamp).await?;
        if committed != plan && !request.is_default() {
            tracing::warn!(target: "catalyst.pki", "An earlier initialization was begun — it is finished as it was planned");
        }
        self.complete(&committed, &stamp).await
    }

    /// Finishes an initialization that a crash interrupted; answers whether there was one. Waits for no other change.
    pub(super) async fn resume_initialization(self: &Arc<Self>) -> Result<bool> {
        let Ok(_one_at_a_time) = self.change.try_lock() else { return Ok(false) };
        let plan = match self.state.load().hierarchy().plan.clone() {
            Some(plan) if !self.is_initialized() => plan,
            _ => return Ok(false),
        };
        tracing::info!(target: "catalyst.pki", "Finishing the interrupted initialization");
        self.complete(&plan, &Stamp { at: self.clock.now(), by: Actor::Service }).await?;
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

    /// Makes what the plan says. Each step is committed before the next, and repeating one changes nothing, so that
    /// a crash anywhere is followed by the same hierarchy; it is served only once it is complete.
    async fn complete(self: &Arc<Self>, plan: &InitPlan, stamp: &Stamp) -> Result<()> {
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
            let wanted = Wanted {
                role: KeyRole::Ca(role),
                generation: 1,
                algorithm: ca.algorithm.parse().map_err(|_| broken_plan())?,
                backend: ca.backend.clone(),
                reference: None,
            };
            let row = self.keys.ensure(&wanted, stamp).await?;
            let ceremony =
                Ceremony { role, generation: 1, common_name: &ca.common_name, ttl_days: ca.ttl_days };
            let (signed, issuer) = self.sign_ca(&ceremony, &row, issuers.first(), stamp).await?;
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

    /// One CA certificate: TBS bytes committed, then signed by the root, or by itself for a root.
    async fn sign_ca(
        &self,
        ceremony: &Ceremony<'_>,
        key: &KeyRow,
        root: Option<&Arc<Issuer>>,
        stamp: &Stamp,
    ) -> Result<(SignedCa, Arc<Issuer>)> {
        let deadline = Instant::now() + CEREMONY_DEADLINE;
        let own_key = self.keys.open(key, ceremony.common_name, deadline).await?;
        let signing_key = root.map_or(&own_key, |root| root.key());
        let issuer_certificate = root.map(|root| root.certificate());
        let spki = own_key.pin().spki.clone();
        let not_after = stamp.at.plus_seconds(i64::from(ceremony.ttl_days) * DAY_SECONDS).whole_seconds();
        let content = CaContent {
            serial: Serial::random().map_err(|error| AuthorityError::Internal(error.to_string()))?,
            common_name: ceremony.common_name,
            spki: &spki,
            path_length: u8::from(ceremony.role == CaRole::Root),
            not_before: stamp.at.plus_seconds(-BACKDATE_SECONDS).whole_seconds(),
            not_after: issuer_certificate.map_or(not_after, |root| not_after.min(root.not_after())),
        };
        let signer = Signer { pin: signing_key.pin(), certificate: issuer_certificate };
        let intention = CaIntention {
            role: ceremony.role,
            generation: ceremony.generation,
            serial: content.serial,
            tbs: x509::ca_tbs(signer, &content)?,
        };
        // Before it is committed: what is meant is meant for good, and what is never signed would bar its role.
        x509::lint_ca(&intention.tbs, &content, issuer_certificate, signing_key.pin())?;
        let committed = self.store.intend_ca(&intention, stamp).await?;
        // Meant before a crash: the same bytes are signed, and held against the profile as they are.
        let meant = x509::meant(&committed.tbs)?;
        let content = CaContent {
            serial: committed.serial,
            common_name: &meant.common_name,
            not_before: meant.not_before,
            not_after: meant.not_after,
            ..content
        };
        if committed != intention {
            tracing::warn!(target: "catalyst.pki", ca_name = meant.common_name, expires_at = %meant.not_after,
                "An earlier CA certificate was begun — it is finished as it was meant");
            x509::lint_ca(&committed.tbs, &content, issuer_certificate, signing_key.pin())?;
        }
        let verified = signing_key.sign(Purpose::Certificate, committed.tbs, deadline).await?;
        let der = x509::frame(&verified)?;
        let certificate = CaCertificate::from_der(&der)?;
        let issuer_certificate = issuer_certificate.unwrap_or(&certificate);
        let signed = SignedCa {
            role: ceremony.role,
            generation: ceremony.generation,
            ski: certificate.key_id(),
            issuer: issuer_certificate.key_id(),
            issuer_serial: issuer_certificate.serial(),
            serial: certificate.serial(),
            common_name: meant.common_name.clone(),
            not_before: certificate.not_before(),
            not_after: certificate.not_after(),
            der,
        };
        let issuer = Issuer::new(ceremony.role, &meant.common_name, certificate, own_key)?;
        Ok((signed, Arc::new(issuer)))
    }

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
        let (signed, issuer) = self.sign_ca(&ceremony, &key, Some(&root), &stamp).await?;
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
        Ok(Wanted {
            role: KeyRole::Ca(role),
            generation: unfinished
                .map(|key| key.intention.generation)
                .or_else(|| last.map(|key| key.intention.generation + 1))
                .unwrap_or(1),
            algorithm: request.algorithm.unwrap_or(self.config.algorithm),
            backend: request
                .backend
                .clone()
                .unwrap_or_else(|| self.config.key_backends.for_ca(role).to_owned()),
            reference: request.key_reference.clone(),
        })
    }

    /// Opens the root for one operation.
    pub(super) async fn open_root(&self, at: Timestamp) -> Result<Issuer> {
        let state = self.state.load();
        let roots = state
            .hierarchy()
            .cas
            .iter()
            .filter(|row| row.certificate.role == CaRole::Root && row.is_live(at));
        let root =
            roots.max_by_key(|row| row.certificate.generation).ok_or(AuthorityError::NotInitialized)?;
        Ok(Issuer::open(&self.keys, root).await?)
    }

    /// Makes a published CA the one that issues for its role.
    ///
    /// # Errors
    /// [`AuthorityError::Conflict`] when it has been in the bundle for less than 24 hours, unless `now` is said.
    pub async fn activate(self: &Arc<Self>, ca: KeyId, now: bool, by: Actor) -> Result<CaRow> {
        let authority = self.clone();
        self.to_its_end(async move { authority.activate_here(ca, now, by).await }).await
    }

    async fn activate_here(&self, ca: KeyId, now: bool, by: Actor) -> Result<CaRow> {
        let _one_at_a_time = self.change.lock().await;
        let row = self.row(ca)?;
        let at = self.clock.now();
        let published = at.seconds_since(row.published_at);
        if row.activated_at.is_none() && !now && published < PUBLISHED_BEFORE_ACTIVE_SECONDS {
            return Err(AuthorityError::Conflict(format!(
                "{} has been in the bundle for {} minutes only; verifiers need 24 hours to fetch it: wait, or say --now",
                row.certificate.common_name,
                published / 60
            )));
        }
        self.store.activate_ca(ca, &Stamp { at, by }).await?;
        self.reload().await?;
        tracing::info!(target: "catalyst.pki", ca_name = row.certificate.common_name, ski = %ca, "CA activated");
        self.row(ca)
    }

    /// Takes a CA out of the bundle.
    ///
    /// # Errors
    /// [`AuthorityError::Conflict`] while it is active or certificates of it live.
    pub async fn retire(self: &Arc<Self>, ca: KeyId, by: Actor) -> Result<CaRow> {
        let authority = self.clone();
        self.to_its_end(async move { authority.retire_here(ca, by).await }).await
    }

    async fn retire_here(&self, ca: KeyId, by: Actor) -> Result<CaRow> {
        let _one_at_a_time = self.change.lock().await;
        let row = self.row(ca)?;
        self.store.retire_ca(ca, &Stamp { at: self.clock.now(), by }).await?;
        self.reload().await?;
        tracing::info!(target: "catalyst.pki", ca_name = row.certificate.common_name, ski = %ca, "CA retired");
        self.row(ca)
    }

    /// Revokes an intermediate: out of every bundle at once, and onto the root's CRL as soon as the root can sign.
    ///
    /// # Errors
    /// No such intermediate.
    pub async fn revoke_ca(
        self: &Arc<Self>,
        ca: KeyId,
        reason: RevocationReason,
        by: Actor,
    ) -> Result<CaRow> {
        let authority = self.clone();
        self.to_its_end(async move { authority.revoke_ca_here(ca, reason, by).await }).await
    }

    async fn revoke_ca_here(&self, ca: KeyId, reason: RevocationReason, by: Actor) -> Result<CaRow> {
        let _one_at_a_time = self.change.lock().await;
        let row = self.row(ca)?;
        self.store.revoke_ca(ca, reason, &Stamp { at: self.clock.now(), by }).await?;
        self.reload().await?;
        tracing::warn!(target: "catalyst.pki", ca_name = row.certificate.common_name, ski = %ca, "CA revoked");
        self.crls_wanted.notify_one();
        self.row(ca)
    }

    /// A CA's certificate and what it chains to, PEM.
    ///
    /// # Errors
    /// A CA that is not in the store.
    pub fn certificate_of(&self, row: &CaRow) -> Result<(String, Vec<String>)> {
        let found = self.state.load().certificate_of(row);
        found.ok_or_else(|| AuthorityError::Internal("the CA is not in the store".into()))
    }

    fn row(&self, ca: KeyId) -> Result<CaRow> {
        let row = self.state.load().ca(ca).cloned();
        row.ok_or_else(|| AuthorityError::NotFound(format!("no CA has the key identifier {ca}")))
    }
}

fn broken_plan() -> AuthorityError {
    AuthorityError::Internal("the stored initialization plan cannot be read".into())
}

fn checked_name(name: String) -> Result<String> {
    let trimmed = name.trim();
    if trimmed.is_empty() || trimmed.chars().count() > 64 || trimmed.chars().any(char::is_control) {
        return Err(AuthorityError::Invalid(
            "a CA's common name has 1 to 64 characters, none of them a control character".into(),
        ));
    }
    Ok(trimmed.to_owned())
}

/// Letters of either case and runs of spaces are the same in names (RFC 5280, 7.1).
fn same_name(one: &str, other: &str) -> bool {
    let folded = |name: &str| name.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>();
    folded(one) == folded(other)
}

fn checked_days(days: u32) -> Result<u32> {
    if (SHORTEST_CA_DAYS..=LONGEST_CA_DAYS).contains(&days) {
        return Ok(days);
    }
    Err(AuthorityError::Invalid(format!(
        "a CA lives {SHORTEST_CA_DAYS} to {LONGEST_CA_DAYS} days, not {days}"
    )))
}

fn role_of(request: &IntermediateRequest) -> Result<CaRole> {
    let name = request.common_name.to_lowercase();
    match request.role {
        Some(CaRole::Root) => {
            Err(AuthorityError::Invalid("an intermediate is for services or transport".into()))
        }
        Some(role) => Ok(role),
        None => match (name.contains("services"), name.contains("transport")) {
            (true, false) => Ok(CaRole::Services),
            (false, true) => Ok(CaRole::Transport),
            _ => Err(AuthorityError::Invalid(
                "say what the CA is for with role services or transport: its name does not tell".into(),
            )),
        },
    }
}

fn log_made(ca: &SignedCa, issuer: &Issuer, root: Option<&Arc<Issuer>>) {
    let fingerprint = issuer.certificate().fingerprint();
    let signed_by = root.map(|root| root.certificate().fingerprint().to_string());
    match ca.role {
        CaRole::Root => {
            let days = (ca.not_after.seconds_since(ca.not_before) - BACKDATE_SECONDS) / DAY_SECONDS;
            let validity =
                if days % 365 == 0 { format!("{} years", days / 365) } else { format!("{days} days") };
            tracing::info!(target: "catalyst.pki", fingerprint = %fingerprint, cn = ca.common_name,
                algorithm = issuer.key().pin().algorithm.name(), validity, "Root CA generated");
        }
        CaRole::Services => {
            tracing::info!(target: "catalyst.pki", fingerprint = %fingerprint, cn = ca.common_name,
            signed_by, "Services CA generated")
        }
        CaRole::Transport => {
            tracing::info!(target: "catalyst.pki", fingerprint = %fingerprint, cn = ca.common_name,
            signed_by, "Transport CA generated")
        }
    }
}
