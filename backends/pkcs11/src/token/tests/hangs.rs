//! Calls that never come back, each where it hurts: in the way of everybody.

use super::{faults::faulty, *};
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

/// Longer than anybody waits for a turn, and for a worker to be written off.
const BOUND: Duration = Duration::from_secs(20);

/// With the function hanging, who asks second gets an answer; and everybody is served once it comes back.
async fn costs_no_more_than_its_caller(function: &str, before: &[&'static str]) {
    let (fault, token) = faulty(2).await;
    if !before.is_empty() {
        signature(&token).await.unwrap();
    }
    let earlier = fault.counts(function).unwrap();
    fault.set(&[&[&*format!("{function} hang")], before].concat()).unwrap();
    let first = token.clone();
    let first = tokio::spawn(async move { signature(&first).await });
    while fault.counts(function).unwrap() == earlier {
        sleep(Duration::from_millis(5)).await;
    }
    let second = timeout(BOUND, signature(&token)).await;
    let second = second.unwrap_or_else(|_| panic!("{function}: nobody answers"));
    assert!(
        second.as_ref().is_ok_and(|_| !before.is_empty()) || second.is_err_and(|error| error.is_transient())
    );
    fault.set(&[]).unwrap();
    let _ = timeout(BOUND, first).await.unwrap_or_else(|_| panic!("{function}: the first is forgotten"));
    let began = Instant::now();
    while let Err(error) = signature(&token).await {
        assert!(began.elapsed() < BOUND, "{function}: {error}");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_module_that_hangs_at_its_start_is_served_by_when_it_comes_back() {
    tokio::join!(
        costs_no_more_than_its_caller("C_Initialize", &[]),
        costs_no_more_than_its_caller("C_GetSlotList", &[]),
        costs_no_more_than_its_caller("C_GetTokenInfo", &[]),
        costs_no_more_than_its_caller("C_Login", &[]),
    );
}

#[tokio::test]
async fn a_session_that_does_not_close_is_given_up() {
    costs_no_more_than_its_caller("C_CloseSession", &["C_Sign return CKR_DEVICE_ERROR times 1"]).await;
}
