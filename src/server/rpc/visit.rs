//! One client's visit, a socket's life or a batch: which credentials it brought, and what puts an end to it.

use super::{
    super::{
        app::{App, Refusal, Shown},
        asker::Asker,
        endpoints::Endpoint,
        peer::Peer,
        problem::Problem,
    },
    strangers::{Stranger, Strangers},
};
use crate::{
    access::{AccessError, Caller},
    identity::sha256,
    rpc::Exception,
};
use secrecy::{ExposeSecret as _, SecretString};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Notify, watch},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// How long a socket may be open before a credential is taken on it: it holds one of the places of a listener.
const STRANGER: Duration = Duration::from_secs(5 * 60);
/// How long calls may go on when the service stops; less than connections have in all.
const LAST_CALLS: Duration = Duration::from_secs(10);
/// How long what was answered has to leave before the socket ends.
const LAST_WORDS: Duration = Duration::from_millis(250);
/// So many credentials of a socket are known; whoever brings more speaks for many, and the socket is no one's.
const MOST_KNOWN: usize = 100;

const STOPPING: &str = "the service is stopping";
const UNKNOWN: &str = "no good credential was shown within 5 minutes";
const REVOKED: &str = "a credential of this socket was revoked: the socket ends";
const CUT_OFF: &str =
    "the certificate of this connection was revoked, or its identity is denied: the socket ends";
const DENIED: &str = "the identity of this socket's credential is denied: the socket ends";

/// One client's visit.
pub(super) struct Visit {
    app: App,
    peer: Peer,
    /// Credentials that were taken, by their SHA-256, newest last.
    known: Mutex<VecDeque<[u8; 32]>>,
    /// Its place among those who have shown no good credential, while it is one of them.
    stranger: Mutex<Option<Stranger>>,
    /// Comes when that place is another's.
    crowded_out: Option<Arc<Notify>>,
    /// Why it is to end.
    over: watch::Sender<Option<&'static str>>,
    /// How many calls are being answered.
    running: watch::Sender<usize>,
}

/// A call that is being answered.
pub(super) struct Running<'a>(&'a Visit);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.send_modify(|count| *count -= 1);
    }
}

impl Visit {
    pub(super) fn new(app: App, peer: Peer) -> Self {
        Self {
            app,
            peer,
            known: Mutex::default(),
            stranger: Mutex::default(),
            crowded_out: None,
            over: watch::Sender::new(None),
            running: watch::Sender::new(0),
        }
    }

    /// As one more stranger, until a good credential is shown.
    pub(super) fn among(self, strangers: &Strangers) -> Self {
        let place = strangers.join();
        Self { crowded_out: Some(place.crowded_out()), stranger: Mutex::new(Some(place)), ..self }
    }

    /// Comes when another stranger has the place of this one.
    pub(super) async fn crowded_out(&self) {
        if let Some(crowded_out) = &self.crowded_out {
            crowded_out.notified().await;
            if self.known().is_empty() {
                return;
            }
        }
        std::future::pending().await
    }

    pub(super) fn app(&self) -> &App {
        &self.app
    }

    /// Counts a call until what is given is dropped.
    pub(super) fn begin(&self) -> Running<'_> {
        self.running.send_modify(|count| *count += 1);
        Running(self)
    }

    /// Takes a credential that a client brings.
    pub(super) async fn enter(&self, credential: &SecretString) -> Result<Caller, Problem> {
        self.check_connection().await?;
        let checked = self.app.authenticate(Shown::Bearer(credential), &self.peer, false).await;
        let caller = checked.map_err(|refusal| self.heard(refusal, credential))?;
        let hash = sha256(credential.expose_secret().as_bytes());
        let mut known = self.known();
        if !known.contains(&hash) {
            if known.len() == MOST_KNOWN {
                known.pop_front();
            }
            known.push_back(hash);
        }
        drop(known);
        drop(self.stranger.lock().unwrap_or_else(PoisonError::into_inner).take());
        Ok(caller)
    }

    /// Lets a call in, with the credential that its object was given for.
    pub(super) async fn admit(
        &self,
        credential: &SecretString,
        endpoint: &'static Endpoint,
    ) -> Result<Asker, Problem> {
        self.check_connection().await?;
        let admitted = self.app.admit(Shown::Bearer(credential), &self.peer, endpoint).await;
        admitted.map_err(|refusal| self.heard(refusal, credential))
    }

    /// A denial, or a revocation, ends the open sockets of whom it concerns.
    async fn check_connection(&self) -> Result<(), Problem> {
        let Some(certificate) = self.peer.certificate() else { return Ok(()) };
        if self.app.access().is_cut_off(certificate).await? {
            self.put_end(CUT_OFF);
            return Err(self.app.refused(AccessError::Revoked, &self.peer).problem);
        }
        Ok(())
    }

    fn heard(&self, refusal: Refusal, credential: &SecretString) -> Problem {
        let hash = sha256(credential.expose_secret().as_bytes());
        if refusal.is_revoked && self.known().contains(&hash) {
            self.put_end(REVOKED);
        }
        refusal.problem
    }

    /// The identity that a credential of this visit is for is denied.
    pub(super) fn is_denied(&self) {
        self.put_end(DENIED);
    }

    fn put_end(&self, why: &'static str) {
        self.over.send_if_modified(|over| over.is_none().then(|| *over = Some(why)).is_some());
    }

    /// Comes when the visit is to end, with the last thing that the client hears.
    pub(super) async fn end(&self, stopping: &CancellationToken) -> Exception {
        let why = tokio::select! {
            () = stopping.cancelled() => {
                // What is not done by then is cut off.
                let _ = timeout(LAST_CALLS, self.running.subscribe().wait_for(|count| *count == 0)).await;
                STOPPING
            }
            why = self.over() => why,
            () = self.stays_unknown() => UNKNOWN,
        };
        sleep(LAST_WORDS).await;
        Exception::error(why)
    }

    async fn over(&self) -> &'static str {
        // The sender is our own, so that it is never gone.
        let over = self.over.subscribe().wait_for(Option::is_some).await.ok().and_then(|over| *over);
        over.unwrap_or(REVOKED)
    }

    async fn stays_unknown(&self) {
        sleep(STRANGER).await;
        if !self.known().is_empty() {
            std::future::pending::<()>().await;
        }
    }

    fn known(&self) -> MutexGuard<'_, VecDeque<[u8; 32]>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
