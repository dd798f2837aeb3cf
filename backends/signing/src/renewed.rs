//! What is made with credentials, and made anew when they are not taken any more.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Clients that were made with the credentials of now. `T` is empty at first and fills itself; calls under way keep theirs
/// when another takes its place.
#[derive(Debug, Default)]
pub struct Renewed<T> {
    now: Mutex<Now<T>>,
}

#[derive(Debug, Default)]
struct Now<T> {
    what: Arc<T>,
    /// When it was last forgotten because its credentials were not taken.
    forgotten: Option<Instant>,
    /// How often an operator had asked to try again when it was begun.
    retries: u64,
}

impl<T: Default> Renewed<T> {
    /// An empty one. `retries` is how often an operator has asked to try again until now.
    #[must_use]
    pub fn new(retries: u64) -> Self {
        Self { now: Mutex::new(Now { what: Arc::default(), forgotten: None, retries }) }
    }

    /// The one of now; a new one since an operator has asked again.
    pub fn get(&self, retries: u64) -> Arc<T> {
        let mut now = self.lock();
        if now.retries != retries {
            *now = Now { what: Arc::default(), forgotten: None, retries };
        }
        now.what.clone()
    }

    /// Its credentials were not taken: they are read anew for the next call. Every call under way may say so, so this is done
    /// once in so long a time.
    pub fn forget(&self, pause: Duration) {
        let mut now = self.lock();
        if now.forgotten.is_none_or(|last| last.elapsed() >= pause) {
            now.what = Arc::default();
            now.forgotten = Some(Instant::now());
        }
    }

    /// Lets credentials and connections go, once the calls under way have ended.
    pub fn let_go(&self) {
        drop(mem::take(&mut self.lock().what));
    }

    fn lock(&self) -> MutexGuard<'_, Now<T>> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn what_is_forgotten_is_made_anew_once_in_a_while_or_when_an_operator_asks() {
        let renewed = Renewed::<()>::new(0);
        let first = renewed.get(0);
        assert!(Arc::ptr_eq(&first, &renewed.get(0)));
        renewed.forget(PAUSE);
        let second = renewed.get(0);
        assert!(!Arc::ptr_eq(&first, &second));
        renewed.forget(PAUSE);
        assert!(Arc::ptr_eq(&second, &renewed.get(0)), "forgotten a moment ago");
        let third = renewed.get(1);
        assert!(!Arc::ptr_eq(&second, &third));
        renewed.forget(PAUSE);
        let fourth = renewed.get(1);
        assert!(!Arc::ptr_eq(&third, &fourth), "an operator's wish begins anew");
        tokio::time::advance(PAUSE).await;
        renewed.forget(PAUSE);
        assert!(!Arc::ptr_eq(&fourth, &renewed.get(1)));
        let fifth = renewed.get(1);
        renewed.let_go();
        assert!(!Arc::ptr_eq(&fifth, &renewed.get(1)));
    }
}
