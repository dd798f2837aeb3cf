//! How the Regions are: one key's bad experience spares the others theirs.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// How long a Region that failed is left alone by keys that have another.
const REST: Duration = Duration::from_secs(10);
/// A call that nobody waits for any more counts as a failed one if it had taken so long.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long it is until a Region that failed is asked whether it answers again.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
/// One that fails so soon after it was back answers questions, and not signatures: each time, the pause doubles.
const RELAPSE: Duration = Duration::from_secs(60);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(320);

/// Which Regions do not answer.
#[derive(Debug, Default)]
pub(crate) struct Regions {
    seen: Mutex<HashMap<String, Seen>>,
}

#[derive(Debug)]
struct Seen {
    at: Instant,
    answered: bool,
    /// When it was back last.
    back: Option<Instant>,
    pause: Duration,
}

impl Regions {
    /// Whether the last call to it failed, however long ago.
    pub(crate) fn is_ill(&self, region: &str) -> bool {
        self.lock().get(region).is_some_and(|seen| !seen.answered)
    }

    /// Whether it failed a moment ago.
    pub(crate) fn rests(&self, region: &str) -> bool {
        self.lock().get(region).is_some_and(|seen| !seen.answered && seen.at.elapsed() < REST)
    }

    /// How long it is left alone before it is asked whether it answers again.
    pub(crate) fn pause(&self, region: &str) -> Duration {
        self.lock().get(region).map_or(FIRST_PAUSE, |seen| seen.pause)
    }

    /// Nothing that was seen counts any more.
    pub(super) fn forget(&self) {
        self.lock().clear();
    }

    /// A call begins; what it tells of the Region is heard when it ends, or is given up.
    pub(crate) fn call<'a>(&'a self, region: &'a str) -> Call<'a> {
        Call { regions: self, region, since: Instant::now(), open: true }
    }

    fn saw(&self, region: &str, since: Instant, answered: bool) {
        let mut all = self.lock();
        match all.get_mut(region) {
            // It began before the Region was last seen to answer, so it tells of a time that is over.
            Some(seen) if seen.answered && !answered && since < seen.at => {}
            Some(seen) => seen.see(answered),
            None => {
                let seen = Seen { at: Instant::now(), answered, back: None, pause: FIRST_PAUSE };
                all.insert(region.to_owned(), seen);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn see(&mut self, answered: bool) {
        match (self.answered, answered) {
            (false, true) => self.back = Some(Instant::now()),
            (true, false) => {
                let relapsed = self.back.is_some_and(|back| back.elapsed() < RELAPSE);
                self.pause = if relapsed { LONGEST_PAUSE.min(self.pause * 2) } else { FIRST_PAUSE };
            }
            _ => {}
        }
        (self.at, self.answered) = (Instant::now(), answered);
    }
}

/// A call under way.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    regions: &'a Regions,
    region: &'a str,
    since: Instant,
    open: bool,
}

impl Call<'_> {
    /// KMS answered, whatever.
    pub(crate) fn answered(mut self) {
        self.open = false;
        self.regions.saw(self.region, self.since, true);
    }

    /// KMS did not answer, or failed itself.
    pub(crate) fn failed(mut self) {
        self.open = false;
        self.regions.saw(self.region, self.since, false);
    }

    /// The call says nothing of the Region.
    pub(crate) fn says_nothing(mut self) {
        self.open = false;
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if self.open && self.since.elapsed() >= PATIENCE {
            self.regions.saw(self.region, self.since, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn a_region_is_ill_until_it_answers_and_rests_a_while() {
        let regions = Regions::default();
        regions.call("eu-central-1").failed();
        assert!(regions.is_ill("eu-central-1") && regions.rests("eu-central-1"));
        assert!(!regions.is_ill("eu-west-1"));
        advance(REST).await;
        assert!(regions.is_ill("eu-central-1") && !regions.rests("eu-central-1"));
        regions.call("eu-central-1").answered();
        assert!(!regions.is_ill("eu-central-1"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_that_began_before_the_last_answer_is_old_news() {
        let regions = Regions::default();
        let slow = regions.call("eu-central-1");
        advance(Duration::from_secs(1)).await;
        regions.call("eu-central-1").answered();
        slow.failed();
        assert!(!regions.is_ill("eu-central-1"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_was_given_up_counts_once_it_has_taken_long() {
        let regions = Regions::default();
        drop(regions.call("eu-central-1"));
        assert!(!regions.is_ill("eu-central-1"));
        let hanging = regions.call("eu-central-1");
        advance(PATIENCE).await;
        drop(hanging);
        assert!(regions.is_ill("eu-central-1"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_says_nothing_changes_nothing() {
        let regions = Regions::default();
        regions.call("eu-central-1").failed();
        let call = regions.call("eu-central-1");
        advance(PATIENCE).await;
        call.says_nothing();
        assert!(regions.is_ill("eu-central-1"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_region_that_answers_questions_and_signs_nothing_is_asked_less_and_less_often() {
        let regions = Regions::default();
        let region = "eu-central-1";
        let mut pauses = Vec::new();
        for _ in 0..7 {
            regions.call(region).failed();
            regions.call(region).failed();
            pauses.push(regions.pause(region).as_secs());
            advance(regions.pause(region)).await;
            regions.call(region).answered();
            advance(RELAPSE / 2).await;
            regions.call(region).answered();
        }
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 320]);
        advance(RELAPSE).await;
        regions.call(region).failed();
        assert_eq!(regions.pause(region), FIRST_PAUSE);
    }
}
