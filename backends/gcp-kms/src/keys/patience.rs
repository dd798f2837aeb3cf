//! Asking again, for what is not behind the guard.

use super::ask::Answer;
use crate::trouble::Trouble;
use catalyst_signing::{SignError, TransientKind};
use std::time::Duration;
use tokio::time::sleep;

/// How often a question is asked.
const TIMES: u32 = 4;
/// How long is waited before the second time; then twice as long each.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest wait that Cloud KMS may ask for.
const LONGEST: Duration = Duration::from_secs(2);

/// Asks until the answer is not a transient failure, a few times. What took all its time is not asked again.
pub(super) async fn patiently<T, F>(ask: impl Fn() -> F) -> Answer<T>
where
    F: Future<Output = Answer<T>>,
{
    let mut pause = PAUSE;
    for _ in 1..TIMES {
        match ask().await {
            Err(Trouble { error: SignError::Transient { kind, retry_after, .. }, .. })
                if kind != TransientKind::TimedOut && retry_after.is_none_or(|wait| wait <= LONGEST) =>
            {
                sleep(retry_after.unwrap_or(pause)).await;
                pause *= 2;
            }
            answer => return answer,
        }
    }
    ask().await
}
