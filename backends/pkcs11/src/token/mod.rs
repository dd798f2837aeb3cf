//! The way to a token: its module, its slot, the login, and sessions on threads of their own.
//!
//! `pool/` knows threads and no token; `counter` is what its workers do: sessions, and what follows from their loss.
//! `module` is the vendor's library, `whereabouts` and `place` are where the token is, `login` is the PIN, `desk` is
//! what work gets.

mod counter;
mod desk;
mod edge;
mod login;
mod module;
mod place;
mod pool;
mod rest;
#[cfg(test)]
mod tests;
mod turn;
mod whereabouts;

pub(crate) use desk::Desk;
pub(crate) use place::TokenFacts;

use crate::{Opening, TokenConfig, trouble::Trouble};
use catalyst_signing::{Result, SignError};
use counter::{Counter, Errand, Job};
use pool::Pool;
use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};
use tokio::{sync::oneshot, time::timeout};

/// How often who waits for an answer looks whether somebody can work for it.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long the end of the service waits for work that is being done, and then for the module.
const END: Duration = Duration::from_secs(2);
/// How long a token that is dropped in use waits for its workers.
const LEAVE: Duration = Duration::from_millis(250);

/// Whether work changes what is on the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// It signs, finds and reads: a read-only session.
    Use,
    /// It makes, relabels or destroys objects: a read-write session.
    Change,
}

/// One token, loaded and opened when it is first used.
pub(crate) struct Token {
    inner: Arc<Inner>,
}

struct Inner {
    counter: Arc<Counter>,
    pool: Pool<Counter>,
}

/// Keeps a token in use: with [`Opening::WhileInUse`] it is logged out when the last of these is gone.
pub(crate) struct Hold {
    inner: Arc<Inner>,
}

impl Token {
    pub(crate) fn new(config: TokenConfig) -> Self {
        let sessions = usize::try_from(config.sessions).unwrap_or(usize::MAX);
        let counter = Arc::new(Counter::new(config));
        let pool = Pool::new(&counter.config.name, sessions, counter.clone());
        Self { inner: Arc::new(Inner { counter, pool }) }
    }

    /// What the operator calls it.
    pub(crate) fn name(&self) -> &str {
        &self.config().name
    }

    pub(crate) fn config(&self) -> &TokenConfig {
        &self.inner.counter.config
    }

    /// Runs `work` on a thread of the pool, in a logged-in session. After the loss of a session or token the session is
    /// made anew and the work run once more, so it must be one that may be repeated: a look-up before a creation.
    /// Work whose future was dropped before its turn came is not done.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        purpose: Purpose,
        work: impl Fn(&Desk<'_>) -> std::result::Result<T, Trouble> + Send + 'static,
    ) -> Result<T> {
        let (answer, mut answered) = oneshot::channel();
        let errand = Box::new(Task { work, answer: Some(answer) });
        self.inner.pool.submit(Job { purpose, errand, _hold: self.hold() });
        loop {
            match timeout(LOOK_EVERY, &mut answered).await {
                Ok(outcome) => {
                    let cut_off = || format!("{}: the work at the token was cut off", self.name());
                    return outcome.unwrap_or_else(|_| Err(SignError::unavailable(cut_off())));
                }
                Err(_) => self.inner.pool.look_after(),
            }
        }
    }

    /// Keeps the token in use for as long as what is given back lives.
    pub(crate) fn hold(&self) -> Hold {
        self.inner.counter.uses.fetch_add(1, Ordering::SeqCst);
        Hold { inner: self.inner.clone() }
    }

    /// An operator wants what was refused to be tried again: the PIN, as many sessions as are configured, and a token
    /// that rests, in a module that is initialised anew where nobody else uses it.
    pub(crate) fn retry(&self) {
        self.inner.counter.logins.retry();
        self.inner.counter.look_anew();
        self.inner.pool.forget_limits();
    }

    /// Objects are found anew by every session: a handle may name another one by now. Does not block.
    pub(crate) fn forget_handles(&self) {
        self.inner.counter.forgettings.fetch_add(1, Ordering::Relaxed);
    }

    /// Closes the sessions and ends the module, if no other token is used through it. Work that is asked for afterwards
    /// is refused. A call that hangs is not waited for.
    pub(crate) async fn shut_down(&self) {
        self.inner.pool.close();
        // Who has not left by then hangs, and the module is left as it is.
        let _ = timeout(END, self.inner.pool.left()).await;
        let (done, ended) = oneshot::channel();
        let counter = self.inner.counter.clone();
        let ending = thread::Builder::new().name("pkcs11".to_owned()).spawn(move || {
            counter.give_back_module();
            // Nobody may be left to hear it.
            let _ = done.send(());
        });
        if ending.is_ok() {
            let _ = timeout(END, ended).await;
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("config", self.config()).finish_non_exhaustive()
    }
}

impl Drop for Token {
    /// After [`Token::shut_down`], nothing. Without it a process that ends now would take the module apart under its
    /// workers' feet, so they get a moment to leave.
    fn drop(&mut self) {
        self.inner.pool.close();
        let deadline = Instant::now() + LEAVE;
        while self.inner.pool.at_hand() > 0 && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let counter = &self.inner.counter;
        if counter.uses.fetch_sub(1, Ordering::SeqCst) == 1 && counter.config.opening == Opening::WhileInUse {
            self.inner.pool.clear();
        }
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold").field("token", &self.inner.counter.config.name).finish_non_exhaustive()
    }
}

/// Work and the one who waits for it.
struct Task<T, W> {
    work: W,
    answer: Option<oneshot::Sender<Result<T>>>,
}

impl<T, W> Errand for Task<T, W>
where
    T: Send,
    W: Fn(&Desk<'_>) -> std::result::Result<T, Trouble> + Send,
{
    fn is_wanted(&self) -> bool {
        self.answer.as_ref().is_some_and(|answer| !answer.is_closed())
    }

    fn attempt(&mut self, desk: &Desk<'_>) -> std::result::Result<(), Trouble> {
        let value = (self.work)(desk)?;
        self.answer(Ok(value));
        Ok(())
    }

    fn refuse(&mut self, error: SignError) {
        self.answer(Err(error));
    }
}

impl<T, W> Task<T, W> {
    fn answer(&mut self, outcome: Result<T>) {
        if let Some(answer) = self.answer.take() {
            // The caller may have gone.
            let _ = answer.send(outcome);
        }
    }
}
