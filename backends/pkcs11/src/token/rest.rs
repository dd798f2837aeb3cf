//! The rest that a token gets when it keeps failing: a new session and a login for every request would not mend it.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// The first rest; each is twice as long as the one before.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// The losses of a token since its last piece of successful work.
#[derive(Debug, Default)]
pub(super) struct Rest(Mutex<State>);

/// How many losses were counted when a session or a piece of work began: what is older than the last loss says nothing
/// of what came after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Round(u64);

#[derive(Debug, Default)]
struct State {
    round: u64,
    mood: Mood,
    /// Whether the log tells of this time of trouble already.
    told: bool,
}

#[derive(Clone, Copy, Debug, Default)]
enum Mood {
    #[default]
    Calm,
    /// One loss, which is rebuilt at once.
    Shaken,
    /// Nothing is tried before `until`.
    Resting { until: Instant, length: Duration },
}

impl Rest {
    /// Lets work begin.
    ///
    /// # Errors
    /// What is left of the rest. When it is over, one is let through, and the others a moment later.
    pub(super) fn admit(&self, now: Instant) -> Result<(), Duration> {
        let mut state = self.state();
        if let Mood::Resting { until, length } = state.mood {
            if now < until {
                return Err(until - now);
            }
            state.mood = Mood::Resting { until: now + FIRST, length };
        }
        Ok(())
    }

    pub(super) fn round(&self) -> Round {
        Round(self.state().round)
    }

    /// Whether a loss is rebuilt at once.
    pub(super) fn is_resting(&self) -> bool {
        matches!(self.state().mood, Mood::Resting { .. })
    }

    /// Counts a loss in a session of `round`. Answers how long the token rests, if it does from now on.
    pub(super) fn lost(&self, round: Round, now: Instant) -> Option<Duration> {
        let mut state = self.state();
        if round.0 != state.round {
            return None;
        }
        state.round += 1;
        let length = match state.mood {
            Mood::Calm => {
                state.mood = Mood::Shaken;
                return None;
            }
            Mood::Shaken => FIRST,
            Mood::Resting { length, .. } => (length * 2).min(LONGEST),
        };
        state.mood = Mood::Resting { until: now + length, length };
        Some(length)
    }

    /// Whether the log is to tell of the trouble: once until work succeeds.
    pub(super) fn tell(&self) -> bool {
        !std::mem::replace(&mut self.state().told, true)
    }

    /// Work that began in `round` succeeded. Answers whether that ends a trouble that the log told of.
    pub(super) fn succeeded(&self, round: Round) -> bool {
        let mut state = self.state();
        if round.0 != state.round {
            return false;
        }
        state.mood = Mood::Calm;
        std::mem::take(&mut state.told)
    }

    /// An operator wants it tried now.
    pub(super) fn end(&self) {
        self.state().mood = Mood::Calm;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_loss_is_rebuilt_and_the_next_ones_rest_longer_each() {
        let (rest, now) = (Rest::default(), Instant::now());
        assert_eq!(rest.lost(rest.round(), now), None);
        assert_eq!(rest.admit(now), Ok(()));
        let rests: Vec<_> = (0..8).map(|_| rest.lost(rest.round(), now).unwrap().as_millis()).collect();
        assert_eq!(rests, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(rest.admit(now), Err(LONGEST));
        rest.succeeded(rest.round());
        assert_eq!(rest.admit(now), Ok(()));
        assert_eq!(rest.lost(rest.round(), now), None);
    }

    #[test]
    fn one_tries_when_the_rest_is_over() {
        let (rest, now) = (Rest::default(), Instant::now());
        rest.lost(rest.round(), now);
        rest.lost(rest.round(), now);
        assert_eq!(rest.admit(now), Err(FIRST));
        assert_eq!(rest.admit(now + FIRST), Ok(()));
        assert_eq!(rest.admit(now + FIRST), Err(FIRST));
        rest.end();
        assert_eq!(rest.admit(now + FIRST), Ok(()));
    }

    #[test]
    fn sessions_of_before_a_loss_say_nothing_of_what_came_after() {
        let (rest, now) = (Rest::default(), Instant::now());
        let before = rest.round();
        rest.lost(before, now);
        assert!(rest.tell() && !rest.tell());
        assert_eq!(rest.lost(before, now), None);
        assert!(!rest.is_resting());
        assert!(!rest.succeeded(before));
        assert!(rest.succeeded(rest.round()));
        assert!(!rest.succeeded(rest.round()));
    }
}
