//! One CA's certificate and its key as one value, and the slot it stands in while its key store comes and goes.

use super::{keys::Keys, x509::CaCertificate};
use crate::{identity::CaRole, store::CaRow};
use catalyst_signing::{GuardedKey, KeyHealth, SignError};
use std::{
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

/// How long one attempt at opening a key may take.
const OPEN_TIMEOUT: Duration = Duration::from_secs(15);
/// How long to wait after a failed attempt, unless the key store says otherwise.
const REOPEN_AFTER: Duration = Duration::from_secs(10);

/// A CA that can sign. Certificate and key live together: "same algorithm" would let one CA's key sign another's
/// TBS, and it would verify.
#[derive(Debug)]
pub(crate) struct Issuer {
    role: CaRole,
    common_name: String,
    certificate: CaCertificate,
    key: GuardedKey,
}

impl Issuer {
    /// Holds a CA's certificate against the key.
    pub(super) fn new(
        role: CaRole,
        common_name: &str,
        certificate: CaCertificate,
        key: GuardedKey,
    ) -> Result<Self, SignError> {
        if certificate.spki() != key.pin().spki {
            return Err(SignError::integrity(format!(
                "the certificate of {common_name} ({}) and the pin of its key {} hold different public keys",
                certificate.fingerprint(),
                key.pin().uri
            )));
        }
        Ok(Self { role, common_name: common_name.to_owned(), certificate, key })
    }

    /// Opens the key of a stored CA.
    pub(super) async fn open(keys: &Keys, row: &CaRow) -> Result<Self, SignError> {
        let stored = &row.certificate;
        let certificate = CaCertificate::from_der(&stored.der).map_err(|error| {
            SignError::integrity(format!(
                "the stored certificate of {} cannot be read: {error}",
                stored.common_name
            ))
        })?;
        let key = keys.open(&row.key, &stored.common_name, Instant::now() + OPEN_TIMEOUT).await?;
        Self::new(stored.role, &stored.common_name, certificate, key)
    }

    /// What the CA is for.
    pub(super) fn role(&self) -> CaRole {
        self.role
    }

    /// Subject CN.
    pub(super) fn common_name(&self) -> &str {
        &self.common_name
    }

    /// Its certificate.
    pub(super) fn certificate(&self) -> &CaCertificate {
        &self.certificate
    }

    /// Its key.
    pub(super) fn key(&self) -> &GuardedKey {
        &self.key
    }
}

/// Where an issuer stands.
#[derive(Clone, Debug)]
pub(super) enum Standing {
    /// The key store was not asked yet, or has not answered.
    Opening,
    /// Its key is open.
    Ready(Arc<Issuer>),
    /// Its key store refuses or is away.
    Down(SignError),
}

/// How a CA's key fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyCondition {
    /// It signs.
    Ready,
    /// Its key store was not asked yet, or the key is opened for each operation.
    Closed,
    /// Its key store is away, which may pass.
    Away,
    /// Refused or altered: an operator must act.
    Latched,
}

/// A place for one issuer. A key store that is away keeps down its own CAs and nothing else.
#[derive(Debug)]
pub(super) struct IssuerSlot {
    standing: watch::Sender<Standing>,
    /// Wakes the task that opens the key: an operator wants it tried again, or the slot is gone.
    wake: Arc<Notify>,
}

impl IssuerSlot {
    /// A slot that opens its key in the background, and again after failures that may pass, until it is dropped.
    pub(super) fn open(keys: Arc<Keys>, row: CaRow) -> Arc<Self> {
        let slot = Arc::new(Self::of(Standing::Opening));
        tokio::spawn(Self::keep_open(Arc::downgrade(&slot), slot.wake.clone(), keys, row));
        slot
    }

    /// A slot for an issuer that is open already.
    pub(super) fn ready(issuer: Arc<Issuer>) -> Arc<Self> {
        Arc::new(Self::of(Standing::Ready(issuer)))
    }

    fn of(standing: Standing) -> Self {
        Self { standing: watch::Sender::new(standing), wake: Arc::default() }
    }

    async fn keep_open(slot: Weak<Self>, wake: Arc<Notify>, keys: Arc<Keys>, row: CaRow) {
        loop {
            let opened = Issuer::open(&keys, &row).await;
            let Some(slot) = slot.upgrade() else { return };
            let error = match opened {
                Ok(issuer) => {
                    slot.standing.send_replace(Standing::Ready(Arc::new(issuer)));
                    return;
                }
                Err(error) => error,
            };
            let wait = error.retry_after().unwrap_or(REOPEN_AFTER).max(Duration::from_secs(1));
            let passing = error.is_transient();
            tracing::error!(
                target: "catalyst.pki",
                ca_name = row.certificate.common_name,
                error = %error,
                code = error.code(),
                "CA key cannot be used"
            );
            slot.standing.send_replace(Standing::Down(error));
            drop(slot);
            if passing {
                // Sooner where an operator says so.
                let _ = tokio::time::timeout(wait, wake.notified()).await;
            } else {
                wake.notified().await;
            }
        }
    }

    /// Tries what was refused or is away once more, now, and answers when it is known how that went.
    pub(super) async fn retry(&self) {
        let deadline = Instant::now() + OPEN_TIMEOUT;
        let refused = |standing: &mut Standing| {
            let is_down = matches!(standing, Standing::Down(_));
            if is_down {
                *standing = Standing::Opening;
            }
            is_down
        };
        if self.standing.send_if_modified(refused) {
            self.wake.notify_one();
        }
        if let Ok(issuer) = self.issuer(deadline).await {
            issuer.key().retry();
            // How it went is the key's health from then on.
            let _ = issuer.key().probe(deadline).await;
        }
    }

    /// The issuer, waited for while it is being opened.
    pub(super) async fn issuer(&self, deadline: Instant) -> Result<Arc<Issuer>, SignError> {
        let mut standing = self.standing.subscribe();
        let settled = standing.wait_for(|standing| !matches!(standing, Standing::Opening));
        let Ok(Ok(settled)) = tokio::time::timeout_at(deadline, settled).await else {
            return Err(SignError::unavailable("the key store has not answered yet"));
        };
        match &*settled {
            Standing::Ready(issuer) => Ok(issuer.clone()),
            Standing::Down(error) => Err(error.clone()),
            Standing::Opening => Err(SignError::unavailable("the key store has not answered yet")),
        }
    }

    /// Why the issuer can't sign now; `None` when it can.
    pub(super) fn trouble(&self) -> Option<String> {
        match &*self.standing.borrow() {
            Standing::Opening => Some("its key store has not answered yet".into()),
            Standing::Down(error) => Some(error.to_string()),
            Standing::Ready(issuer) => match issuer.key().health() {
                KeyHealth::Ready => None,
                KeyHealth::Suspect { reason, .. } => Some(reason),
                KeyHealth::Latched { error } => Some(error.to_string()),
                _ => None,
            },
        }
    }

    /// How its key fares.
    pub(super) fn condition(&self) -> KeyCondition {
        match &*self.standing.borrow() {
            Standing::Opening => KeyCondition::Closed,
            Standing::Down(error) if error.is_transient() => KeyCondition::Away,
            Standing::Down(_) => KeyCondition::Latched,
            Standing::Ready(issuer) => condition_of(&issuer.key().health()),
        }
    }
}

/// How an open key fares.
pub(super) fn condition_of(health: &KeyHealth) -> KeyCondition {
    match health {
        KeyHealth::Ready => KeyCondition::Ready,
        KeyHealth::Latched { .. } => KeyCondition::Latched,
        _ => KeyCondition::Away,
    }
}

impl Drop for IssuerSlot {
    fn drop(&mut self) {
        self.wake.notify_one();
    }
}
