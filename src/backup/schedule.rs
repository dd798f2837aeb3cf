//! Backups that a service makes by itself: when the next is due, when one is overdue, and which of them stay. Decided
//! here from what lies in the directory; nothing is done.

use super::{Held, Shelf};
use crate::identity::Timestamp;
use std::{num::NonZeroUsize, time::Duration};

/// The first wait after a failure; each further one doubles it.
const FIRST_RETRY: Duration = Duration::from_secs(30);
/// No wait after a failure is longer.
const LAST_RETRY: Duration = Duration::from_secs(3_600);

/// How often, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// From one backup to the next.
    pub every: Duration,
    /// How many stay.
    pub keep: NonZeroUsize,
}

impl Schedule {
    /// How long it is until the next is due; nothing where it is now. A service that starts anew goes on from what lies
    /// there, so that restarts neither make more of them nor fewer.
    #[must_use]
    pub fn wait(&self, newest: Option<Timestamp>, now: Timestamp) -> Duration {
        newest.map_or(Duration::ZERO, |newest| self.every.saturating_sub(age(newest, now)))
    }

    /// Whether one is missing: the newest is older than the interval and a quarter of it, or there is none although
    /// it was tried (`failed`).
    #[must_use]
    pub fn is_overdue(&self, newest: Option<Timestamp>, now: Timestamp, failed: bool) -> bool {
        newest.map_or(failed, |newest| age(newest, now) > self.every + self.every / 4)
    }

    /// How long to wait after so many failures in a row: longer with each, and never as long as the interval.
    #[must_use]
    pub fn retry_after(&self, failures: u32) -> Duration {
        let doubled = FIRST_RETRY.saturating_mul(1 << failures.saturating_sub(1).min(16));
        doubled.min(LAST_RETRY).min(self.every / 4).max(Duration::from_secs(1))
    }

    /// The names of those that need not stay, now that one was written. Never that one, nor any that is newer than it,
    /// as there are where the clock was once ahead; those do not count either.
    #[must_use]
    pub fn surplus<'s>(&self, shelf: &'s Shelf, written: &Held) -> Vec<&'s str> {
        let older = shelf.good.iter().filter(|held| held.at <= written.at && held.name != written.name);
        let older: Vec<_> = older.map(|held| held.name.as_str()).collect();
        let stay = (self.keep.get() - 1).min(older.len());
        older[..older.len() - stay].to_vec()
    }
}

fn age(of: Timestamp, now: Timestamp) -> Duration {
    Duration::from_millis(u64::try_from(now.millis().saturating_sub(of.millis())).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_770_940_800);
    const DAY: u64 = 86_400;

    fn schedule(seconds: u64, keep: usize) -> Schedule {
        Schedule { every: Duration::from_secs(seconds), keep: NonZeroUsize::new(keep).unwrap() }
    }

    fn held(at: i64) -> Held {
        Held { name: format!("{at:06}"), size: 1, at: NOW.plus_seconds(at) }
    }

    fn shelf(mut at: Vec<i64>) -> Shelf {
        at.sort_unstable();
        at.dedup();
        Shelf { good: at.into_iter().map(held).collect(), ..Shelf::default() }
    }

    #[test]
    fn the_first_is_due_by_the_age_of_what_lies_there() {
        let daily = schedule(DAY, 7);
        assert_eq!(daily.wait(None, NOW), Duration::ZERO);
        assert_eq!(daily.wait(Some(NOW.plus_seconds(-3_600)), NOW), Duration::from_secs(DAY - 3_600));
        assert_eq!(daily.wait(Some(NOW.plus_seconds(-100_000)), NOW), Duration::ZERO);
    }

    #[test]
    fn a_quarter_of_the_interval_is_forgiven() {
        let daily = schedule(DAY, 7);
        let overdue = |age: i64| daily.is_overdue(Some(NOW.plus_seconds(-age)), NOW, true);
        assert_eq!([0, 86_400, 108_000, 108_001].map(overdue), [false, false, false, true]);
        assert!(daily.is_overdue(None, NOW, true) && !daily.is_overdue(None, NOW, false));
    }

    #[test]
    fn one_of_the_future_puts_nothing_off() {
        let shelf = shelf(vec![-3 * 86_400, 50 * 86_400]);
        assert_eq!(shelf.newest(NOW), Some(&shelf.good[0]));
        assert_eq!(schedule(DAY, 7).wait(shelf.newest(NOW).map(|held| held.at), NOW), Duration::ZERO);
    }

    #[test]
    fn failures_wait_longer_each_time_and_never_for_the_interval() {
        let waits = |seconds| [1, 2, 3, 30].map(|n| schedule(seconds, 1).retry_after(n).as_secs());
        assert_eq!(waits(DAY), [30, 60, 120, 3_600]);
        assert_eq!(waits(60), [15; 4]);
        assert_eq!(waits(1), [1; 4]);
    }

    #[test]
    fn the_clock_set_back_deletes_nothing_that_is_newer() {
        let shelf = shelf(vec![-2, -1, 0, 10, 11, 12]);
        assert_eq!(schedule(DAY, 2).surplus(&shelf, &held(0)), ["-00002"]);
        assert_eq!(schedule(DAY, 1).surplus(&shelf, &held(0)), ["-00002", "-00001"]);
    }

    proptest! {
        #[test]
        fn what_stays_is_the_newest_and_what_was_written(
            at in prop::collection::vec(-1_000_i64..1_000, 0..40), written in -1_000_i64..1_000, keep in 1_usize..12,
        ) {
            let shelf = shelf([at, vec![written]].concat());
            let surplus = schedule(DAY, keep).surplus(&shelf, &held(written));
            let goes = |held: &&Held| surplus.contains(&held.name.as_str());
            let past: Vec<_> = shelf.good.iter().filter(|held| held.at <= NOW.plus_seconds(written)).collect();
            prop_assert_eq!(past.iter().filter(|held| !goes(held)).count(), keep.min(past.len()));
            prop_assert!(!surplus.contains(&held(written).name.as_str()));
            // Nothing that goes is newer than anything that stays.
            let newest_gone = shelf.good.iter().filter(goes).map(|held| held.at).max();
            let oldest_kept = shelf.good.iter().filter(|held| !goes(held)).map(|held| held.at).min();
            prop_assert!(newest_gone < oldest_kept);
        }

        #[test]
        fn one_that_is_overdue_is_due(age in -200_000_i64..1_000_000, every in 1_u64..500_000) {
            let (schedule, newest) = (schedule(every, 1), Some(NOW.plus_seconds(-age)));
            if schedule.is_overdue(newest, NOW, false) {
                prop_assert_eq!(schedule.wait(newest, NOW), Duration::ZERO);
            }
            prop_assert!(schedule.wait(newest, NOW) <= schedule.every);
        }
    }
}
