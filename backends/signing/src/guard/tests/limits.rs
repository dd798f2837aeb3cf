//! Concurrency per key, quotas across keys, cancellation.

use super::{bucket::Want, *};
use std::{collections::HashSet, sync::atomic::Ordering::SeqCst};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

/// Starts `n` requests of one purpose and lets them get as far as they can.
async fn start(tasks: &mut JoinSet<Result<Verified>>, key: &Arc<GuardedKey>, purpose: Purpose, n: usize) {
    for _ in 0..n {
        let key = key.clone();
        tasks.spawn(async move { key.sign(purpose, b"m".to_vec(), within(3600)).await });
    }
    tokio::task::yield_now().await;
}

#[tokio::test(start_paused = true)]
async fn no_more_calls_at_once_than_the_policy_says() {
    let rogue = Rogue::new();
    rogue.will(vec![Act::Slow(seconds(1)); 20]);
    let (key, seen) = open(&rogue).await;
    let (key, before, mut tasks) = (Arc::new(key), Instant::now(), JoinSet::new());
    start(&mut tasks, &key, Purpose::Certificate, 20).await;
    while let Some(done) = tasks.join_next().await {
        done.unwrap().unwrap();
    }
    assert_eq!(rogue.most_at_once.load(SeqCst), 4);
    assert_eq!(before.elapsed(), seconds(5), "20 calls of a second, 4 at once");
    assert_eq!(seen.in_flight.load(SeqCst), 0);
    // Waiting for a slot is no part of the key store's latency.
    assert!(seen.durations.lock().unwrap().iter().all(|d| *d <= Duration::from_millis(1001)));
}

#[tokio::test(start_paused = true)]
async fn a_slow_key_delays_no_other() {
    let (slow, quick) = (Rogue::new(), Rogue::new());
    let guard = guard(&Arc::default());
    slow.will(vec![Act::Hang; 50]);
    let one = Arc::new(guard.open(slow.clone(), slow.pin(), policy(false, 2), within(5)).await.unwrap());
    let two = guard.open(quick.clone(), quick.pin(), policy(false, 2), within(5)).await.unwrap();
    let mut tasks = JoinSet::new();
    start(&mut tasks, &one, Purpose::Certificate, 50).await;
    let before = Instant::now();
    sign(&two).await.unwrap();
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_full_key_answers_at_the_deadline_and_is_not_suspect_for_it() {
    let rogue = Rogue::new();
    rogue.will(vec![Act::Slow(seconds(100)); 4]);
    let (key, _) = open(&rogue).await;
    let (key, mut tasks) = (Arc::new(key), JoinSet::new());
    start(&mut tasks, &key, Purpose::Certificate, 4).await;
    let error = sign(&key).await.unwrap_err();
    assert_eq!(transient(&error), TransientKind::TimedOut);
    assert!(error.to_string().contains("all 4 calls"), "{error}");
    assert_eq!(key.health(), KeyHealth::Ready);
}

#[tokio::test(start_paused = true)]
async fn a_crl_overtakes_waiting_certificates() {
    let rogue = Rogue::new();
    rogue.will(vec![Act::Slow(seconds(1)); 41]);
    let (key, _) = open(&rogue).await;
    let (key, mut tasks) = (Arc::new(key), JoinSet::new());
    start(&mut tasks, &key, Purpose::Certificate, 40).await;
    let before = Instant::now();
    key.sign(Purpose::Crl, b"crl".to_vec(), within(60)).await.unwrap();
    assert_eq!(before.elapsed(), seconds(2), "the calls under way, then its own");
}

#[tokio::test(start_paused = true)]
async fn dropping_a_request_anywhere_leaks_nothing() {
    let rogue = Rogue::limited(1000.0);
    let (key, seen) = open(&rogue).await;
    rogue.will(vec![Act::Hang; 20]);
    for _ in 0..5 {
        // Four hang in the key store, six wait for a slot.
        let all =
            async { tokio::join!(sign(&key), sign(&key), sign(&key), sign(&key), sign(&key), sign(&key)) };
        assert!(timeout(Duration::from_millis(100), all).await.is_err());
    }
    assert_eq!(seen.in_flight.load(SeqCst), 0);
    assert_eq!(seen.outcomes(Operation::Sign), [Outcome::Cancelled; 20]);
    assert_eq!(rogue.at_once.load(SeqCst), 0);
    rogue.acts.lock().unwrap().clear();
    let before = Instant::now();
    sign(&key).await.unwrap();
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert_eq!(key.health(), KeyHealth::Ready, "a caller that left says nothing about the key");
}

#[tokio::test(start_paused = true)]
async fn a_retrying_request_frees_its_slot_meanwhile() {
    let rogue = Rogue::new();
    let seen = Arc::new(Seen::default());
    let key = guard(&seen).open(rogue.clone(), rogue.pin(), policy(false, 1), within(5)).await.unwrap();
    let later = SignError::Transient {
        kind: TransientKind::Throttled,
        reason: "later".to_owned(),
        retry_after: Some(seconds(10)),
    };
    rogue.will([Act::Fail(later)]);
    let before = Instant::now();
    let (first, second) = tokio::join!(sign(&key), async {
        let made = sign(&key).await;
        assert_eq!(before.elapsed(), Duration::ZERO);
        made
    });
    assert!(first.is_ok() && second.is_ok());
}

#[tokio::test(start_paused = true)]
async fn no_second_sees_more_calls_than_the_quota() {
    let rogue = Rogue::limited(100.0);
    let (key, seen) = open(&rogue).await;
    let (key, mut tasks) = (Arc::new(key), JoinSet::new());
    start(&mut tasks, &key, Purpose::Certificate, 500).await;
    while let Some(done) = tasks.join_next().await {
        done.unwrap().unwrap();
    }
    let times = rogue.times();
    for (i, start) in times.iter().enumerate() {
        let within_a_second = times[i..].iter().take_while(|t| **t < start + 1000).count();
        assert!(within_a_second <= 100, "{within_a_second} calls from {start} ms on");
    }
    let rate = 500_000 / times.last().unwrap();
    assert!((80..=100).contains(&rate), "{rate} calls a second of 100");
    assert!(seen.throttled.load(SeqCst) > 0);
}

#[tokio::test(start_paused = true)]
async fn keys_of_one_quota_share_it() {
    let (one, two) = (Rogue::limited(100.0), Rogue::limited(100.0));
    let guard = guard(&Arc::default());
    let before = Instant::now();
    let mut tasks = JoinSet::new();
    for rogue in [&one, &two] {
        let opened = guard.open(rogue.clone(), rogue.pin(), policy(false, 50), within(5)).await.unwrap();
        start(&mut tasks, &Arc::new(opened), Purpose::Certificate, 100).await;
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap().unwrap();
    }
    assert!(before.elapsed() > Duration::from_millis(1900), "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn crls_have_a_share_of_their_own() {
    let rogue = Rogue::limited(100.0);
    let (key, _) = open(&rogue).await;
    let (key, mut tasks) = (Arc::new(key), JoinSet::new());
    start(&mut tasks, &key, Purpose::Certificate, 1000).await;
    sleep(seconds(2)).await;
    let before = Instant::now();
    key.sign(Purpose::Crl, b"crl".to_vec(), within(60)).await.unwrap();
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_can_not_be_had_in_time_goes_back_with_its_delay() {
    let rogue = Rogue::limited(1.0);
    let (key, _) = open(&rogue).await;
    sign(&key).await.unwrap();
    let error = key.sign(Purpose::Certificate, Vec::new(), within(1)).await.unwrap_err();
    assert_eq!(transient(&error), TransientKind::Throttled);
    assert!(error.retry_after().unwrap() > seconds(1));
    assert!(error.to_string().contains("rogue account"), "{error}");
    assert_eq!((rogue.calls(), key.health()), (1, KeyHealth::Ready));
}

#[tokio::test(start_paused = true)]
async fn at_most_a_tenth_of_the_calls_are_retries() {
    let rogue = Rogue::limited(100.0);
    let (key, _) = open(&rogue).await;
    rogue.will(vec![Act::Fail(SignError::unavailable("away")); 100_000]);
    let (key, mut tasks) = (Arc::new(key), JoinSet::new());
    // 40 requests a second, all of which fail and would try again as long as they live.
    for i in 0..400_u32 {
        let key = key.clone();
        tasks.spawn(async move { key.sign(Purpose::Certificate, i.to_be_bytes().to_vec(), within(2)).await });
        sleep(Duration::from_millis(25)).await;
    }
    while let Some(done) = tasks.join_next().await {
        assert!(done.unwrap().unwrap_err().is_transient());
    }
    let first: HashSet<_> = rogue.signed.lock().unwrap().iter().map(|(_, message)| message.clone()).collect();
    let retries = rogue.calls() - first.len();
    assert_eq!(first.len(), 400);
    assert!(retries > 50 && retries <= 120, "{retries} retries in twelve seconds of 100");
}

#[tokio::test(start_paused = true)]
async fn retries_that_wait_for_their_share_hold_up_nobody() {
    let rogue = Rogue::limited(100.0);
    let (key, _) = open(&rogue).await;
    rogue.will(vec![Act::Fail(SignError::unavailable("away")); 30]);
    let (key, mut tasks) = (Arc::new(key), JoinSet::new());
    start(&mut tasks, &key, Purpose::Certificate, 30).await;
    sleep(seconds(1)).await;
    let before = Instant::now();
    sign(&key).await.unwrap();
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_the_quota_keeps_from_being_retried_is_still_told() {
    let rogue = Rogue::limited(1.0);
    let (key, _) = open(&rogue).await;
    rogue.will(vec![Act::Fail(SignError::unavailable("away")); 3]);
    let error = key.sign(Purpose::Crl, Vec::new(), within(1)).await.unwrap_err();
    assert_eq!(rogue.calls(), 2, "one retry was in the bucket");
    assert_eq!(error.code(), "key_store_unavailable");
    assert!(error.retry_after().unwrap() > seconds(1), "{error:?}");
    assert!(matches!(key.health(), KeyHealth::Suspect { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_promise_that_is_dropped_goes_back() {
    let bucket = Bucket::new("q".to_owned(), 10.0);
    let far = within(3600);
    for want in [Want::Call(Purpose::Certificate), Want::Call(Purpose::Crl), Want::Retry] {
        bucket.promise(want, far).unwrap().keep();
        let wait = bucket.promise(want, far).unwrap().wait();
        for _ in 0..50 {
            assert_eq!(bucket.promise(want, far).unwrap().wait(), wait);
        }
    }
}
