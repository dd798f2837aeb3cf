//! The watch over one key: probe signatures while nothing else shows that it works, and what the key store says of it.

use super::{Operation, key::Inner, retry::Backoff};
use crate::KeyState;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, timeout};

/// How often a key is probed that worked last, and its key store asked how it is.
const EVERY: Duration = Duration::from_secs(60);
/// How soon after a failure.
const AFTER_FAILURE: Duration = Duration::from_secs(10);
/// How long a probe may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs until the key is dropped.
pub(super) async fn watch(inner: Arc<Inner>) {
    tokio::join!(watch_state(&inner), watch_signatures(&inner));
}

/// Whatever signatures show: a key that will be destroyed may sign until then.
async fn watch_state(inner: &Inner) {
    loop {
        if !inner.health.is_latched() {
            ask_state(inner).await;
        }
        sleep(EVERY).await;
    }
}

async fn watch_signatures(inner: &Inner) {
    let health = &inner.health;
    loop {
        let pause = if health.is_ready() { EVERY } else { AFTER_FAILURE };
        let changed = timeout(pause, health.changed.notified()).await.is_ok();
        let retry_asked = health.take_retry_asked();
        if (changed && !retry_asked) || health.is_latched() {
            continue;
        }
        // A real signature since the last look says more than a probe, and costs nothing.
        if health.take_signed() && health.is_ready() {
            continue;
        }
        if retry_asked || !health.is_ready() {
            ask_state(inner).await;
        }
        // How it ended is in `health`; its own success is no real signature.
        let _ = inner.probe(Backoff::for_probe(inner.jitter), Instant::now() + PATIENCE).await;
        health.take_signed();
    }
}

async fn ask_state(inner: &Inner) {
    let call = async { inner.key.state().await };
    let deadline = Instant::now() + PATIENCE;
    match inner.scene.attempt(Operation::State, deadline, call, |_| Ok(())).await {
        Ok(state) => inner.health.set_key_state(state),
        // What was said of it last holds: a key that will be destroyed is not safe because its key store is away.
        Err(error) if error.is_transient() => {}
        Err(_) => inner.health.set_key_state(KeyState::Unknown),
    }
}
