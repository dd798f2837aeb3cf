//! What every request handler can reach.

use super::problem::Problem;
use crate::{
    access::{self, Access, Caller},
    authority::Authority,
    telemetry::Metrics,
};
use axum::http::{HeaderMap, header::AUTHORIZATION};
use std::sync::{Arc, OnceLock};

/// What every request handler can reach.
#[derive(Clone)]
pub(super) struct App(Arc<Inner>);

struct Inner {
    authority: Arc<Authority>,
    metrics: Metrics,
    /// Empty until the token key is open.
    access: OnceLock<Arc<Access>>,
}

impl App {
    pub(super) fn new(authority: Arc<Authority>, metrics: Metrics) -> Self {
        Self(Arc::new(Inner { authority, metrics, access: OnceLock::new() }))
    }

    pub(super) fn authority(&self) -> &Arc<Authority> {
        &self.0.authority
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// From now on credentials can be checked.
    pub(super) fn open_access(&self, access: Arc<Access>) {
        // There is one caller, so nothing can be there already.
        let _ = self.0.access.set(access);
    }

    pub(super) fn access(&self) -> Result<&Arc<Access>, Problem> {
        self.0.access.get().ok_or_else(Problem::not_ready)
    }

    /// Checks the one `Authorization: Bearer` header (RFC 6750, 2.1).
    pub(super) async fn authenticate(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        let mut given = headers.get_all(AUTHORIZATION).iter();
        let header = given.next().ok_or_else(Problem::no_credential)?;
        if given.next().is_some() {
            return Err(Problem::bad_credential());
        }
        let credential = access::bearer(header.as_bytes()).ok_or_else(Problem::bad_credential)?;
        Ok(self.access()?.authenticate(credential).await?)
    }
}
