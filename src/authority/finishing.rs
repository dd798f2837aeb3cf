//! Work that comes to its end whether anybody waits for it or not.

use std::{
    pin::Pin,
    task::{Context, Poll},
};
use tokio::runtime::Handle;
use tokio_util::task::{TaskTracker, task_tracker::TrackedFuture};

/// Runs in its caller's place, since a task of its own costs two hand-overs between threads. Dropped before its end,
/// as when a client hangs up, the rest of it becomes such a task.
pub(super) struct Finishing<F: Future<Output: Send> + Send + 'static> {
    rest: Option<Pin<Box<TrackedFuture<F>>>>,
    runtime: Handle,
}

impl<F: Future<Output: Send> + Send + 'static> Finishing<F> {
    /// Must be called within a Tokio runtime. `tasks` counts the work until it has ended.
    pub(super) fn new(tasks: &TaskTracker, work: F) -> Self {
        Self { rest: Some(Box::pin(tasks.track_future(work))), runtime: Handle::current() }
    }
}

impl<F: Future<Output: Send> + Send + 'static> Future for Finishing<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // Taken out while it runs: what has panicked must not be gone on with.
        let Some(mut rest) = self.rest.take() else { return Poll::Pending };
        let poll = rest.as_mut().poll(context);
        if poll.is_pending() {
            self.rest = Some(rest);
        }
        poll
    }
}

impl<F: Future<Output: Send> + Send + 'static> Drop for Finishing<F> {
    fn drop(&mut self) {
        if let Some(rest) = self.rest.take() {
            self.runtime.spawn(rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn its_caller_gets_the_answer() {
        let tasks = TaskTracker::new();
        assert_eq!(Finishing::new(&tasks, async { 7 }).await, 7);
        assert!(tasks.is_empty());
    }

    #[tokio::test]
    async fn dropped_on_its_way_it_still_comes_to_its_end_and_is_waited_for() {
        let tasks = TaskTracker::new();
        let (go, gone) = oneshot::channel::<()>();
        let ended = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ended);
        let mut work = Box::pin(Finishing::new(&tasks, async move {
            let _ = gone.await;
            end.store(true, Ordering::Relaxed);
        }));
        assert!(poll_once(work.as_mut()).await.is_pending());
        drop(work);
        assert_eq!(tasks.len(), 1);
        go.send(()).unwrap();
        tasks.close();
        tasks.wait().await;
        assert!(ended.load(Ordering::Relaxed));
    }

    async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
        std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
    }
}
