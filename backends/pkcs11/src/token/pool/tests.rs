//! The pool without a token: what its trade does is said by each piece of work.

use super::{Pool, Trade};
use catalyst_signing::{Result, SignError};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    thread::{self, ThreadId},
    time::Duration,
};
use tokio::{sync::oneshot, time::timeout};

/// A trade whose sessions are counted, with as many as `room`.
struct Counting {
    room: usize,
    open: AtomicUsize,
    most_open: AtomicUsize,
    cleared: AtomicUsize,
}

type Work = Box<dyn FnOnce() + Send>;

struct Piece {
    work: Work,
    answer: oneshot::Sender<Result<ThreadId>>,
}

#[derive(Default)]
struct Bench {
    session: bool,
}

impl Trade for Counting {
    type Job = Piece;
    type Bench = Bench;

    fn bench(&self) -> Bench {
        Bench::default()
    }

    fn is_wanted(&self, job: &Piece) -> bool {
        !job.answer.is_closed()
    }

    fn serve(&self, bench: &mut Bench, job: Piece) -> std::result::Result<(), Piece> {
        if !bench.session {
            let opened =
                self.open.fetch_update(SeqCst, SeqCst, |open| (open < self.room).then_some(open + 1));
            let Ok(open) = opened else {
                return Err(job);
            };
            self.most_open.fetch_max(open + 1, SeqCst);
            bench.session = true;
        }
        (job.work)();
        let _ = job.answer.send(Ok(thread::current().id()));
        Ok(())
    }

    fn refuse(&self, job: Piece, error: SignError) {
        let _ = job.answer.send(Err(error));
    }

    fn keep(&self, _: &mut Bench) {}

    fn clear(&self, bench: &mut Bench) {
        if std::mem::take(&mut bench.session) {
            self.open.fetch_sub(1, SeqCst);
            self.cleared.fetch_add(1, SeqCst);
        }
    }

    fn has_session(&self, bench: &Bench) -> bool {
        bench.session
    }

    fn allowance(&self) -> Option<usize> {
        None
    }

    fn losses(&self) -> u64 {
        0
    }
}

fn pool(most: usize, room: usize) -> (Arc<Counting>, Pool<Counting>) {
    let trade = Arc::new(Counting {
        room,
        open: AtomicUsize::new(0),
        most_open: AtomicUsize::new(0),
        cleared: AtomicUsize::new(0),
    });
    (trade.clone(), Pool::new("pkcs11", most, trade))
}

fn submit(
    pool: &Pool<Counting>,
    work: impl FnOnce() + Send + 'static,
) -> oneshot::Receiver<Result<ThreadId>> {
    let (answer, answered) = oneshot::channel();
    pool.submit(Piece { work: Box::new(work), answer });
    answered
}

async fn answer(answered: oneshot::Receiver<Result<ThreadId>>) -> Result<ThreadId> {
    timeout(Duration::from_secs(10), answered).await.unwrap().unwrap()
}

#[tokio::test]
async fn one_worker_is_enough_for_one_thing_after_another() {
    let (trade, pool) = pool(8, 8);
    let first = answer(submit(&pool, || {})).await.unwrap();
    for _ in 0..20 {
        // Until it is idle again after its answer.
        tokio::time::sleep(Duration::from_millis(2)).await;
        assert_eq!(answer(submit(&pool, || {})).await.unwrap(), first);
    }
    assert_eq!(trade.most_open.load(SeqCst), 1);
}

#[tokio::test]
async fn work_that_waits_gets_workers_up_to_the_limit() {
    let (trade, pool) = pool(3, 8);
    let work: Vec<_> = (0..12).map(|_| submit(&pool, || thread::sleep(Duration::from_millis(20)))).collect();
    for piece in work {
        answer(piece).await.unwrap();
    }
    assert_eq!(trade.most_open.load(SeqCst), 3);
}

#[tokio::test]
async fn a_token_with_fewer_sessions_than_wanted_does_all_the_work_with_those() {
    let (trade, pool) = pool(8, 2);
    let work: Vec<_> = (0..40).map(|_| submit(&pool, || thread::sleep(Duration::from_millis(2)))).collect();
    let mut refused = 0;
    for piece in work {
        refused += usize::from(answer(piece).await.is_err());
    }
    assert_eq!((refused, trade.most_open.load(SeqCst)), (0, 2));
}

#[tokio::test]
async fn a_token_without_any_session_is_said_to_have_none() {
    let (_, pool) = pool(8, 0);
    let error = answer(submit(&pool, || {})).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert!(error.to_string().contains("CKR_SESSION_COUNT"), "{error}");
}

#[tokio::test]
async fn work_whose_caller_has_gone_is_not_done() {
    let (_, pool) = pool(1, 1);
    let (go, gone) = mpsc::channel::<()>();
    let first = submit(&pool, move || {
        let _ = gone.recv();
    });
    let done = Arc::new(AtomicBool::new(false));
    let mark = done.clone();
    drop(submit(&pool, move || mark.store(true, SeqCst)));
    let last = submit(&pool, || {});
    go.send(()).unwrap();
    answer(first).await.unwrap();
    answer(last).await.unwrap();
    assert!(!done.load(SeqCst));
}

#[tokio::test]
async fn a_closed_pool_refuses_what_waits_and_what_comes_and_lets_go_of_its_sessions() {
    let (trade, pool) = pool(1, 1);
    let (go, gone) = mpsc::channel::<()>();
    let (begun, began) = oneshot::channel();
    let first = submit(&pool, move || {
        begun.send(()).unwrap();
        let _ = gone.recv();
    });
    began.await.unwrap();
    let second = submit(&pool, || {});
    pool.close();
    assert!(answer(second).await.unwrap_err().is_transient());
    assert!(answer(submit(&pool, || {})).await.is_err());
    assert!(timeout(Duration::from_millis(50), pool.left()).await.is_err(), "one is still at work");
    go.send(()).unwrap();
    answer(first).await.unwrap();
    timeout(Duration::from_secs(5), pool.left()).await.unwrap();
    assert_eq!(trade.open.load(SeqCst), 0);
}

#[tokio::test]
async fn benches_are_cleared_when_nobody_needs_the_token() {
    let (trade, pool) = pool(2, 2);
    let worker = answer(submit(&pool, || {})).await.unwrap();
    pool.clear();
    for _ in 0..500 {
        if trade.cleared.load(SeqCst) == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(trade.open.load(SeqCst), 0);
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(answer(submit(&pool, || {})).await.unwrap(), worker, "the thread stays");
}
