//! Work on threads of its own: taken on when work waits, given up when a call does not come back.

mod roster;
#[cfg(test)]
mod tests;

use catalyst_signing::SignError;
use roster::{OVERDUE, Plan, Return, Roster};
use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// How often an idle worker shows the token that it is still there: some close sessions that are idle for 15 s.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// What the workers do.
pub(super) trait Trade: Send + Sync + 'static {
    /// One piece of work.
    type Job: Send + 'static;
    /// What one worker has at hand between two pieces: its session.
    type Bench;

    /// An empty one.
    fn bench(&self) -> Self::Bench;
    /// Whether anybody still waits for the work.
    fn is_wanted(&self, job: &Self::Job) -> bool;
    /// Does the work and answers whoever waits for it; gives it back where the token has no session for this worker.
    fn serve(&self, bench: &mut Self::Bench, job: Self::Job) -> Result<(), Self::Job>;
    /// Answers without doing the work.
    fn refuse(&self, job: Self::Job, error: SignError);
    /// Keeps what is at hand alive while there is no work.
    fn keep(&self, bench: &mut Self::Bench);
    /// Clears the bench, for nobody needs it for now, or ever.
    fn clear(&self, bench: &mut Self::Bench);
    /// Whether a session is at hand.
    fn has_session(&self, bench: &Self::Bench) -> bool;
    /// How many workers may have sessions, where the token says it.
    fn allowance(&self) -> Option<usize>;
    /// Counts the losses that concern everybody: idle workers then look at their benches at once.
    fn losses(&self) -> u64;
}

pub(super) struct Pool<T: Trade> {
    shared: Arc<Shared<T>>,
}

struct Shared<T: Trade> {
    /// What operators call it.
    name: String,
    trade: Arc<T>,
    state: Mutex<State<T::Job>>,
    news: Condvar,
    /// How many workers are at hand, for who waits for them to leave.
    at_hand: watch::Sender<usize>,
}

struct State<J> {
    waiting: VecDeque<J>,
    roster: Roster,
    /// Counts how often the benches were to be cleared.
    clearings: u64,
    closed: bool,
}

/// A worker's place in the roster, which it leaves however its thread ends.
struct Entry<T: Trade> {
    shared: Arc<Shared<T>>,
    id: u64,
}

enum Next<J> {
    Work(J),
    Keep,
    Clear,
    Leave,
}

impl<T: Trade> Pool<T> {
    /// A pool of at most `most` workers, of which there is none yet.
    pub(super) fn new(name: &str, most: usize, trade: Arc<T>) -> Self {
        let state =
            State { waiting: VecDeque::new(), roster: Roster::new(most), clearings: 0, closed: false };
        let shared = Shared {
            name: name.to_owned(),
            trade,
            state: Mutex::new(state),
            news: Condvar::new(),
            at_hand: watch::Sender::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Leaves work for the next free worker. Does not block.
    pub(super) fn submit(&self, job: T::Job) {
        let mut state = self.shared.lock();
        if state.closed {
            drop(state);
            self.shared.trade.refuse(job, self.shared.ended());
            return;
        }
        state.waiting.push_back(job);
        self.shared.see_to(state);
    }

    /// Looks after work that waits: whoever waits for an answer calls this now and then. Does not block.
    pub(super) fn look_after(&self) {
        self.shared.see_to(self.shared.lock());
    }

    /// Has every worker clear its bench as soon as it is idle.
    pub(super) fn clear(&self) {
        self.shared.lock().clearings += 1;
        self.shared.news.notify_all();
    }

    /// Tries again for as many workers as are wanted, whatever the token refused before.
    pub(super) fn forget_limits(&self) {
        self.shared.lock().roster.forget_what_was_learned();
    }

    /// Refuses what waits and whatever comes; workers leave when they are done.
    pub(super) fn close(&self) {
        let waiting = {
            let mut state = self.shared.lock();
            state.closed = true;
            std::mem::take(&mut state.waiting)
        };
        self.shared.news.notify_all();
        for job in waiting {
            self.shared.trade.refuse(job, self.shared.ended());
        }
    }

    /// How many workers have not left, those who hang aside.
    pub(super) fn at_hand(&self) -> usize {
        *self.shared.at_hand.borrow()
    }

    /// Waits until every worker has left, those who hang aside.
    pub(super) async fn left(&self) {
        let mut at_hand = self.shared.at_hand.subscribe();
        // An error says that nobody is left to tell, which is the same.
        let _ = at_hand.wait_for(|workers| *workers == 0).await;
    }
}

impl<T: Trade> Drop for Pool<T> {
    fn drop(&mut self) {
        self.close();
    }
}

impl<T: Trade> Drop for Entry<T> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.roster.leave(self.id);
        self.shared.at_hand.send_replace(state.roster.at_hand());
    }
}

impl<T: Trade> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T::Job>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self) -> SignError {
        SignError::unavailable(format!("{}: the token was let go, for the service ends", self.name))
    }

    /// Finds somebody for the work that waits: an idle worker, a new one, or nobody.
    fn see_to(self: &Arc<Self>, mut state: MutexGuard<'_, State<T::Job>>) {
        let now = Instant::now();
        let written_off = state.roster.write_off(now);
        let mut refused = Vec::new();
        let mut why = String::new();
        loop {
            let waiting = state.waiting.len();
            match state.roster.plan(waiting, self.trade.allowance(), now) {
                Plan::Wait => break,
                Plan::Hire(id) => {
                    let shared = self.clone();
                    let hired =
                        thread::Builder::new().name("pkcs11".to_owned()).spawn(move || shared.work(id));
                    if hired.is_ok() {
                        continue;
                    }
                    state.roster.leave(id);
                    if state.roster.at_hand() == 0 {
                        why = "the host gives no more threads".to_owned();
                        refused.extend(state.waiting.drain(..));
                    }
                    break;
                }
                Plan::Refuse => {
                    why = format!(
                        "calls to the module hang for {} s and more; look at the HSM and its connection",
                        OVERDUE.as_secs()
                    );
                    refused.extend(state.waiting.drain(..));
                    break;
                }
            }
        }
        self.at_hand.send_replace(state.roster.at_hand());
        let waits = !state.waiting.is_empty();
        drop(state);
        if waits {
            self.news.notify_one();
        }
        if written_off > 0 {
            tracing::warn!(target: "catalyst.pki", token = %self.name, workers = written_off,
                "PKCS#11 calls have not come back for 10 s; other sessions take over");
        }
        for job in refused {
            self.trade.refuse(job, SignError::unavailable(format!("{}: {why}", self.name)));
        }
    }

    /// What a worker does all its life.
    fn work(self: Arc<Self>, id: u64) {
        // Dropped last: the roster counts a worker until its session is closed.
        let _entry = Entry { shared: self.clone(), id };
        let mut bench = self.trade.bench();
        let mut cleared = self.lock().clearings;
        let mut losses = self.trade.losses();
        loop {
            match self.next(id, &mut cleared, &mut losses) {
                // Its caller may have gone while it waited.
                Next::Work(job) if !self.trade.is_wanted(&job) => drop(job),
                Next::Work(job) => {
                    if let Err(job) = self.trade.serve(&mut bench, job) {
                        self.no_room(id, job);
                        break;
                    }
                }
                Next::Keep => self.trade.keep(&mut bench),
                Next::Clear => self.trade.clear(&mut bench),
                Next::Leave => break,
            }
            if self.trade.losses() != losses {
                self.news.notify_all();
            }
            if !self.done(id, self.trade.has_session(&bench)) {
                break;
            }
        }
        self.trade.clear(&mut bench);
    }

    fn next(&self, id: u64, cleared: &mut u64, losses: &mut u64) -> Next<T::Job> {
        let keep_alive = Instant::now() + KEEP_ALIVE;
        let mut state = self.lock();
        loop {
            if state.closed {
                return Next::Leave;
            }
            if let Some(job) = state.waiting.pop_front() {
                state.roster.busy(id, Instant::now());
                return Next::Work(job);
            }
            if state.clearings != *cleared {
                *cleared = state.clearings;
                state.roster.busy(id, Instant::now());
                return Next::Clear;
            }
            let left = keep_alive.checked_duration_since(Instant::now());
            let lost = std::mem::replace(losses, self.trade.losses()) != *losses;
            let (Some(left), false) = (left, lost) else {
                state.roster.busy(id, Instant::now());
                return Next::Keep;
            };
            state = self.news.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Whether the worker goes on.
    fn done(&self, id: u64, has_session: bool) -> bool {
        let mut state = self.lock();
        let how = state.roster.done(id, has_session, self.trade.allowance(), Instant::now());
        self.at_hand.send_replace(state.roster.at_hand());
        drop(state);
        if how != Return::Stays {
            tracing::info!(target: "catalyst.pki", token = %self.name, "A PKCS#11 call that hung came back");
        }
        how != Return::NotWanted
    }

    /// The token has no session for this worker: those who have one take its work, if there are any.
    fn no_room(self: &Arc<Self>, id: u64, job: T::Job) {
        let mut state = self.lock();
        if state.closed || state.roster.learn(id, Instant::now()) == 0 {
            state.roster.leave(id);
            // What waits besides gets a worker of its own, which may fare better.
            self.see_to(state);
            let why = "the token gives no session (CKR_SESSION_COUNT); others may have taken them all";
            self.trade.refuse(job, SignError::unavailable(format!("{}: {why}", self.name)));
        } else {
            state.waiting.push_front(job);
            self.see_to(state);
        }
    }
}
