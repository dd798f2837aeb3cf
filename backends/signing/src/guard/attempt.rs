//! One call to the key store: in time, seen by the observer, and without its panics.

use super::{KeyHealth, Observer, Operation, Outcome, SigningEvent};
use crate::{Result, SignError, TransientKind};
use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};
use tokio::time::{Instant, timeout_at};

/// Who is told about one key's calls, and under what name.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    pub(super) observer: Arc<dyn Observer>,
    pub(super) backend: &'static str,
    pub(super) name: String,
}

impl Scene {
    /// Makes one call. Its answer goes through `check`, whose work is no part of the key store's duration.
    pub(super) async fn attempt<T>(
        &self,
        operation: Operation,
        deadline: Instant,
        call: impl Future<Output = Result<T>>,
        check: impl FnOnce(&T) -> Result<()>,
    ) -> Result<T> {
        let mut in_flight = InFlight::new(self, operation);
        let answer = timeout_at(deadline, without_panic(call)).await.unwrap_or_else(|_| Err(self.too_late()));
        in_flight.stop();
        let checked = answer.and_then(|answer| check(&answer).map(|()| answer));
        in_flight.outcome = outcome(&checked);
        if in_flight.outcome == Outcome::Throttled {
            self.throttled();
        }
        checked
    }

    pub(super) fn throttled(&self) {
        self.observer.signing(&SigningEvent::Throttled { backend: self.backend, name: &self.name });
    }

    pub(super) fn health(&self, health: &KeyHealth) {
        self.observer.signing(&SigningEvent::Health { backend: self.backend, name: &self.name, health });
    }

    fn too_late(&self) -> SignError {
        SignError::timed_out(format!(
            "the {} key store did not answer for {} before the deadline",
            self.backend, self.name
        ))
    }
}

/// Tells the observer of the end however the call ends: answered, late, or dropped with its caller.
struct InFlight<'a> {
    scene: &'a Scene,
    operation: Operation,
    since: Instant,
    took: Option<Duration>,
    outcome: Outcome,
}

impl<'a> InFlight<'a> {
    fn new(scene: &'a Scene, operation: Operation) -> Self {
        scene.observer.signing(&SigningEvent::Started { backend: scene.backend, operation });
        Self { scene, operation, since: Instant::now(), took: None, outcome: Outcome::Cancelled }
    }

    fn stop(&mut self) {
        self.took = Some(self.since.elapsed());
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.scene.observer.signing(&SigningEvent::Finished {
            backend: self.scene.backend,
            operation: self.operation,
            outcome: self.outcome,
            duration: self.took.unwrap_or_else(|| self.since.elapsed()),
        });
    }
}

fn outcome<T>(result: &Result<T>) -> Outcome {
    match result {
        Ok(_) => Outcome::Ok,
        Err(SignError::Transient { kind: TransientKind::Unavailable, .. }) => Outcome::Transient,
        Err(SignError::Transient { kind: TransientKind::Throttled, .. }) => Outcome::Throttled,
        Err(SignError::Transient { kind: TransientKind::TimedOut, .. }) => Outcome::Timeout,
        Err(SignError::Refused { .. }) => Outcome::Refused,
        Err(SignError::Integrity { .. }) => Outcome::Integrity,
    }
}

/// A panic in an adapter is a failed call, not the end of the task that wanted a signature.
async fn without_panic<T>(call: impl Future<Output = Result<T>>) -> Result<T> {
    let mut call = pin!(call);
    poll_fn(|context| {
        let poll = AssertUnwindSafe(|| call.as_mut().poll(context));
        catch_unwind(poll)
            .unwrap_or_else(|_| Poll::Ready(Err(SignError::unavailable("the backend panicked"))))
    })
    .await
}
