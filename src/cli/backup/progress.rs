//! A line on the terminal that says how far a backup has come, and the signals that end one.

use super::Trouble;
use crate::backup::Watch;
use std::{
    io::{self, IsTerminal as _, Write as _},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::{
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
};

/// Not more often: people don't read faster.
const EVERY: Duration = Duration::from_millis(100);
const WIDTH: usize = 24;

/// Looks on for whoever sits at the terminal, who may end it with Ctrl-C.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// The number of the signal that came.
    signal: Arc<AtomicI32>,
    /// When the line was last drawn; `None` where there is no terminal to draw it on.
    drawn: Option<Mutex<Drawn>>,
}

/// What the line said last.
#[derive(Debug)]
struct Drawn {
    at: Instant,
    step: &'static str,
}

impl Progress {
    /// Listens to the signals that end a command (POSIX).
    pub(super) fn new(runtime: &Runtime) -> Result<Self, Trouble> {
        let number = Arc::new(AtomicI32::new(0));
        for kind in [SignalKind::interrupt(), SignalKind::hangup(), SignalKind::terminate()] {
            let _inside = runtime.enter();
            let (mut signal, number) = (signal(kind)?, number.clone());
            runtime.spawn(async move {
                while signal.recv().await.is_some() {
                    number.store(kind.as_raw_value(), Relaxed);
                }
            });
        }
        let drawn = io::stderr().is_terminal().then(|| Mutex::new(Drawn { at: Instant::now(), step: "" }));
        Ok(Self { signal: number, drawn })
    }

    /// What came of the work: that it was ended, where it was.
    pub(super) fn outcome<T>(&self, outcome: Result<T, impl Into<Trouble>>) -> Result<T, Trouble> {
        self.wipe();
        match self.signal.load(Relaxed) {
            0 => outcome.map_err(Into::into),
            number => outcome.map_err(|_| Trouble::Signal(number)),
        }
    }

    /// Waits for a key store, or for the signal that ends the waiting.
    pub(super) async fn or_stopped<T>(&self, work: impl Future<Output = T>) -> Result<T, Trouble> {
        let stopped = async {
            while !self.is_stopped() {
                tokio::time::sleep(EVERY).await;
            }
        };
        let done = tokio::select! {
            done = work => Ok(done),
            () = stopped => Err(Trouble::Signal(self.signal.load(Relaxed))),
        };
        self.wipe();
        done
    }

    fn wipe(&self) {
        if self.drawn.is_some() {
            // Nobody is left to see it when standard error is closed, here and below.
            let _ = write!(io::stderr(), "\r\u{1b}[K");
        }
    }
}

impl Watch for Progress {
    fn has_done(&self, step: &'static str, done: u64, of: u64) {
        let Some(drawn) = &self.drawn else { return };
        let mut drawn = drawn.lock().unwrap_or_else(PoisonError::into_inner);
        // A step that takes long before it tells more is to be seen.
        if drawn.step == step && drawn.at.elapsed() < EVERY {
            return;
        }
        *drawn = Drawn { at: Instant::now(), step };
        let _ = write!(io::stderr(), "\r\u{1b}[K{}", line(step, done, of));
    }

    fn is_stopped(&self) -> bool {
        self.signal.load(Relaxed) != 0
    }
}

/// `copying    [########                ]  33 %`
fn line(step: &str, done: u64, of: u64) -> String {
    let share = if of == 0 { 0 } else { (u128::from(done.min(of)) * 100 / u128::from(of)) as usize };
    let full = share * WIDTH / 100;
    format!("{step:<10} [{}{}] {share:>3} %", "#".repeat(full), " ".repeat(WIDTH - full))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_as_wide_at_the_end_as_at_the_beginning() {
        assert_eq!(line("copying", 1, 3), "copying    [#######                 ]  33 %");
        for (done, of) in [(0, 0), (0, 9), (9, 9), (10, 9), (u64::MAX, u64::MAX)] {
            assert_eq!(line("checking", done, of).len(), 43, "{done} of {of}");
        }
    }
}
