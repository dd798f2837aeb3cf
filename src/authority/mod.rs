//! The CA core: hierarchy, profiles, CSR checks, TBS, lint, issuance, CRLs, bundle, status.
//!
//! It knows no HTTP, no SQL dialect and no cloud SDK. It is given a [`Store`], the open key stores and a clock, and
//! all that leaves it is public.

mod adoption;
mod bundle;
mod cautions;
mod ceremony;
mod config;
mod crls;
mod denial;
mod error;
mod finishing;
mod initialization;
mod intermediates;
mod issuance;
mod issuer;
mod keypair;
mod keys;
mod locks;
mod manifests;
mod names;
mod observer;
mod own;
mod recovery;
mod repin;
mod retry;
mod rotation;
mod rounds;
mod state;
mod status;
mod tokens;
mod unclaimed;
mod upkeep;
pub mod x509;

pub use bundle::Bundle;
pub use config::{Config, DnsPattern, DnsPatternError, KeyBackends, KeyReferences, NamedKey};
pub use denial::Denied;
pub use error::{AuthorityError, Result};
pub use initialization::InitRequest;
pub use intermediates::IntermediateRequest;
pub use issuance::{IssueRequest, Svid};
pub use issuer::KeyCondition;
pub use observer::{NoObserver, Observer};
pub use own::{OwnNames, Standing};
pub use repin::KeyAddress;
pub use retry::RetriedKey;
pub use status::{Health, Status};
pub use unclaimed::{Reconciliation, Unclaimed, UnclaimedKey};
pub use upkeep::{Gauges, KeyGauge};

use crate::{
    identity::{Clock, TrustDomain},
    store::{CrlRow, Restoration, Store},
};
use arc_swap::{ArcSwap, ArcSwapOption};
use catalyst_signing::KeyStores;
use cautions::Cautions;
use issuer::Issuer;
use keys::Keys;
use locks::LockPerCa;
use rounds::Answers;
use state::State;
use std::{sync::Arc, time::Duration};
use tokio::sync::{Mutex, Notify, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long the end waits for a key store: longer than any signature may take.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(30);

/// The CA of one deployment.
#[derive(Debug)]
pub struct Authority {
    config: Config,
    store: Arc<dyn Store>,
    keys: Arc<Keys>,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
    state: ArcSwap<State>,
    /// That the store came out of a backup, if it ever did.
    restoration: ArcSwapOption<Restoration>,
    changed: watch::Sender<()>,
    crls: ArcSwap<Vec<Arc<CrlRow>>>,
    /// One change of the hierarchy at a time.
    change: Mutex<()>,
    crl_signing: LockPerCa,
    crl_reading: Mutex<()>,
    crls_wanted: Notify,
    /// Everything that must come to its end before the process does.
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Authority {
    /// Reads what the store holds; keys open in the background. Bundle and CRLs can be served at once.
    ///
    /// # Errors
    /// A store of another trust domain, naming both; whatever the certificate store answers.
    pub async fn open(
        config: Config,
        store: Arc<dyn Store>,
        key_stores: Arc<KeyStores>,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn Observer>,
    ) -> Result<Arc<Self>> {
        let deployment = store.deployment().await?;
        if let Some(stored) = deployment.trust_domain.filter(|stored| *stored != config.trust_domain) {
            return Err(AuthorityError::Conflict(format!(
                "this store belongs to the trust domain '{stored}', CATALYST_PKI_TRUST_DOMAIN says '{}': set it back, or choose another CATALYST_PKI_CERTS_DB",
                config.trust_domain
            )));
        }
        let restoration = store.restoration().await?.map(Arc::new);
        let keys = Arc::new(Keys {
            store: store.clone(),
            key_stores,
            deployment: deployment.id,
            concurrency: config.signing_concurrency,
            cautions: Cautions::default(),
            answers: Answers::default(),
        });
        let authority = Arc::new(Self {
            config,
            store,
            keys,
            clock,
            observer,
            state: ArcSwap::default(),
            restoration: ArcSwapOption::from(restoration),
            changed: watch::Sender::default(),
            crls: ArcSwap::default(),
            change: Mutex::new(()),
            crl_signing: LockPerCa::default(),
            crl_reading: Mutex::new(()),
            crls_wanted: Notify::new(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        });
        authority.reload().await?;
        Ok(authority)
    }

    /// Finishes what a crash interrupted and looks after CRLs, expiry, purging and keys from now on.
    pub fn start(self: &Arc<Self>) {
        self.tasks.spawn(self.clone().upkeep(self.stop.clone()));
        self.tasks.spawn(self.clone().rounds(self.stop.clone()));
    }

    /// Waits for everything that is being signed to be recorded, then closes the store.
    ///
    /// # Errors
    /// The certificate store's alone.
    pub async fn shut_down(&self) -> Result<()> {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(SHUTDOWN_PATIENCE, self.tasks.wait()).await.is_err() {
            tracing::error!(target: "catalyst.pki", tasks = self.tasks.len(),
                "Stopped while a key store had not answered — what was begun is finished at the next start");
        }
        Ok(self.store.close().await?)
    }

    /// Whether the hierarchy is complete.
    pub fn is_initialized(&self) -> bool {
        self.state.load().hierarchy().initialized_at.is_some()
    }

    /// The trust domain.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.config.trust_domain
    }

    /// The certificate store, for reading.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The CA's clock.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The trust bundle.
    ///
    /// # Errors
    /// [`AuthorityError::NotInitialized`] before the hierarchy is complete.
    pub fn bundle(&self) -> Result<Arc<Bundle>> {
        self.state.load().bundle()
    }

    /// Runs a change to its end whether its caller still waits or not: what was committed must reach memory, the bundle
    /// and the CRLs, also when the client that asked for it has hung up.
    async fn to_its_end<T: Send + 'static>(
        &self,
        change: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let changed = self.tasks.spawn(change).await;
        let changed = changed.unwrap_or_else(|error| Err(AuthorityError::Internal(error.to_string())));
        if let Some(error) = changed.as_ref().err().filter(|error| error.is_ours()) {
            tracing::error!(target: "catalyst.pki", error = %error, code = error.code(), "Change not made");
        }
        changed
    }

    /// Takes the store's rows as the new view. Callers that change the hierarchy hold `change`.
    async fn reload(&self) -> Result<()> {
        self.reload_with(&[]).await
    }

    /// As [`Authority::reload`], with issuers whose keys are open already.
    async fn reload_with(&self, opened: &[Arc<Issuer>]) -> Result<()> {
        let hierarchy = self.store.hierarchy().await?;
        let before = self.state.load_full();
        let state =
            State::new(hierarchy, &self.config.trust_domain, &self.keys, &before, opened, self.clock.now())?;
        self.state.store(Arc::new(state));
        self.changed.send_replace(());
        self.reload_crls().await
    }
}

#[cfg(test)]
mod tests;
