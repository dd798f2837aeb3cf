//! What the CA does by itself: CRLs, expiry of CAs, purging, warnings.

use super::{
    Authority, Result,
    issuer::{KeyCondition, condition_of},
    status::INTERMEDIATE_WARNING_SECONDS,
    tokens::TOKEN,
};
use crate::{
    identity::{Actor, CaRole, Fingerprint, Timestamp},
    store::{CaRow, KeyRole, KeyRow, KeyRowState, Stamp, Summary},
};
use catalyst_signing::KeyState;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// Expired certificates stay this long.
const KEEP_EXPIRED_SECONDS: i64 = 7 * 86_400;
/// So many rows go in one transaction, so that purging holds the writer for a few milliseconds at most.
const PURGE_BATCH: u32 = 100;
/// How often CRLs, CA expiry and gauges are looked at.
const TICK: Duration = Duration::from_secs(30);
/// After a CRL could not be signed, it is tried again this soon.
const CRL_RETRY: Duration = Duration::from_secs(5);
const PURGE_EVERY: Duration = Duration::from_secs(3600);
/// A service in recovery says so this often.
const RECOVERY_EVERY: Duration = Duration::from_secs(3600);
const WARN_EVERY: Duration = Duration::from_secs(86_400);

/// Figures that are set, not counted.
#[derive(Clone, Debug, Default)]
pub struct Gauges {
    /// Counts of the store.
    pub summary: Summary,
    /// Of each live CA: its name and its notAfter.
    pub ca_expiry: Vec<(String, Timestamp)>,
    /// Of each live CA, and of the key that signs tokens (`token`): how its key fares.
    pub keys: Vec<KeyGauge>,
    /// The store was put back, and that waits to be confirmed.
    pub recovery: bool,
    /// Of each CA that issues: its role, its name and its algorithm.
    pub issuing: Vec<(CaRole, String, String)>,
    /// Of each live CA with a CRL: its name and that CRL's nextUpdate.
    pub crl_next_update: Vec<(String, Timestamp)>,
}

/// How one key fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyGauge {
    /// The CA's name, or `token`.
    pub name: String,
    /// Name of its key store.
    pub backend: String,
    /// Whether it can sign.
    pub condition: KeyCondition,
    /// What the key store says of it.
    pub state: KeyState,
    /// Where it signs now, if that is not where its URI says.
    pub elsewhere: Option<String>,
}

impl Authority {
    /// Runs until the token is cancelled.
    pub(super) async fn upkeep(self: Arc<Self>, stop: CancellationToken) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut last_purge, mut last_warning) = (None::<Instant>, None::<Instant>);
        let mut last_recovery = None::<Instant>;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.crls_wanted.notified() => self.sign_wanted_crls().await,
                _ = tick.tick() => {
                    if elapsed(last_recovery, RECOVERY_EVERY) {
                        last_recovery = Some(Instant::now());
                        self.warn_of_recovery();
                    }
                    self.look_after().await;
                    if elapsed(last_purge, PURGE_EVERY) {
                        last_purge = Some(Instant::now());
                        if let Err(error) = self.purge_expired(Actor::Service).await {
                            tracing::error!(target: "catalyst.pki", error = %error, "Expired certificates not purged");
                        }
                    }
                    if elapsed(last_warning, WARN_EVERY) {
                        last_warning = Some(Instant::now());
                        self.warn_of_expiry(self.clock.now());
                    }
                }
            }
        }
    }

    pub(super) async fn sign_wanted_crls(self: &Arc<Self>) {
        if let Err(error) = self.reload_crls().await {
            tracing::error!(target: "catalyst.pki", error = %error, "CRL state not read");
        }
        self.sign_due_crls().await;
        if self.crls.load().iter().any(|row| row.pending) {
            let authority = Arc::downgrade(self);
            tokio::spawn(async move {
                tokio::time::sleep(CRL_RETRY).await;
                if let Some(authority) = authority.upgrade() {
                    authority.crls_wanted.notify_one();
                }
            });
        }
    }

    pub(super) async fn look_after(self: &Arc<Self>) {
        if let Err(error) = self.refresh_bundle().await {
            tracing::error!(target: "catalyst.pki", error = %error, "Bundle not refreshed");
        }
        match self.resume_initialization().await {
            Ok(_) if self.is_initialized() => self.sign_due_crls().await,
            Ok(_) => {}
            Err(error) => tracing::error!(target: "catalyst.pki", error = %error, code = error.code(),
                "Interrupted initialization not finished"),
        }
        self.log_key_troubles().await;
        match self.gauges().await {
            Ok(gauges) => self.observer.gauges(&gauges),
            Err(error) => {
                tracing::error!(target: "catalyst.pki", error = %error, "Certificate store not read")
            }
        }
    }

    async fn refresh_bundle(&self) -> Result<()> {
        // A ceremony under way may take minutes, and CRLs cannot wait so long; the next tick makes up for it.
        let Ok(_one_at_a_time) = self.change.try_lock() else { return Ok(()) };
        if self.store.refresh_bundle(self.clock.now()).await? {
            self.reload().await?;
        }
        Ok(())
    }

    /// Deletes end-entity certificates that expired more than 7 days ago; answers how many.
    ///
    /// # Errors
    /// The certificate store's alone.
    pub async fn purge_expired(&self, by: Actor) -> Result<u64> {
        let at = self.clock.now();
        let stamp = Stamp { at, by };
        let mut purged = 0;
        loop {
            let batch =
                self.store.purge_expired(at.plus_seconds(-KEEP_EXPIRED_SECONDS), PURGE_BATCH, &stamp).await?;
            purged += batch;
            if batch < u64::from(PURGE_BATCH) {
                break;
            }
        }
        // No certificate lives longer than a day, so that nothing of theirs is asked for any more.
        while self.store.purge_tokens(at.plus_seconds(-KEEP_EXPIRED_SECONDS), PURGE_BATCH).await?
            >= u64::from(PURGE_BATCH)
        {}
        self.observer.purged(purged);
        tracing::info!(target: "catalyst.pki", count = purged, "Expired certificates purged");
        Ok(purged)
    }

    /// What `/metrics` shows of the CA's state now.
    ///
    /// # Errors
    /// The certificate store's alone.
    pub async fn gauges(&self) -> Result<Gauges> {
        let at = self.clock.now();
        let summary = self.store.summary(at).await?;
        let state = self.state.load();
        let live: Vec<&CaRow> = state.hierarchy().cas.iter().filter(|row| row.is_live(at)).collect();
        let name = |row: &CaRow| row.certificate.common_name.clone();
        let key = |row: &&CaRow| {
            let slot = state.slot(row.certificate.ski);
            let condition = slot.map_or(KeyCondition::Closed, |slot| slot.condition());
            let open = self.keys.cautions.now(&row.key.intention);
            KeyGauge {
                name: name(row),
                backend: row.key.intention.backend.clone(),
                condition,
                state: self.key_state(&row.key),
                elsewhere: open.and_then(|open| open.elsewhere),
            }
        };
        let token_key = |row: &KeyRow| {
            let open = self.keys.cautions.now(&row.intention);
            KeyGauge {
                name: TOKEN.to_owned(),
                backend: row.intention.backend.clone(),
                condition: open.as_ref().map_or(KeyCondition::Closed, |open| condition_of(&open.health)),
                state: self.key_state(row),
                elsewhere: open.and_then(|open| open.elsewhere),
            }
        };
        let signs_tokens =
            |row: &&KeyRow| row.intention.role == KeyRole::Token && row.state == KeyRowState::Active;
        let keys = self.store.hierarchy().await?.keys;
        let token_keys = keys.iter().filter(signs_tokens).map(token_key);
        let crls = self.crls.load();
        let crl_next_update = crls.iter().filter_map(|crl| {
            let row = state.ca(crl.issuer).filter(|row| row.is_live(at))?;
            Some((row.certificate.common_name.clone(), crl.published.as_ref()?.next_update))
        });
        let issuing = live.iter().filter(|row| row.is_active());
        Ok(Gauges {
            summary,
            recovery: self.recovery().is_some(),
            ca_expiry: live.iter().map(|row| (name(row), row.certificate.not_after)).collect(),
            keys: live.iter().map(key).chain(token_keys).collect(),
            issuing: issuing
                .map(|row| (row.certificate.role, name(row), row.key.intention.algorithm.clone()))
                .collect(),
            crl_next_update: crl_next_update.collect(),
        })
    }

    fn warn_of_expiry(&self, at: Timestamp) {
        let state = self.state.load();
        for row in
            state.hierarchy().cas.iter().filter(|row| row.is_live(at) && row.certificate.role != CaRole::Root)
        {
            let left = row.certificate.not_after.seconds_since(at);
            if left < INTERMEDIATE_WARNING_SECONDS {
                let ca = &row.certificate;
                tracing::warn!(target: "catalyst.pki", cn = ca.common_name,
                    fingerprint = %Fingerprint::of_certificate(&ca.der), expires_at = %ca.not_after,
                    days_remaining = left / 86_400, "CA certificate approaching expiry");
            }
        }
    }
}

fn elapsed(last: Option<Instant>, every: Duration) -> bool {
    last.is_none_or(|last| last.elapsed() >= every)
}
