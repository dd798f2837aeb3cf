//! What this process knows of the intents it has met, and whose turn it is.

use super::KeyArn;
use catalyst_signing::{KeyIntent, Nonce};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, SystemTime},
};
use tokio::{
    sync::{Mutex as AsyncMutex, OwnedMutexGuard},
    time::Instant,
};

/// How long a key of an intent that an earlier process left is looked for at least: that process may have ended a moment
/// ago, with its request under way.
const AFTER_RESTART: Duration = Duration::from_secs(15);

/// What this process has done about intents.
///
/// One process owns the store that intents are committed to. So an intent which was committed since this process took the
/// account, and which it has not acted on, was acted on by nobody: its key need not be looked for.
#[derive(Debug)]
pub(crate) struct Attempts {
    /// To the millisecond, as intents are stored.
    since: SystemTime,
    met: Mutex<HashMap<Nonce, Met>>,
    turns: Mutex<HashMap<Nonce, Weak<AsyncMutex<()>>>>,
}

/// How an intent that may have been acted on stands.
#[derive(Clone, Debug)]
enum Met {
    /// An earlier process committed it, and may have acted on it.
    Inherited(Instant),
    /// CreateKey was sent, and what became of it is not known.
    Sent(Instant),
    /// CreateKey made this key.
    Made(KeyArn),
}

/// What CreateKey is sent under; what was known before comes back where KMS says that it made nothing.
#[derive(Debug)]
#[must_use]
pub(crate) struct Sending {
    nonce: Nonce,
    before: Option<Met>,
}

impl Attempts {
    /// Of a process that begins now.
    pub(crate) fn new() -> Self {
        Self { since: to_the_millisecond(SystemTime::now()), met: Mutex::default(), turns: Mutex::default() }
    }

    /// Whether nobody can have acted on the intent yet. One from the future was committed under another clock, and tells
    /// nothing.
    pub(crate) fn is_fresh(&self, intent: &KeyIntent) -> bool {
        let mut met = self.met();
        if met.contains_key(&intent.nonce) {
            return false;
        }
        let fresh = self.since <= intent.created_at && intent.created_at <= SystemTime::now();
        if !fresh {
            met.insert(intent.nonce, Met::Inherited(Instant::now()));
        }
        fresh
    }

    /// The key that this process has made for an intent.
    pub(crate) fn made(&self, nonce: &Nonce) -> Option<KeyArn> {
        match self.met().get(nonce) {
            Some(Met::Made(arn)) => Some(arn.clone()),
            _ => None,
        }
    }

    /// How long it is until a key that is not found was never made; `None`: no longer. KMS shows a new key late, so that
    /// takes `settle` from the moment when it may have been made.
    pub(crate) fn unsettled(&self, intent: &KeyIntent, settle: Duration) -> Option<Duration> {
        let met = self.met().get(&intent.nonce).cloned();
        let by_age =
            SystemTime::now().duration_since(intent.created_at).map(|age| settle.saturating_sub(age));
        let left = match (met, by_age) {
            (Some(Met::Sent(at)), _) | (Some(Met::Inherited(at)), Err(_)) => {
                settle.saturating_sub(at.elapsed())
            }
            (Some(Met::Inherited(at)), Ok(left)) => {
                left.max(settle.min(AFTER_RESTART).saturating_sub(at.elapsed()))
            }
            (Some(Met::Made(_)) | None, left) => left.unwrap_or(settle),
        };
        (!left.is_zero()).then_some(left)
    }

    /// CreateKey is about to be sent.
    pub(crate) fn send(&self, nonce: Nonce) -> Sending {
        Sending { nonce, before: self.met().insert(nonce, Met::Sent(Instant::now())) }
    }

    /// KMS said which key it made.
    pub(crate) fn has_made(&self, sending: Sending, arn: KeyArn) {
        self.met().insert(sending.nonce, Met::Made(arn));
    }

    /// KMS said that it made none.
    pub(crate) fn made_none(&self, sending: Sending) {
        let mut met = self.met();
        match sending.before {
            Some(before) => met.insert(sending.nonce, before),
            None => met.remove(&sending.nonce),
        };
    }

    /// Waits until no other call makes the key of this intent. Of two calls for one intent, the second begins when the
    /// first has made the key, has failed or was dropped.
    pub(crate) async fn turn(&self, nonce: Nonce) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, turn| turn.strong_count() > 0);
            let known = turns.get(&nonce).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let turn = Arc::new(AsyncMutex::new(()));
                turns.insert(nonce, Arc::downgrade(&turn));
                turn
            })
        };
        turn.lock_owned().await
    }

    fn met(&self) -> MutexGuard<'_, HashMap<Nonce, Met>> {
        self.met.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn to_the_millisecond(time: SystemTime) -> SystemTime {
    let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH
        + Duration::from_secs(since_epoch.as_secs())
        + Duration::from_millis(since_epoch.subsec_millis().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use catalyst_signing::{KeyRole, SignatureAlgorithm};
    use tokio::time::advance;

    const SETTLE: Duration = Duration::from_secs(300);

    fn intent(created_at: SystemTime) -> KeyIntent {
        KeyIntent {
            nonce: Nonce::random().unwrap(),
            deployment: "0123456789abcdef".to_owned(),
            role: KeyRole::Services,
            generation: 1,
            algorithm: SignatureAlgorithm::EcP384,
            created_at,
        }
    }

    fn ago(seconds: u64) -> SystemTime {
        SystemTime::now() - Duration::from_secs(seconds)
    }

    #[test]
    fn an_intent_is_fresh_until_it_is_acted_on() {
        let attempts = Attempts::new();
        let own = intent(to_the_millisecond(SystemTime::now()));
        assert!(attempts.is_fresh(&own) && attempts.is_fresh(&own));
        let sending = attempts.send(own.nonce);
        assert!(!attempts.is_fresh(&own));
        attempts.made_none(sending);
        assert!(attempts.is_fresh(&own));
        let arn = KeyArn::parse("arn:aws:kms:eu-central-1:111122223333:key/1").unwrap();
        attempts.has_made(attempts.send(own.nonce), arn.clone());
        assert!(!attempts.is_fresh(&own));
        assert_eq!(attempts.made(&own.nonce), Some(arn));
    }

    #[test]
    fn what_was_committed_before_or_under_another_clock_is_not_fresh() {
        let attempts = Attempts::new();
        let ahead = SystemTime::now() + Duration::from_secs(3600);
        for mut other in [intent(ago(1)), intent(ahead)] {
            assert!(!attempts.is_fresh(&other));
            // Nor is it when the clock has come to it.
            other.created_at = SystemTime::now();
            assert!(!attempts.is_fresh(&other));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_answer_counts_from_its_own_time() {
        let attempts = Attempts::new();
        let old = intent(ago(1000));
        assert!(!attempts.is_fresh(&old));
        let _lost = attempts.send(old.nonce);
        assert_eq!(attempts.unsettled(&old, SETTLE), Some(SETTLE));
        advance(Duration::from_secs(299)).await;
        assert_eq!(attempts.unsettled(&old, SETTLE), Some(Duration::from_secs(1)));
        advance(Duration::from_secs(1)).await;
        assert_eq!(attempts.unsettled(&old, SETTLE), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_an_earlier_process_left_is_looked_for_a_while_however_old_it_is() {
        let attempts = Attempts::new();
        let old = intent(ago(1000));
        assert!(!attempts.is_fresh(&old));
        assert_eq!(attempts.unsettled(&old, SETTLE), Some(AFTER_RESTART));
        let short = Duration::from_secs(2);
        assert_eq!(attempts.unsettled(&old, short), Some(short));
        advance(AFTER_RESTART).await;
        assert_eq!(attempts.unsettled(&old, SETTLE), None);

        let recent = intent(ago(100));
        assert!(!attempts.is_fresh(&recent));
        let left = attempts.unsettled(&recent, SETTLE).unwrap();
        assert!(left > AFTER_RESTART && left <= Duration::from_secs(200), "{left:?}");

        // What an intent's age tells nothing of counts from when it was met.
        let ahead = intent(SystemTime::now() + Duration::from_secs(3600));
        assert!(!attempts.is_fresh(&ahead));
        assert_eq!(attempts.unsettled(&ahead, SETTLE), Some(SETTLE));
    }
}
