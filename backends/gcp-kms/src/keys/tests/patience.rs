//! Asking again: how often, and when not.

use crate::{
    keys::patience::patiently,
    trouble::{Cause, Trouble},
};
use catalyst_signing::{Refusal, SignError, TransientKind};
use std::{
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

fn passing(kind: TransientKind, seconds: Option<u64>) -> SignError {
    SignError::Transient { kind, reason: "x".to_owned(), retry_after: seconds.map(Duration::from_secs) }
}

/// What came of a question that is answered so for the first times, and how often it was asked.
async fn asked(error: &SignError, times: u32) -> (Result<(), SignError>, u32) {
    let count = AtomicU32::new(0);
    let answer = patiently(|| {
        let number = count.fetch_add(1, Relaxed);
        async move {
            match number < times {
                true => Err(Trouble { error: error.clone(), cause: Cause::Other }),
                false => Ok(()),
            }
        }
    });
    let answer = answer.await.map_err(|trouble| trouble.error);
    (answer, count.into_inner())
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_asked_four_times() {
    for error in [
        passing(TransientKind::Unavailable, None),
        passing(TransientKind::Throttled, None),
        passing(TransientKind::Throttled, Some(2)),
    ] {
        assert_eq!(asked(&error, 3).await, (Ok(()), 4));
        assert_eq!(asked(&error, 4).await, (Err(error), 4));
    }
}

#[tokio::test(start_paused = true)]
async fn what_stays_or_would_take_long_is_asked_once() {
    for error in [
        passing(TransientKind::TimedOut, None),
        passing(TransientKind::Throttled, Some(3)),
        SignError::refused(Refusal::Denied, "x"),
        SignError::integrity("x"),
    ] {
        assert_eq!(asked(&error, 1).await, (Err(error), 1));
    }
}
