//! A proxy before LocalStack, in the process of the test: it counts the calls, fails as a test says, refuses what AWS
//! refuses, and has the keys that LocalStack has not (Ed25519, ML-DSA).

mod answer;
mod emulated;
mod faults;
mod gate;
mod hidden;
mod pairs;
mod policy;
mod replicas;
mod request;
mod rules;
mod server;
mod service;
mod strict;
#[cfg(test)]
mod tests;
mod upstream;

pub use rules::{Fault, Foreign, RuleId, Says, When};

use super::{Caller, LocalStack};
use crate::RigError;
use policy::Policy;
use rules::Rules;
use service::Service;
use std::{
    net::SocketAddr,
    sync::{Arc, MutexGuard, PoisonError},
};
use tokio::runtime::{Builder, Runtime};

/// One call that reached the proxy, in whatever way it was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// As IAM names it, without `kms:`.
    pub operation: String,
    /// The Region that it was signed for.
    pub region: String,
    /// Who signed it.
    pub access_key_id: String,
    /// The key that it names: its id, or the alias where callers wrote one.
    pub key: Option<String>,
    /// In what form Sign got its message: `DIGEST`, `RAW`, `EXTERNAL_MU`.
    pub message_type: Option<String>,
}

/// The proxy. It runs on threads of its own until it is dropped, so blocking and asynchronous tests use it alike.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    localstack: LocalStack,
    service: Arc<Service>,
    runtime: Option<Runtime>,
}

impl FaultProxy {
    /// How its threads are named, for who wants to know what they cost.
    pub const THREADS: &'static str = "kms";

    /// Before this LocalStack, without a rule yet. All callers are in its account.
    ///
    /// # Errors
    /// No port or no thread is to be had.
    pub fn before(localstack: &LocalStack) -> Result<Self, RigError> {
        let runtime =
            Builder::new_multi_thread().worker_threads(2).thread_name(Self::THREADS).enable_all().build()?;
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let service = Arc::new(Service::new(localstack)?);
        runtime.spawn(server::serve(listener, service.clone()));
        Ok(Self { address, localstack: localstack.clone(), service, runtime: Some(runtime) })
    }

    /// Before the LocalStack that `tests/run` started, in a new account.
    ///
    /// # Errors
    /// As of [`LocalStack::at_hand`].
    pub fn at_hand() -> Result<Self, RigError> {
        Self::before(&LocalStack::at_hand()?)
    }

    /// Where it listens: `http://127.0.0.1:<port>`, for all Regions.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What stands behind it.
    #[must_use]
    pub fn localstack(&self) -> &LocalStack {
        &self.localstack
    }

    /// Somebody who asks in this Region.
    #[must_use]
    pub fn caller(&self, region: &str) -> Caller {
        Caller::new(self.address, self.localstack.access_key_id(), region)
    }

    /// The calls so far, in the order in which they came.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        locked(&self.service.calls).clone()
    }

    /// How often this operation was called so far.
    #[must_use]
    pub fn count(&self, operation: &str) -> usize {
        locked(&self.service.calls).iter().filter(|call| call.operation == operation).count()
    }

    /// Forgets the calls so far.
    pub fn forget_calls(&self) {
        locked(&self.service.calls).clear();
    }

    /// Waits until this operation was called so often.
    pub async fn called(&self, operation: &str, times: usize) {
        let mut arrivals = self.service.arrivals.subscribe();
        while self.count(operation) < times {
            // The sender lives as long as the proxy.
            let _ = arrivals.changed().await;
        }
    }

    /// How many answers [`Fault::AnswerHangs`] has kept back so far: that often KMS has acted, and nobody knows.
    #[must_use]
    pub fn withheld(&self) -> usize {
        self.service.withheld.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Adds a rule. Of several faults that strike one call, delays add up, the first that keeps it from KMS decides, and
    /// all that change the answer do.
    pub fn script(&self, when: When, fault: Fault) -> RuleId {
        locked(&self.service.rules).add(when, fault)
    }

    /// Takes a rule away. Calls that hang stay so.
    pub fn lift(&self, rule: RuleId) {
        locked(&self.service.rules).lift(rule);
    }

    /// Takes all rules away.
    pub fn heal(&self) {
        locked(&self.service.rules).clear();
    }

    /// Keys made from now on are invisible to every read and Sign: each for so many calls that would have shown it, or
    /// until [`Self::release`].
    pub fn hide_new_keys(&self, calls: Option<usize>) {
        locked(&self.service.hidden).hide_new(calls);
    }

    /// Shows all keys at once.
    pub fn release(&self) {
        locked(&self.service.hidden).release();
    }

    /// From now on this caller may do what the policy (an IAM policy document, JSON) allows. Callers without a policy
    /// may do everything.
    ///
    /// # Errors
    /// It is no policy, or has what the proxy does not enforce; the error names it.
    pub fn enforce(&self, access_key_id: &str, policy: &str) -> Result<(), RigError> {
        let policy = Arc::new(Policy::read(policy)?);
        locked(&self.service.policies).insert(access_key_id.to_owned(), policy);
        Ok(())
    }

    /// From now on the proxy makes P-256 and P-384 keys of its own, and signs with its own keys without asking
    /// LocalStack, which signs fewer than a thousand times a second. For benchmarks: it no longer notices a key's state.
    pub fn sign_alone(&self) {
        self.service.signs_alone.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn locked<T>(mutex: &std::sync::Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
