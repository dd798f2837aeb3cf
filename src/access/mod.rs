//! Who may do what: credentials are checked, tokens minted and revoked, and every action is put to Cedar.

mod adopter;
mod audit;
mod authenticate;
mod bootstrap;
mod claims;
mod error;
mod manage;
mod mint;
mod policy;
mod principal;
mod prospects;
mod recover;
mod remembered;
mod renewal;
mod rotation;
mod system_token;
mod token_key;
mod vocabulary;

pub use adopter::Adopter;
pub use audit::{SEALED_DIRECTORY, Seal, SignedHead, head_octets};
pub use authenticate::bearer;
pub use claims::{Bootstrap, Claims, Confirmation, Entity};
pub use error::AccessError;
pub use manage::Selector;
pub use mint::{BootstrapRequest, MintRequest, Minted};
pub use policy::{Decision, Flaw, Policies, PolicyError, Refresh, built_in_files};
pub use principal::{Caller, Credential, Facts, PeerCertificate, Presented};
pub use recover::RecoveredToken;
pub use rotation::Rotated;
pub use system_token::SYSTEM_TOKEN_FILE;
pub use vocabulary::{Action, PrincipalKind, Resource, ResourceKind, UnknownWord};

use crate::{
    identity::{Clock, SpiffeId, Workload},
    store::Store,
};
use arc_swap::ArcSwapOption;
use audit::Denials;
use bootstrap::PresetBootstrap;
use catalyst_signing::{GuardedKey, KeyHealth};
use remembered::Remembered;
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};
use token_key::{KeyRing, Signer};
use tokio::sync::Mutex;

/// What access rests on.
#[derive(Clone, Debug)]
pub struct Config {
    /// The service itself: `iss` of its tokens, and the node that its tokens and administration belong to.
    pub own: Workload,
    /// The deployment's DNS domains.
    pub domains: Vec<String>,
    /// `--dev`: an unbound bootstrap credential for an identity that holds a certificate only warns.
    pub dev: bool,
    /// Lifetime of bootstrap credentials.
    pub bootstrap_ttl: Duration,
}

/// Checks credentials, mints and revokes them, and asks policy.
#[derive(Debug)]
pub struct Access {
    config: Config,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    policies: Policies,
    preset_system: Option<[u8; 32]>,
    preset_bootstrap: Option<PresetBootstrap>,
    ring: ArcSwapOption<KeyRing>,
    /// Rises after each change of `ring`.
    ring_changes: AtomicU64,
    /// Bearer credentials.
    remembered: Remembered,
    /// Certificates that were proven by mutual TLS.
    proven: Remembered,
    /// One rotation at a time.
    rotating: Mutex<()>,
    denials: Denials,
    /// Asked of certificates that the store does not know.
    adopter: Option<Arc<dyn Adopter>>,
    /// When the system token in the file ends, ms; 0 where there is none.
    system_token_ends: AtomicI64,
}

impl Access {
    /// Takes no token yet.
    pub fn new(config: Config, store: Arc<dyn Store>, clock: Arc<dyn Clock>, policies: Policies) -> Self {
        Self {
            config,
            store,
            clock,
            policies,
            preset_system: None,
            preset_bootstrap: None,
            ring: ArcSwapOption::empty(),
            ring_changes: AtomicU64::new(0),
            remembered: Remembered::default(),
            proven: Remembered::default(),
            rotating: Mutex::new(()),
            denials: Denials::default(),
            adopter: None,
            system_token_ends: AtomicI64::new(0),
        }
    }

    /// Lets certificates that the store does not know be looked at, and be taken up where they were lost by a restore.
    pub fn adopt_with(&mut self, adopter: Arc<dyn Adopter>) {
        self.adopter = Some(adopter);
    }

    /// Reads the public halves of the token keys: tokens can be checked from now on, also while the key store is away.
    ///
    /// # Errors
    /// The store's; a token key of another kind.
    pub async fn read_keys(&self) -> Result<(), AccessError> {
        let signer = self.ring.load().as_ref().and_then(|ring| ring.signer().ok().cloned());
        self.set_ring(KeyRing::load(self.store.as_ref(), signer).await?);
        Ok(())
    }

    /// Takes the open token key: tokens can be made from now on.
    ///
    /// # Errors
    /// A token key that is not P-384; the store's.
    pub async fn open(&self, key: GuardedKey) -> Result<(), AccessError> {
        let signer = Arc::new(Signer::new(key)?);
        let _one_at_a_time = self.rotating.lock().await;
        let ring = KeyRing::load(self.store.as_ref(), Some(signer.clone())).await?;
        if ring.active_kid() != Some(signer.kid()) {
            // A rotation came between: its key signs, and not the one that was active when this one was opened.
            return self.ring()?.signer().map(drop);
        }
        self.set_ring(ring);
        Ok(())
    }

    /// Tries the open token key again, as an operator wants it, and says how it fares; `None` where none is open.
    pub async fn retry_key(&self) -> Option<KeyHealth> {
        let ring = self.ring.load_full()?;
        Some(ring.signer().ok()?.retry().await)
    }

    /// The live public token keys as a JWKS.
    ///
    /// # Errors
    /// [`AccessError::KeyNotOpen`] before there is one.
    pub fn jwks(&self) -> Result<serde_json::Value, AccessError> {
        self.ring()?.jwks(self.clock.now())
    }

    /// Puts an action to Cedar.
    ///
    /// # Errors
    /// [`AccessError::Denied`], logged.
    pub fn authorize(&self, caller: &Caller, action: Action, resource: &Resource) -> Result<(), AccessError> {
        self.decide(caller, action, resource).map_err(|reasons| {
            self.record_denial(caller, action, resource, &reasons);
            AccessError::Denied { action, kind: caller.facts.kind, reasons }
        })
    }

    /// What policy says, and the reasons where it denies. Nothing is recorded.
    fn decide(&self, caller: &Caller, action: Action, resource: &Resource) -> Result<(), Vec<String>> {
        match self.policies.decide(&caller.facts, action, resource) {
            Decision::Deny(reasons) => Err(reasons),
            // Whatever an operator's policies say: nobody else makes a second CA service.
            Decision::Allow
                if resource.service_type == Some("auth")
                    && matches!(action, Action::CertSign | Action::CertGenerate)
                    && !caller.facts.is_global_admin() =>
            {
                Err(vec!["auth identities are for a global ADMIN".to_owned()])
            }
            Decision::Allow => Ok(()),
        }
    }

    fn record_denial(&self, caller: &Caller, action: Action, resource: &Resource, reasons: &[String]) {
        // The first of a minute; the audit log gets the count.
        if self.denials.count(caller, action) {
            let expected =
                resource.spiffe_id.as_ref().map_or_else(|| PrincipalKind::Admin.claim(), SpiffeId::to_string);
            tracing::warn!(target: "catalyst.auth", principal = %caller.actor, expected_principal = expected,
                node_id = logged(&resource.node_id), domain_id = logged(&resource.domain_id),
                reasons = if reasons.is_empty() { "no policy permits it".to_owned() } else { reasons.join("; ") },
                "Permission denied for action: {action}");
        }
    }

    /// The certificates of an identity, as policy sees them.
    pub fn certificates_of(&self, workload: &Workload) -> Resource {
        Resource::certificates_of(workload, &self.config.domains)
    }

    /// A node, as policy sees it.
    pub fn node(&self, node_id: &str) -> Resource {
        Resource::of_node(node_id, &self.config.domains)
    }

    /// What belongs to this service: its tokens and its administration.
    pub fn own(&self) -> Resource {
        self.node(self.config.own.instance_id().as_str())
    }

    /// This service's own identity.
    pub fn own_identity(&self) -> &SpiffeId {
        self.config.own.spiffe_id()
    }

    /// The policies in force.
    pub fn policies(&self) -> &Policies {
        &self.policies
    }

    fn ring(&self) -> Result<Arc<KeyRing>, AccessError> {
        self.ring.load_full().ok_or(AccessError::KeyNotOpen)
    }

    fn set_ring(&self, ring: KeyRing) {
        self.ring.store(Some(Arc::new(ring)));
        self.ring_changes.fetch_add(1, Ordering::SeqCst);
    }

    /// Rises with everything that may end a credential before its time; read before a check begins.
    fn epoch(&self) -> u64 {
        self.store.revocations() + self.ring_changes.load(Ordering::SeqCst)
    }
}

/// So much of what a request names goes into the log; a body may be 64 KiB of it.
const LOGGED_CHARACTERS: usize = 255;

fn logged(text: &str) -> &str {
    text.char_indices().nth(LOGGED_CHARACTERS).map_or(text, |(end, _)| &text[..end])
}
