//! Who works, who waits and who hangs: the pool's bookkeeping, without a thread in it.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// How long a worker may be at one piece of work before another may be taken on in its place.
pub(super) const OVERDUE: Duration = Duration::from_secs(10);
/// How many threads may hang at once.
pub(super) const WRITTEN_OFF_MOST: usize = 32;
/// How long a limit counts that the token taught by refusing a session: others may have taken them for a while.
const LEARNED_FOR: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Roster {
    wanted: usize,
    learned: Option<(usize, Instant)>,
    workers: BTreeMap<u64, Worker>,
    next: u64,
}

#[derive(Debug, Default)]
struct Worker {
    busy_since: Option<Instant>,
    has_session: bool,
    written_off: bool,
}

/// What the pool does about waiting work.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Idle workers take it, or busy ones when they are done.
    Wait,
    /// One more worker is taken on: this one.
    Hire(u64),
    /// Nobody can take it: every worker hangs, and there may be no more of them.
    Refuse,
}

impl Roster {
    pub(super) fn new(wanted: usize) -> Self {
        Self { wanted: wanted.max(1), learned: None, workers: BTreeMap::new(), next: 0 }
    }

    /// Decides about `waiting` pieces of work, where the token gives `allowance` sessions.
    pub(super) fn plan(&mut self, waiting: usize, allowance: Option<usize>, now: Instant) -> Plan {
        let idle = self.present().filter(|worker| worker.busy_since.is_none()).count();
        if waiting <= idle {
            return Plan::Wait;
        }
        if self.present().count() < self.capacity(allowance, now) {
            let id = self.next;
            self.next += 1;
            self.workers.insert(id, Worker::default());
            return Plan::Hire(id);
        }
        if self.present().all(|worker| worker.is_overdue(now)) { Plan::Refuse } else { Plan::Wait }
    }

    /// Writes off who hangs; how many they are.
    pub(super) fn write_off(&mut self, now: Instant) -> usize {
        let room = WRITTEN_OFF_MOST - self.written_off();
        let overdue =
            self.workers.values_mut().filter(|worker| !worker.written_off && worker.is_overdue(now));
        overdue.take(room).map(|worker| worker.written_off = true).count()
    }

    /// The worker takes up work.
    pub(super) fn busy(&mut self, id: u64, now: Instant) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.busy_since = Some(now);
        }
    }

    /// The worker is done with its work. A written-off one rejoins where it is still wanted.
    pub(super) fn done(
        &mut self,
        id: u64,
        has_session: bool,
        allowance: Option<usize>,
        now: Instant,
    ) -> Return {
        let Some(worker) = self.workers.get_mut(&id) else {
            return Return::NotWanted;
        };
        worker.busy_since = None;
        worker.has_session = has_session;
        if !worker.written_off {
            return Return::Stays;
        }
        // It counted against the capacity as one that hangs.
        worker.written_off = false;
        if self.present().count() > self.capacity(allowance, now) {
            self.workers.remove(&id);
            return Return::NotWanted;
        }
        Return::Rejoins
    }

    /// The token gave this worker no session: how many others have one, or may be opening it, who are all there can be
    /// for now.
    pub(super) fn learn(&mut self, id: u64, now: Instant) -> usize {
        self.workers.remove(&id);
        let with_session =
            self.present().filter(|worker| worker.has_session || worker.busy_since.is_some()).count();
        self.learned = (with_session > 0).then_some((with_session, now));
        with_session
    }

    pub(super) fn forget_what_was_learned(&mut self) {
        self.learned = None;
    }

    pub(super) fn leave(&mut self, id: u64) {
        self.workers.remove(&id);
    }

    /// Those who are there and not written off.
    pub(super) fn at_hand(&self) -> usize {
        self.present().count()
    }

    fn present(&self) -> impl Iterator<Item = &Worker> {
        self.workers.values().filter(|worker| !worker.written_off)
    }

    fn written_off(&self) -> usize {
        self.workers.values().filter(|worker| worker.written_off).count()
    }

    fn capacity(&self, allowance: Option<usize>, now: Instant) -> usize {
        let learned = self.learned.filter(|(_, since)| now.duration_since(*since) < LEARNED_FOR);
        // The session of one who hangs is the token's still.
        let allowed = allowance.map_or(usize::MAX, |most| most.saturating_sub(self.written_off()));
        self.wanted.min(allowed).min(learned.map_or(usize::MAX, |(most, _)| most))
    }
}

/// Whether a worker goes on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Return {
    Stays,
    /// Its call came back after it was written off.
    Rejoins,
    /// Others have taken its place.
    NotWanted,
}

impl Worker {
    fn is_overdue(&self, now: Instant) -> bool {
        self.busy_since.is_some_and(|since| now.duration_since(since) >= OVERDUE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hire(roster: &mut Roster, allowance: Option<usize>, now: Instant) -> u64 {
        let Plan::Hire(id) = roster.plan(99, allowance, now) else {
            panic!("nobody is hired: {roster:?}");
        };
        roster.busy(id, now);
        id
    }

    #[test]
    fn workers_are_taken_on_when_nobody_is_idle_and_up_to_the_limits() {
        let now = Instant::now();
        for (wanted, allowance, most) in [(4, None, 4), (4, Some(9), 4), (4, Some(2), 2), (0, None, 1)] {
            let mut roster = Roster::new(wanted);
            let first = hire(&mut roster, allowance, now);
            assert_eq!(roster.done(first, true, allowance, now), Return::Stays);
            assert_eq!(roster.plan(1, allowance, now), Plan::Wait, "one is idle");
            roster.busy(first, now);
            for _ in 1..most {
                hire(&mut roster, allowance, now);
            }
            assert_eq!(roster.plan(99, allowance, now), Plan::Wait);
            assert_eq!(roster.at_hand(), most);
        }
    }

    #[test]
    fn one_who_hangs_is_replaced_and_rejoins_when_there_is_room() {
        let start = Instant::now();
        let late = start + OVERDUE;
        let mut roster = Roster::new(1);
        let hung = hire(&mut roster, None, start);
        assert_eq!(roster.write_off(late - Duration::from_millis(1)), 0);
        assert_eq!(roster.write_off(late), 1);
        let second = hire(&mut roster, None, late);
        assert_eq!(roster.done(hung, true, None, late), Return::NotWanted, "another is in its place");

        assert_eq!(roster.write_off(late + OVERDUE), 1);
        assert_eq!(roster.done(second, true, None, late + OVERDUE), Return::Rejoins);
        assert_eq!(roster.at_hand(), 1);
    }

    #[test]
    fn sessions_that_hang_count_against_the_token() {
        let start = Instant::now();
        let late = start + OVERDUE;
        let mut roster = Roster::new(8);
        for _ in 0..2 {
            hire(&mut roster, Some(2), start);
        }
        assert_eq!(roster.plan(1, Some(2), start), Plan::Wait);
        assert_eq!(roster.write_off(late), 2);
        assert_eq!(roster.plan(1, Some(2), late), Plan::Refuse);
        assert!(matches!(roster.plan(1, Some(3), late), Plan::Hire(_)));
    }

    #[test]
    fn at_most_so_many_threads_hang_and_then_work_is_refused() {
        let start = Instant::now();
        let late = start + OVERDUE;
        let mut roster = Roster::new(40);
        for _ in 0..40 {
            hire(&mut roster, None, start);
        }
        assert_eq!(roster.write_off(late), WRITTEN_OFF_MOST);
        assert_eq!(roster.write_off(late), 0);
        for _ in 0..32 {
            hire(&mut roster, None, late);
        }
        let later = late + OVERDUE;
        assert_eq!(roster.write_off(later), 0);
        assert_eq!(roster.plan(1, None, later), Plan::Refuse);
    }

    #[test]
    fn a_token_that_gives_fewer_sessions_teaches_the_limit_for_a_while() {
        let now = Instant::now();
        let mut roster = Roster::new(8);
        for _ in 0..2 {
            let id = hire(&mut roster, None, now);
            roster.done(id, true, None, now);
            roster.busy(id, now);
        }
        let third = hire(&mut roster, None, now);
        assert_eq!(roster.learn(third, now), 2);
        assert_eq!(roster.plan(1, None, now), Plan::Wait);
        assert!(matches!(roster.plan(1, None, now + LEARNED_FOR), Plan::Hire(_)));

        let mut alone = Roster::new(8);
        let only = hire(&mut alone, None, now);
        assert_eq!(alone.learn(only, now), 0);
        assert!(matches!(alone.plan(1, None, now), Plan::Hire(_)), "the next may fare better");
    }
}
