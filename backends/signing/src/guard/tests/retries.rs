//! Deadlines, retries, mismatches and the latch.

use super::*;
use std::sync::atomic::Ordering::SeqCst;
use tokio::time::sleep;

fn unavailable() -> Act {
    Act::Fail(SignError::unavailable("connection reset"))
}

fn throttled(after: u64) -> Act {
    let retry_after = Some(seconds(after));
    Act::Fail(SignError::Transient {
        kind: TransientKind::Throttled,
        reason: "slow down".to_owned(),
        retry_after,
    })
}

#[tokio::test(start_paused = true)]
async fn a_signature_verifies_and_carries_its_message() {
    let rogue = Rogue::new();
    let (key, seen) = open(&rogue).await;
    let made = sign(&key).await.unwrap();
    assert_eq!(made.message, b"tbs");
    assert!(made.algorithm.verify(&rogue.pin().spki, b"tbs", &made.signature));
    assert_eq!(seen.outcomes(Operation::Sign), [Outcome::Ok]);
    assert_eq!(key.health(), KeyHealth::Ready);
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_retried_with_growing_pauses() {
    let rogue = Rogue::new();
    let (key, seen) = open(&rogue).await;
    rogue.will(vec![unavailable(); 4]);
    sign(&key).await.unwrap();
    assert_eq!(rogue.times(), [0, 25, 75, 175, 375]);
    assert_eq!(seen.outcomes(Operation::Sign)[..4], [Outcome::Transient; 4]);
}

#[test]
fn full_jitter_stays_below_its_ceiling_and_spreads() {
    let ceiling = Duration::from_millis(800);
    let drawn: Vec<_> = (0..1000).map(|_| retry::full_jitter(ceiling)).collect();
    assert!(drawn.iter().all(|pause| *pause <= ceiling));
    assert!(
        drawn.iter().any(|pause| *pause < ceiling / 10)
            && drawn.iter().any(|pause| *pause > ceiling / 10 * 9)
    );
}

#[tokio::test(start_paused = true)]
async fn the_key_stores_own_delay_is_kept() {
    let rogue = Rogue::new();
    let (key, seen) = open(&rogue).await;
    rogue.will([throttled(7)]);
    sign(&key).await.unwrap();
    assert_eq!(rogue.times(), [0, 7025]);
    assert_eq!(seen.throttled.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_would_outlast_the_caller_is_not_begun() {
    let rogue = Rogue::new();
    let (key, _) = open(&rogue).await;
    rogue.will([throttled(60)]);
    let before = Instant::now();
    let error = sign(&key).await.unwrap_err();
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert_eq!(transient(&error), TransientKind::Throttled);
    assert!(error.retry_after().unwrap() >= seconds(60));
}

#[tokio::test(start_paused = true)]
async fn a_key_store_that_hangs_is_left_at_the_deadline() {
    let rogue = Rogue::new();
    let (key, seen) = open(&rogue).await;
    rogue.will([Act::Hang]);
    let before = Instant::now();
    let error = sign(&key).await.unwrap_err();
    assert!(before.elapsed() >= seconds(30) && before.elapsed() < seconds(31));
    assert_eq!(transient(&error), TransientKind::TimedOut);
    assert_eq!(seen.outcomes(Operation::Sign), [Outcome::Timeout]);
    assert!(matches!(key.health(), KeyHealth::Suspect { .. }));
    sign(&key).await.unwrap();
    assert_eq!(key.health(), KeyHealth::Ready);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_cut_off_hides_no_failure_before_it() {
    let rogue = Rogue::new();
    let (key, seen) = open(&rogue).await;
    rogue.will([unavailable(), Act::Hang]);
    let error = sign(&key).await.unwrap_err();
    assert!(error.to_string().contains("connection reset"), "{error}");
    assert_eq!(seen.outcomes(Operation::Sign), [Outcome::Transient, Outcome::Timeout]);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_has_passed_calls_nobody() {
    let rogue = Rogue::new();
    let (key, _) = open(&rogue).await;
    let error = key.sign(Purpose::Certificate, Vec::new(), Instant::now()).await.unwrap_err();
    assert_eq!(transient(&error), TransientKind::TimedOut);
    assert_eq!((rogue.calls(), key.health()), (0, KeyHealth::Ready));
}

#[tokio::test(start_paused = true)]
async fn a_mismatch_is_retried_twice_and_then_latches() {
    for bad in [Act::Garbage, Act::AnotherKey, Act::Fail(SignError::integrity("CRC32C differs"))] {
        let rogue = Rogue::new();
        let (key, seen) = open(&rogue).await;
        rogue.will([bad.clone(), bad.clone()]);
        sign(&key).await.unwrap();
        rogue.will([bad.clone(), bad.clone(), bad]);
        let error = sign(&key).await.unwrap_err();
        assert_eq!(error.code(), "key_integrity");
        assert_eq!(rogue.calls(), 6);
        assert_eq!(seen.outcomes(Operation::Sign).iter().filter(|o| **o == Outcome::Integrity).count(), 5);
        assert_eq!(key.health(), KeyHealth::Latched { error: error.clone() });
        assert_eq!(sign(&key).await.unwrap_err(), error);
        assert_eq!(rogue.calls(), 6, "a latched key is not tried");
    }
}

#[tokio::test(start_paused = true)]
async fn a_bad_signature_is_in_no_message() {
    let rogue = Rogue::new();
    let (key, seen) = open(&rogue).await;
    rogue.will(vec![Act::Garbage; 3]);
    let error = sign(&key).await.unwrap_err();
    let told = format!("{error} {error:?} {key:?} {seen:?}");
    for form in ["5a5a", "5A5A", "90, 90", "ZZ", "WlpaWl"] {
        assert!(!told.contains(form), "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_latches_until_an_operator_retries() {
    for kind in [Refusal::Denied, Refusal::Disabled, Refusal::Missing, Refusal::WrongType, Refusal::Pin] {
        let rogue = Rogue::new();
        let (key, seen) = open(&rogue).await;
        rogue.will([Act::Fail(SignError::refused(kind, "kms:Sign on the key"))]);
        let error = sign(&key).await.unwrap_err();
        assert!(error.to_string().contains("kms:Sign"));
        sleep(seconds(3600)).await;
        assert_eq!(sign(&key).await.unwrap_err(), error);
        assert_eq!(rogue.calls(), 1, "refusals are never retried");
        key.retry();
        assert!(matches!(key.health(), KeyHealth::Suspect { .. }));
        sign(&key).await.unwrap();
        let told: Vec<_> = seen.health.lock().unwrap().clone();
        assert!(matches!(told[..], [KeyHealth::Latched { .. }, KeyHealth::Suspect { .. }, KeyHealth::Ready]));
    }
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_while_it_latches_do_not_try() {
    let rogue = Rogue::new();
    let seen = Arc::new(Seen::default());
    let key = guard(&seen).open(rogue.clone(), rogue.pin(), policy(false, 1), within(5)).await.unwrap();
    rogue.will([Act::Slow(seconds(1)), Act::Fail(SignError::refused(Refusal::Pin, "CKR_PIN_LOCKED"))]);
    let (one, two, three) = tokio::join!(sign(&key), sign(&key), sign(&key));
    assert!(one.is_ok() && two.is_err() && three.is_err());
    assert_eq!(rogue.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_success_that_began_before_the_latch_fell_does_not_open_it() {
    let rogue = Rogue::new();
    let (key, _) = open(&rogue).await;
    rogue.will([Act::Slow(seconds(1)), Act::Fail(SignError::refused(Refusal::Denied, "kms:Sign"))]);
    let (early, refused) = tokio::join!(sign(&key), sign(&key));
    assert!(early.is_ok());
    assert_eq!(key.health(), KeyHealth::Latched { error: refused.unwrap_err() });
}

#[tokio::test(start_paused = true)]
async fn a_wrong_request_says_nothing_about_the_key() {
    let rogue = Rogue::short(100);
    let (key, _) = open(&rogue).await;
    for purpose in [Purpose::Token, Purpose::Manifest, Purpose::AuditHead, Purpose::Probe] {
        let error = key.sign(purpose, Vec::new(), within(1)).await.unwrap_err();
        assert_eq!(error.code(), "key_refused_purpose");
    }
    let error = key.sign(Purpose::Crl, vec![0; 101], within(1)).await.unwrap_err();
    assert_eq!(error.code(), "key_refused_unsupported");
    assert!(error.to_string().contains("at most 100 octets, this message has 101"), "{error}");
    assert_eq!((rogue.calls(), key.health()), (0, KeyHealth::Ready));
    key.sign(Purpose::Crl, vec![0; 100], within(1)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_backend_is_a_failed_call() {
    let rogue = Rogue::new();
    let (key, seen) = open(&rogue).await;
    rogue.will([Act::Panic]);
    sign(&key).await.unwrap();
    assert_eq!(seen.outcomes(Operation::Sign), [Outcome::Transient, Outcome::Ok]);
}
