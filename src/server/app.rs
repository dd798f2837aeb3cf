//! What every request handler can reach.

use super::{endpoints::Endpoint, failures::Failures, peer::Peer, problem::Problem};
use crate::{
    access::{Access, AccessError, Caller, Presented},
    authority::Authority,
    telemetry::Metrics,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header::AUTHORIZATION};
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Instant,
};

/// What every request handler can reach.
#[derive(Clone)]
pub(super) struct App(Arc<Inner>);

struct Inner {
    authority: Arc<Authority>,
    metrics: Metrics,
    access: Access,
    failures: Failures,
    /// Where the audit log was found broken; 0 while it is whole.
    audit_broken_at: AtomicI64,
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

impl App {
    pub(super) fn new(authority: Arc<Authority>, access: Access, metrics: Metrics, places: Places) -> Self {
        Self(Arc::new(Inner {
            authority,
            metrics,
            access,
            failures: Failures::default(),
            audit_broken_at: AtomicI64::new(0),
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

    pub(super) fn places(&self) -> &Places {
        &self.0.places
    }

    /// Checks the one `Authorization` header (RFC 9110, 11.6.2), or the certificate of the connection.
    pub(super) async fn authenticate(
        &self,
        headers: &HeaderMap,
        peer: &Peer,
        endpoint: &Endpoint,
    ) -> Result<Caller, Problem> {
        let mut given = headers.get_all(AUTHORIZATION).iter();
        let authorization = given.next().map(HeaderValue::as_bytes);
        let presented =
            Presented { authorization, certificate: peer.certificate(), for_csr: endpoint.takes_csr() };
        let checked = match given.next() {
            Some(_) => Err(AccessError::Malformed("two Authorization headers")),
            None => self.access().authenticate(presented).await,
        };
        checked.map_err(|error| self.failed(error, peer))
    }

    /// Failures of nobody we know are metrics and a few log lines: the audit log is not theirs to fill.
    fn failed(&self, error: AccessError, peer: &Peer) -> Problem {
        let reason = error.to_string();
        let problem = Problem::from(error);
        if problem.status() != StatusCode::UNAUTHORIZED {
            return problem;
        }
        self.metrics().authentication_failed(problem.code());
        let verdict = self.0.failures.count(peer.address.ip(), Instant::now());
        if verdict.log {
            tracing::warn!(target: "catalyst.auth", address = %peer.address.ip(), reason,
                unlogged_before = verdict.unlogged, "Authentication failed");
        }
        match verdict.wait {
            Some(wait) => Problem::too_many_failures(wait),
            None => problem,
        }
    }
}
