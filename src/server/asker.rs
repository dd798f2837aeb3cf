//! Who asks, as a request handler sees it: the only way to a decision, and the mark that one was taken.

use super::{
    app::App,
    endpoints::{Endpoint, Target},
    problem::Problem,
};
use crate::{
    access::{Action, Caller, Resource},
    identity::Actor,
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Whoever sent the request, authenticated. In the extensions of every request behind authentication.
#[derive(Clone)]
pub(super) struct Asker {
    app: App,
    caller: Caller,
    endpoint: &'static Endpoint,
    decided: Arc<AtomicBool>,
}

impl Asker {
    pub(super) fn new(app: App, caller: Caller, endpoint: &'static Endpoint) -> Self {
        Self { app, caller, endpoint, decided: Arc::default() }
    }

    /// Puts the endpoint's own action to Cedar: which one that is, the table of endpoints says and no handler.
    pub(super) fn may(&self, resource: &Resource) -> Result<(), Problem> {
        self.may_do(self.endpoint.action.ok_or_else(Problem::undecided)?, resource)
    }

    /// As [`Asker::may`], of what belongs to the whole deployment.
    pub(super) fn may_all(&self) -> Result<(), Problem> {
        self.may(&Resource::whole())
    }

    /// As [`Asker::may`], of what belongs to this service.
    pub(super) fn may_own(&self) -> Result<(), Problem> {
        self.may(&self.app.access().own())
    }

    /// Puts an action that the request names to Cedar.
    pub(super) fn may_do(&self, action: Action, resource: &Resource) -> Result<(), Problem> {
        self.decided.store(true, Ordering::Release);
        Ok(self.app.access().authorize(&self.caller, action, resource)?)
    }

    /// Whether an answer may leave: Cedar was asked before it was made, or it is public.
    pub(super) fn was_decided(&self) -> Result<(), Problem> {
        if self.decided.load(Ordering::Acquire) || self.endpoint.target == Target::Nothing {
            return Ok(());
        }
        tracing::error!(target: "catalyst.auth", path = self.endpoint.path, "Answer held back — no policy was asked");
        Err(Problem::undecided())
    }

    pub(super) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// For the audit log.
    pub(super) fn actor(&self) -> Actor {
        self.caller.actor.clone()
    }
}
