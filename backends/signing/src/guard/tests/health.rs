//! Probes: when they are made, and when not.

use super::*;
use crate::KeyState;
use tokio::time::sleep;

async fn watched(rogue: &Arc<Rogue>) -> (GuardedKey, Arc<Seen>) {
    let seen = Arc::new(Seen::default());
    let key = guard(&seen).open(rogue.clone(), rogue.pin(), policy(true, 4), within(5)).await.unwrap();
    sleep(Duration::from_millis(500)).await;
    (key, seen)
}

fn probes(seen: &Seen) -> usize {
    seen.outcomes(Operation::Probe).len()
}

#[tokio::test(start_paused = true)]
async fn an_idle_key_is_probed_every_minute_over_no_tbs() {
    let rogue = Rogue::new();
    let (key, seen) = watched(&rogue).await;
    sleep(seconds(59)).await;
    assert_eq!(probes(&seen), 0);
    sleep(seconds(1)).await;
    assert_eq!(probes(&seen), 1);
    sleep(seconds(540)).await;
    assert_eq!(probes(&seen), 10);
    assert!(
        rogue.signed.lock().unwrap().iter().all(|(_, m)| m == b"catalyst-pki/probe/v1\x000123456789abcdef")
    );
    assert_eq!((key.health(), key.key_state()), (KeyHealth::Ready, KeyState::Usable));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_signs_is_not_probed() {
    let rogue = Rogue::new();
    let (key, seen) = watched(&rogue).await;
    for _ in 0..30 {
        sleep(seconds(20)).await;
        sign(&key).await.unwrap();
    }
    assert_eq!(probes(&seen), 0);
}

#[tokio::test(start_paused = true)]
async fn the_state_of_a_key_that_signs_is_asked_every_minute() {
    let rogue = Rogue::new();
    let (key, seen) = watched(&rogue).await;
    *rogue.state.lock().unwrap() = Ok(KeyState::DestructionScheduled);
    for _ in 0..30 {
        sleep(seconds(20)).await;
        sign(&key).await.unwrap();
    }
    assert_eq!((key.health(), key.key_state()), (KeyHealth::Ready, KeyState::DestructionScheduled));
    assert_eq!((probes(&seen), seen.outcomes(Operation::State).len()), (0, 11));
}

#[tokio::test(start_paused = true)]
async fn what_was_said_of_a_key_holds_while_its_key_store_is_away() {
    let rogue = Rogue::new();
    let (key, _) = watched(&rogue).await;
    let minute_of = async |state| {
        *rogue.state.lock().unwrap() = state;
        sleep(seconds(60)).await;
        key.key_state()
    };
    let scheduled = KeyState::DestructionScheduled;
    assert_eq!(minute_of(Ok(scheduled)).await, scheduled);
    assert_eq!(minute_of(Err(SignError::unavailable("away"))).await, scheduled);
    assert_eq!(minute_of(Err(SignError::refused(Refusal::Denied, "no"))).await, KeyState::Unknown);
}

#[tokio::test(start_paused = true)]
async fn a_failed_probe_is_repeated_every_ten_seconds_until_it_works() {
    let rogue = Rogue::new();
    let (key, seen) = watched(&rogue).await;
    *rogue.state.lock().unwrap() = Ok(KeyState::Disabled);
    rogue.will(vec![Act::Fail(SignError::unavailable("away")); 3]);
    sleep(seconds(60)).await;
    assert!(matches!(key.health(), KeyHealth::Suspect { .. }));
    assert_eq!(key.key_state(), KeyState::Disabled);
    sleep(seconds(30)).await;
    assert_eq!((probes(&seen), key.health()), (4, KeyHealth::Ready));
    sleep(seconds(59)).await;
    assert_eq!(probes(&seen), 4);
}

#[tokio::test(start_paused = true)]
async fn a_failed_request_brings_the_next_probe_forward() {
    let rogue = Rogue::new();
    let (key, seen) = watched(&rogue).await;
    rogue.will([Act::Hang]);
    key.sign(Purpose::Crl, Vec::new(), within(1)).await.unwrap_err();
    sleep(seconds(11)).await;
    assert_eq!((probes(&seen), key.health()), (1, KeyHealth::Ready));
}

#[tokio::test(start_paused = true)]
async fn a_latched_key_is_not_probed_until_an_operator_retries() {
    let rogue = Rogue::new();
    let (key, seen) = watched(&rogue).await;
    rogue.will([Act::Fail(SignError::refused(Refusal::Pin, "CKR_PIN_INCORRECT"))]);
    sign(&key).await.unwrap_err();
    let asked = seen.outcomes(Operation::State).len();
    sleep(seconds(3600)).await;
    assert_eq!((rogue.calls(), seen.outcomes(Operation::State).len()), (1, asked));
    key.retry();
    sleep(seconds(1)).await;
    assert_eq!((probes(&seen), key.health()), (1, KeyHealth::Ready));
    assert_eq!(seen.outcomes(Operation::State).len(), asked + 1);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_hangs_ends_and_a_bad_one_latches() {
    let rogue = Rogue::new();
    let (key, _) = watched(&rogue).await;
    rogue.will([Act::Hang, Act::Garbage, Act::Garbage, Act::Garbage]);
    sleep(seconds(71)).await;
    assert!(matches!(key.health(), KeyHealth::Suspect { .. }));
    sleep(seconds(11)).await;
    assert!(matches!(key.health(), KeyHealth::Latched { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_probe_is_no_way_round_the_purposes() {
    let rogue = Rogue::new();
    let (key, _) = watched(&rogue).await;
    let error = key.sign(Purpose::Probe, b"a token".to_vec(), within(1)).await.unwrap_err();
    assert_eq!(error.code(), "key_refused_purpose");
    assert_eq!((rogue.calls(), key.health()), (0, KeyHealth::Ready));
    key.probe(within(1)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_watch_ends_with_the_key() {
    let rogue = Rogue::new();
    let (key, _) = watched(&rogue).await;
    let view = key.view();
    assert_eq!(view.now().map(|now| (now.health, now.state)), Some((KeyHealth::Ready, KeyState::Usable)));
    drop(key);
    sleep(seconds(600)).await;
    assert_eq!(view.now(), None);
    assert_eq!(rogue.calls(), 0);
    assert_eq!(Arc::strong_count(&rogue), 1, "nothing holds the key store");
}
