//! Random choices that can be made again: from a seed that a failing test shows.

use std::{
    env,
    ops::Range,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// SplitMix64: good enough to choose moments and cases, and the same everywhere.
#[derive(Debug, Clone)]
pub struct Seeded(u64);

impl Seeded {
    /// From `CATALYST_RIG_SEED`, else from the clock; prints the seed, which a test shows when it fails.
    #[must_use]
    pub fn new() -> Self {
        let given = env::var("CATALYST_RIG_SEED").ok().and_then(|seed| seed.parse().ok());
        let clock =
            || SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |now| now.subsec_nanos().into());
        let seed = given.unwrap_or_else(clock);
        println!("run again with CATALYST_RIG_SEED={seed}");
        Self(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in the range; its start for an empty one.
    pub fn number(&mut self, range: Range<u64>) -> u64 {
        range.start + self.bits() % range.end.saturating_sub(range.start).max(1)
    }

    /// A duration up to `longest`.
    pub fn duration(&mut self, longest: Duration) -> Duration {
        let micros = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.number(0..micros.saturating_add(1)))
    }

    /// Another source that follows from this one, for another thread.
    #[must_use]
    pub fn split(&mut self) -> Self {
        Self(self.bits())
    }
}

impl Default for Seeded {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_makes_one_sequence_within_its_range() {
        let (mut one, mut other) = (Seeded(7), Seeded(7));
        for _ in 0..1000 {
            let number = one.number(3..9);
            assert!((3..9).contains(&number));
            assert_eq!(number, other.number(3..9));
            assert!(one.split().duration(Duration::from_millis(5)) <= Duration::from_millis(5));
            other.bits();
        }
    }
}
