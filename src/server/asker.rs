//! Who asks, as a request handler sees it: the only way to a decision, and the mark that one was taken.

use super::{app::App, problem::Problem};
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
    decided: Arc<AtomicBool>,
}

impl Asker {
    pub(super) fn new(app: App, caller: Caller) -> Self {
        Self { app, caller, decided: Arc::default() }
    }

    /// Puts the action to Cedar.
    pub(super) fn may(&self, action: Action, resource: &Resource) -> Result<(), Problem> {
        self.decided.store(true, Ordering::Release);
        Ok(self.app.access().authorize(&self.caller, action, resource)?)
    }

    /// As [`Asker::may`], of what belongs to the whole deployment.
    pub(super) fn may_all(&self, action: Action) -> Result<(), Problem> {
        self.may(action, &Resource::whole())
    }

    /// As [`Asker::may`], of what belongs to this service.
    pub(super) fn may_own(&self, action: Action) -> Result<(), Problem> {
        self.may(action, &self.app.access().own())
    }

    /// Whether Cedar was asked.
    pub(super) fn was_decided(&self) -> bool {
        self.decided.load(Ordering::Acquire)
    }

    pub(super) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// For the audit log.
    pub(super) fn actor(&self) -> Actor {
        self.caller.actor.clone()
    }
}
