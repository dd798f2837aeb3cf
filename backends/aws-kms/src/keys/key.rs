//! An open key.

use super::{
    KeyArn, Mechanism, ask,
    message::Message,
    route::{Replica, Route},
    unsupported,
};
use crate::{
    client::Clients,
    trouble::{Cause, Trouble},
};
use async_trait::async_trait;
use aws_sdk_kms::types::{KeyMetadata, KeyState as State, OriginType};
use catalyst_signing::{KeyPin, KeyState, Refusal, Result, SignError, SigningKey};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio::{task::JoinHandle, time::sleep};

/// What is to be known of imported material.
const IMPORTED: &str = "its key material was imported, so it may exist outside AWS";

/// A key of one account.
#[derive(Debug)]
pub(crate) struct AwsKmsKey {
    clients: Arc<Clients>,
    pin: KeyPin,
    mechanism: Mechanism,
    route: Arc<Route>,
    /// Whether its material was imported, once KMS has said so.
    imported: OnceLock<bool>,
    /// Asks the key's own Region while that does not answer.
    watch: Mutex<Option<JoinHandle<()>>>,
}

impl AwsKmsKey {
    pub(crate) fn new(clients: Arc<Clients>, pin: &KeyPin) -> Result<Self> {
        let arn = KeyArn::of(&pin.uri).ok_or_else(|| {
            SignError::refused(Refusal::Configuration, format!("{} is no key of AWS KMS", pin.uri))
        })?;
        let mechanism = Mechanism::of(pin.algorithm).ok_or_else(|| unsupported(pin.algorithm))?;
        let route = Arc::new(Route::new(arn, &clients.config().failover_regions));
        let (imported, watch) = (OnceLock::new(), Mutex::default());
        Ok(Self { clients, pin: pin.clone(), mechanism, route, imported, watch })
    }

    /// Where the next attempt goes; `None`: to the key's own Region. Any other has the pinned key, as far as that may
    /// be read there.
    async fn place(&self) -> Result<Option<&Replica>> {
        let Some(replica) = self.route.next(self.clients.regions(), self.clients.retries()) else {
            return Ok(None);
        };
        self.keep_watch();
        match self.compare(replica).await {
            Ok(()) => Ok(Some(replica)),
            Err(trouble) => Err(self.route.failed_at(replica, trouble, self.clients.retries())),
        }
    }

    /// Compares the public key of a replica with the pin, once for all who wait for that.
    async fn compare(&self, replica: &Replica) -> std::result::Result<(), Trouble> {
        if replica.is_same() {
            return Ok(());
        }
        let _turn = replica.comparing.lock().await;
        if replica.is_same() {
            return Ok(());
        }
        let retries = self.clients.retries();
        if !replica.is_open(self.clients.regions(), retries) {
            let reason = format!("{} does not answer, and {} is left out", self.route.home, replica.arn);
            return Err(Trouble { error: SignError::unavailable(reason), cause: Cause::Answered });
        }
        // Where it may not be read, each signature is verified all the same.
        match ask::public_key(&self.clients, &replica.arn).await? {
            Some(spki) if spki != self.pin.spki => Err(self.route.differs_at(replica, retries)),
            Some(_) | None => {
                replica.set_same();
                Ok(())
            }
        }
    }

    fn arn_at<'a>(&'a self, place: Option<&'a Replica>) -> &'a KeyArn {
        place.map_or(&self.route.home, |replica| &replica.arn)
    }

    /// Draws the conclusions of an attempt.
    fn heard<T>(&self, place: Option<&Replica>, answer: std::result::Result<T, Trouble>) -> Result<T> {
        match (answer, place) {
            // Its own Region may have come back meanwhile.
            (Ok(answer), Some(_)) if !self.clients.regions().is_ill(self.route.home.region()) => Ok(answer),
            (Ok(answer), place) => {
                self.route.worked(place);
                Ok(answer)
            }
            (Err(trouble), place) => {
                let away = trouble.cause == Cause::Away;
                let error = match place {
                    Some(replica) => self.route.failed_at(replica, trouble, self.clients.retries()),
                    None => trouble.error,
                };
                Err(if away { self.without_delay(error) } else { error })
            }
        }
    }

    /// A Region's Retry-After is not for the next one.
    fn without_delay(&self, error: SignError) -> SignError {
        let elsewhere = self.route.next(self.clients.regions(), self.clients.retries()).is_some();
        match error {
            SignError::Transient { kind, reason, .. } if elsewhere => {
                SignError::Transient { kind, reason, retry_after: None }
            }
            error => error,
        }
    }

    /// Sees to it that the key's own Region is asked until it answers.
    fn keep_watch(&self) {
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        if watch.as_ref().is_none_or(JoinHandle::is_finished) {
            *watch = Some(tokio::spawn(until_well(self.clients.clone(), self.route.clone())));
        }
    }

    async fn metadata(&self) -> std::result::Result<Option<KeyMetadata>, Trouble> {
        let metadata = ask::metadata(&self.clients, &self.route.home).await?;
        if let Some(origin) = metadata.as_ref().and_then(|key| key.origin.as_ref()) {
            self.imported.get_or_init(|| *origin == OriginType::External);
        }
        Ok(metadata)
    }

    /// Asks once where the key material comes from. That nobody may know it, or not now, is no reason not to sign.
    async fn learn_origin(&self) {
        if self.imported.get().is_none() {
            let _ = self.metadata().await;
        }
    }
}

impl Drop for AwsKmsKey {
    fn drop(&mut self) {
        if let Some(watch) = self.watch.get_mut().unwrap_or_else(PoisonError::into_inner) {
            watch.abort();
        }
    }
}

#[async_trait]
impl SigningKey for AwsKmsKey {
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let message = Message::of(message, &self.mechanism, &self.pin)?;
        let place = self.place().await?;
        let answer = ask::sign(&self.clients, self.arn_at(place), &self.mechanism, message).await;
        self.heard(place, answer)
    }

    async fn public_key(&self) -> Result<Option<Vec<u8>>> {
        let Some(replica) = self.place().await? else {
            let (answer, ()) =
                tokio::join!(ask::public_key(&self.clients, &self.route.home), self.learn_origin());
            return self.heard(None, answer);
        };
        let answer = ask::public_key(&self.clients, &replica.arn).await;
        self.heard(Some(replica), answer)
    }

    /// Of the key in its own Region: that of a replica is its own.
    async fn state(&self) -> Result<KeyState> {
        let home = &self.route.home;
        if self.route.has_replicas() && self.clients.regions().is_ill(home.region()) {
            return Err(SignError::unavailable(format!("{} does not answer for {home}", home.region())));
        }
        match self.metadata().await {
            Ok(metadata) => Ok(metadata.and_then(|key| key.key_state).map_or(KeyState::Unknown, state)),
            Err(Trouble { error: SignError::Refused { kind: Refusal::Missing, .. }, .. }) => {
                Ok(KeyState::Gone)
            }
            Err(trouble) => Err(trouble.error),
        }
    }

    fn doubt(&self) {
        self.route.doubt(self.clients.retries());
    }

    fn caution(&self) -> Option<String> {
        let imported = self.imported.get().is_some_and(|imported| *imported).then(|| IMPORTED.to_owned());
        let cautions: Vec<String> = self.route.cautions().into_iter().chain(imported).collect();
        (!cautions.is_empty()).then(|| cautions.join("; "))
    }

    fn elsewhere(&self) -> Option<String> {
        self.route.elsewhere()
    }
}

/// Asks the key's own Region until it answers; then signing returns there.
async fn until_well(clients: Arc<Clients>, route: Arc<Route>) {
    while clients.regions().is_ill(route.home.region()) {
        sleep(clients.regions().pause(route.home.region())).await;
        if clients.regions().is_ill(route.home.region()) {
            // Whatever KMS answers, the clients hear that it does.
            let _ = ask::public_key(&clients, &route.home).await;
        }
    }
    route.worked(None);
}

fn state(state: State) -> KeyState {
    match state {
        State::Enabled | State::Updating => KeyState::Usable,
        State::Creating => KeyState::Pending,
        State::PendingDeletion | State::PendingReplicaDeletion => KeyState::DestructionScheduled,
        State::Disabled | State::PendingImport | State::Unavailable => KeyState::Disabled,
        _ => KeyState::Unknown,
    }
}
