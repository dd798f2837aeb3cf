//! A lock that is not waited for without end: whoever holds it may be inside a call that never comes back.

use std::{
    ops::{Deref, DerefMut},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How long anybody waits for a turn; less than it takes for a worker to be written off.
pub(super) const PATIENCE: Duration = Duration::from_secs(8);

/// One at a time, for calls into a module.
#[derive(Debug, Default)]
pub(super) struct Turn<T> {
    taken: Mutex<bool>,
    free: Condvar,
    // Never waited for: whoever has `taken` is alone with it.
    value: Mutex<T>,
}

pub(super) struct Taken<'a, T> {
    turn: &'a Turn<T>,
    value: MutexGuard<'a, T>,
}

impl<T> Turn<T> {
    /// Waits for its turn; `None` when whoever has it does not come back in time.
    pub(super) fn take(&self, patience: Duration) -> Option<Taken<'_, T>> {
        let deadline = Instant::now() + patience;
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        while *taken {
            let left = deadline.checked_duration_since(Instant::now())?;
            taken = self.free.wait_timeout(taken, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        *taken = true;
        drop(taken);
        Some(Taken { turn: self, value: self.value.lock().unwrap_or_else(PoisonError::into_inner) })
    }
}

impl<T> Deref for Taken<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Taken<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T> Drop for Taken<'_, T> {
    fn drop(&mut self) {
        *self.turn.taken.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.turn.free.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::Arc, thread};

    #[test]
    fn a_turn_that_does_not_come_back_is_not_waited_for_without_end() {
        let turn = Turn::<u8>::default();
        let held = turn.take(Duration::ZERO).unwrap();
        assert!(turn.take(Duration::from_millis(20)).is_none());
        drop(held);
        assert!(turn.take(Duration::ZERO).is_some());
    }

    #[test]
    fn one_at_a_time_and_everybody_in_the_end() {
        let turn = Arc::new(Turn::<u32>::default());
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let turn = turn.clone();
                thread::spawn(move || {
                    for _ in 0..200 {
                        *turn.take(PATIENCE).unwrap() += 1;
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(*turn.take(PATIENCE).unwrap(), 1600);
    }
}
