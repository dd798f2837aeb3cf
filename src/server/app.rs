//! What every request handler can reach.

use super::{
    asker::Asker,
    backups::Standing,
    endpoints::Endpoint,
    failures::Failures,
    journal::{Journal, Pending},
    lists::Lists,
    peer::Peer,
    problem::Problem,
};
use crate::{
    access::{Access, AccessError, Caller, Presented},
    authority::Authority,
    telemetry::Metrics,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header::AUTHORIZATION};
use secrecy::{ExposeSecret as _, SecretString};
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Instant,
};
use zeroize::Zeroizing;

/// What every request handler can reach.
#[derive(Clone)]
pub(super) struct App(Arc<Inner>);

struct Inner {
    authority: Arc<Authority>,
    metrics: Metrics,
    access: Access,
    failures: Failures,
    lists: Lists,
    /// `None` where there is no directory of backups.
    journal: Option<Arc<Journal>>,
    /// Where the audit log was found broken; 0 while it is whole.
    audit_broken_at: AtomicI64,
    backups: Standing,
    places: Places,
}

/// Where things lie, and who may come from where.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    pub(super) data_dir: PathBuf,
    /// The system token is made here and lies in the data directory; otherwise the operator has preset it.
    pub(super) makes_system_token: bool,
    /// Web origins whose pages may call.
    pub(super) allowed_origins: Vec<String>,
}

/// What shows who sends a request.
#[derive(Clone, Copy)]
pub(super) enum Shown<'a> {
    /// The one `Authorization` header (RFC 9110, 11.6.2), or the certificate of the connection.
    Headers(&'a HeaderMap),
    /// A bearer credential, which came as an argument.
    Bearer(&'a SecretString),
}

/// Why a request is not served.
pub(super) struct Refusal {
    pub(super) problem: Problem,
    /// The credential was good until it was revoked.
    pub(super) is_revoked: bool,
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        refusal.problem
    }
}

impl App {
    pub(super) fn new(
        authority: Arc<Authority>,
        access: Access,
        metrics: Metrics,
        journal: Option<Arc<Journal>>,
        places: Places,
    ) -> Self {
        Self(Arc::new(Inner {
            authority,
            metrics,
            access,
            failures: Failures::default(),
            lists: Lists::default(),
            journal,
            audit_broken_at: AtomicI64::new(0),
            backups: Standing::default(),
            places,
        }))
    }

    pub(super) fn authority(&self) -> &Arc<Authority> {
        &self.0.authority
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    pub(super) fn access(&self) -> &Access {
        &self.0.access
    }

    pub(super) fn lists(&self) -> &Lists {
        &self.0.lists
    }

    /// Notes what a look at the audit log found.
    pub(super) fn audit_found(&self, broken_at: Option<i64>) {
        self.0.audit_broken_at.store(broken_at.unwrap_or(0), Ordering::Relaxed);
    }

    /// What the status says of the audit log, if it is not whole.
    pub(super) fn audit_warning(&self) -> Option<String> {
        let at = self.0.audit_broken_at.load(Ordering::Relaxed);
        (at > 0).then(|| {
            format!("the audit log is not intact at record {at}: compare with the signed heads that you kept")
        })
    }

    /// Waits, not for long, until what was denied or revoked stands in the journal.
    pub(super) async fn journalled(&self) -> Result<(), Pending> {
        match &self.0.journal {
            Some(journal) => journal.settled().await,
            None => Ok(()),
        }
    }

    /// What the status says of the journal, if it can't be written.
    pub(super) fn journal_warning(&self) -> Option<String> {
        let trouble = self.0.journal.as_ref()?.trouble()?;
        Some(format!(
            "denials are not written to their journal, and a restore would not know of them: {trouble}"
        ))
    }

    /// What is known of the backups.
    pub(super) fn backups(&self) -> &Standing {
        &self.0.backups
    }

    pub(super) fn places(&self) -> &Places {
        &self.0.places
    }

    /// Lets a request in: over a connection that may carry it, with a credential that is good at this very moment.
    pub(super) async fn admit(
        &self,
        shown: Shown<'_>,
        peer: &Peer,
        endpoint: &'static Endpoint,
    ) -> Result<Asker, Refusal> {
        // Whatever the operator allows else.
        if endpoint.is_secret && peer.is_overheard() {
            return Err(Refusal { problem: Problem::overheard(), is_revoked: false });
        }
        let caller = self.authenticate(shown, peer, endpoint.takes_csr()).await?;
        Ok(Asker::new(self.clone(), caller, endpoint))
    }

    /// Who sends a request.
    pub(super) async fn authenticate(
        &self,
        shown: Shown<'_>,
        peer: &Peer,
        for_csr: bool,
    ) -> Result<Caller, Refusal> {
        let bearer;
        let (authorization, another) = match shown {
            Shown::Headers(headers) => {
                let mut given = headers.get_all(AUTHORIZATION).iter();
                (given.next().map(HeaderValue::as_bytes), given.next().is_some())
            }
            Shown::Bearer(credential) => {
                bearer = Zeroizing::new(format!("Bearer {}", credential.expose_secret()));
                (Some(bearer.as_bytes()), false)
            }
        };
        let checked = if another {
            Err(AccessError::Malformed("two Authorization headers"))
        } else {
            let presented = Presented { authorization, certificate: peer.certificate(), for_csr };
            self.access().authenticate(presented).await
        };
        checked.map_err(|error| self.refused(error, peer))
    }

    /// Failures of nobody we know are metrics and a few log lines: the audit log is not theirs to fill.
    pub(super) fn refused(&self, error: AccessError, peer: &Peer) -> Refusal {
        let is_revoked = matches!(error, AccessError::Revoked);
        let reason = error.to_string();
        let problem = Problem::from(error);
        if problem.status() != StatusCode::UNAUTHORIZED {
            return Refusal { problem, is_revoked };
        }
        self.metrics().authentication_failed(problem.code());
        let verdict = self.0.failures.count(peer.address.ip(), Instant::now());
        if verdict.log {
            tracing::warn!(target: "catalyst.auth", address = %peer.address.ip(), reason,
                unlogged_before = verdict.unlogged, "Authentication failed");
        }
        Refusal { problem: verdict.wait.map_or(problem, Problem::too_many_failures), is_revoked }
    }
}
