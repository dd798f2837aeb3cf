//! What every request handler can reach.

use super::problem::Problem;
use crate::{
    access::{self, Access, Caller},
    authority::Authority,
    telemetry::Metrics,
};
use axum::http::{HeaderMap, header::AUTHORIZATION};
use std::sync::Arc;

/// What every request handler can reach.
#[derive(Clone)]
pub(super) struct App(Arc<Inner>);

struct Inner {
    authority: Arc<Authority>,
    metrics: Metrics,
    access: Access,
}

impl App {
    pub(super) fn new(authority: Arc<Authority>, access: Access, metrics: Metrics) -> Self {
        Self(Arc::new(Inner { authority, metrics, access }))
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

    /// Checks the one `Authorization: Bearer` header (RFC 6750, 2.1).
    pub(super) async fn authenticate(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        let mut given = headers.get_all(AUTHORIZATION).iter();
        let header = given.next().ok_or_else(Problem::no_credential)?;
        if given.next().is_some() {
            return Err(Problem::bad_credential());
        }
        let credential = access::bearer(header.as_bytes()).ok_or_else(Problem::bad_credential)?;
        Ok(self.access().authenticate(credential).await?)
    }
}
