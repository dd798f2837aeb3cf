//! Long answers to clients of `/rpc`: how many are made at once, and how much may lie there unread.

use super::problem::Problem;
use crate::rpc::Total;
use std::time::Duration;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{sleep, timeout},
};

/// Lists that are made at once. One of 10,000 tokens takes some 30 MiB while it is.
const AT_ONCE: usize = 2;
/// Octets that all sessions hold for their clients together; while it is more, no list is made.
const MOST_HELD: usize = 128 * 1024 * 1024;
/// How long a list may wait for its turn.
const TURN: Duration = Duration::from_secs(10);
/// How often what is held is looked at, by those who wait for it.
const LOOK: Duration = Duration::from_millis(20);

/// The lists of all sessions.
pub(super) struct Lists {
    places: Semaphore,
    held: Total,
}

impl Default for Lists {
    fn default() -> Self {
        Self { places: Semaphore::new(AT_ONCE), held: Total::default() }
    }
}

impl Lists {
    /// What all sessions hold.
    pub(super) fn held(&self) -> &Total {
        &self.held
    }

    /// A place for one list, until what is given is dropped.
    ///
    /// # Errors
    /// None was free in time, or clients left too much unread.
    pub(super) async fn begin(&self) -> Result<SemaphorePermit<'_>, Problem> {
        let begin = async {
            let place = self.places.acquire().await.map_err(|_| Problem::internal())?;
            while self.held.octets() >= MOST_HELD {
                sleep(LOOK).await;
            }
            Ok(place)
        };
        timeout(TURN, begin).await.unwrap_or_else(|_| Err(Problem::busy()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::{Answer, Exception, Limits, Method, Transport, serve};
    use async_trait::async_trait;
    use serde_json::Value;
    use std::sync::Arc;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn two_lists_are_made_at_once_and_a_third_waits_ten_seconds() {
        let lists = Lists::default();
        let (first, _second) = (lists.begin().await.unwrap(), lists.begin().await.unwrap());
        let start = Instant::now();
        assert_eq!(lists.begin().await.unwrap_err().code(), "busy");
        assert_eq!(start.elapsed(), TURN);
        drop(first);
        drop(lists.begin().await.unwrap());
    }

    struct Large;

    #[async_trait]
    impl Method for Large {
        async fn call(&self, _: Vec<Value>) -> Result<Answer, Exception> {
            Ok(Answer::Value("x".repeat(MOST_HELD).into()))
        }
    }

    /// A client that pulls one answer, and takes nothing.
    struct Deaf(std::vec::IntoIter<&'static str>);

    #[async_trait]
    impl Transport for Deaf {
        async fn receive(&mut self) -> Option<Result<String, Exception>> {
            self.0.next().map(|message| Ok(message.to_owned()))
        }

        async fn send(&mut self, _: String) -> bool {
            std::future::pending().await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_list_is_made_while_too_much_is_unread() {
        let lists = Arc::new(Lists::default());
        let limits = Limits {
            message: 1000,
            depth: 9,
            entries: 9,
            kept: 9000,
            kept_at_first: 9000,
            running: 9,
            batch: 9,
            answers: 9,
        };
        let session = tokio::spawn({
            let lists = Arc::clone(&lists);
            let large: Arc<dyn Method> = Arc::new(Large);
            let messages = vec![r#"["push",["pipeline",0,["large"],[]]]"#, r#"["pull",1]"#];
            async move {
                let main = Arc::from([("large", large)]);
                serve(Deaf(messages.into_iter()), main, &limits, lists.held(), std::future::pending()).await;
            }
        });
        sleep(TURN).await;
        assert!(lists.held().octets() >= MOST_HELD, "{}", lists.held().octets());
        assert_eq!(lists.begin().await.unwrap_err().code(), "busy");
        session.abort();
        session.await.unwrap_err();
        assert_eq!(lists.held().octets(), 0);
        drop(lists.begin().await.unwrap());
    }
}
