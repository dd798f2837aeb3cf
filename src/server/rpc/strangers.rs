//! Sockets on which no good credential was shown yet: of whoever comes, so there are few, and whoever has been one for
//! longest makes place for the next. A client that shows its credential at once is none for longer than that takes.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;

/// All sockets of strangers.
#[derive(Clone)]
pub(super) struct Strangers(Arc<Inner>);

struct Inner {
    most: usize,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    last: u64,
    /// Oldest first.
    sockets: BTreeMap<u64, Arc<Notify>>,
}

/// A socket's place among them; dropped, it is free.
pub(super) struct Stranger {
    among: Strangers,
    number: u64,
    crowded_out: Arc<Notify>,
}

impl Strangers {
    /// At most so many, one at least.
    pub(super) fn new(most: usize) -> Self {
        Self(Arc::new(Inner { most: most.max(1), waiting: Mutex::default() }))
    }

    /// A place for one more, which may be another's until now.
    pub(super) fn join(&self) -> Stranger {
        let crowded_out = Arc::new(Notify::new());
        let mut waiting = self.waiting();
        if waiting.sockets.len() >= self.0.most
            && let Some((_, oldest)) = waiting.sockets.pop_first()
        {
            oldest.notify_one();
        }
        waiting.last += 1;
        let number = waiting.last;
        waiting.sockets.insert(number, crowded_out.clone());
        Stranger { among: self.clone(), number, crowded_out }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stranger {
    /// Tells when another has taken the place, also after this was dropped.
    pub(super) fn crowded_out(&self) -> Arc<Notify> {
        self.crowded_out.clone()
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.among.waiting().sockets.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    fn is_out(stranger: &Stranger) -> bool {
        stranger.crowded_out().notified().now_or_never().is_some()
    }

    #[tokio::test]
    async fn the_oldest_makes_place_and_whoever_has_left_needs_not() {
        let strangers = Strangers::new(2);
        let (first, second) = (strangers.join(), strangers.join());
        assert!(!is_out(&first));
        let third = strangers.join();
        assert!(is_out(&first));
        drop(third);
        let fourth = strangers.join();
        assert!(!is_out(&second));
        drop((first, second, fourth));
        assert!(strangers.waiting().sockets.is_empty());
    }
}
