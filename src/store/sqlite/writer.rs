//! The one thread that writes. It takes what is queued, runs it in one transaction, commits once and then answers
//! everybody: the more callers wait, the more share the disk's one flush. If a step fails, the batch is rolled back
//! and run again with a savepoint around each step, so that the failed one is rolled back alone.

use super::{
    fault::{Fault, Outcome},
    reader::Ask,
    step::{Ledger, Step},
};
use crate::store::{DataDirLock, Result, StoreError};
use rusqlite::Connection;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use tokio::sync::{mpsc, oneshot};

/// How many steps share a commit at most: bounds how long the first of them waits.
const BATCH: usize = 256;

/// What the writer is asked to do.
pub(super) enum Task {
    /// A step that changes something.
    Write(Box<dyn Write>),
    /// A question, answered from what is committed before the next batch is.
    Read(Ask),
    /// Finish what is queued, take nothing more.
    Stop,
}

/// A queued step with the way back to its caller.
pub(super) trait Write: Send {
    /// May be called again, after all that the first call did was rolled back.
    fn run(&mut self, step: &mut Step<'_>) -> Outcome<()>;
    /// Tells the caller: what `run` made, or `failure`.
    fn answer(self: Box<Self>, failure: Option<StoreError>);
}

struct Call<W, T> {
    work: W,
    made: Option<T>,
    reply: oneshot::Sender<Result<T>>,
}

/// Packs a step for the queue.
pub(super) fn call<T: Send + 'static>(
    work: impl FnMut(&mut Step<'_>) -> Outcome<T> + Send + 'static,
    reply: oneshot::Sender<Result<T>>,
) -> Task {
    Task::Write(Box::new(Call { work, made: None, reply }))
}

impl<W, T> Write for Call<W, T>
where
    W: FnMut(&mut Step<'_>) -> Outcome<T> + Send,
    T: Send,
{
    fn run(&mut self, step: &mut Step<'_>) -> Outcome<()> {
        self.made = Some((self.work)(step)?);
        Ok(())
    }

    fn answer(self: Box<Self>, failure: Option<StoreError>) {
        let Self { work, made, reply } = *self;
        // The caller may own again what it lent to the step.
        drop(work);
        let answer = match (failure, made) {
            (Some(error), _) => Err(error),
            (None, Some(made)) => Ok(made),
            (None, None) => Err(StoreError::Closed),
        };
        // A caller that has gone no longer wants to know.
        let _ = reply.send(answer);
    }
}

/// The writer's own side.
pub(super) struct Writer {
    connection: Connection,
    ledger: Ledger,
    path: String,
    /// See [`crate::store::Store::revocations`].
    revocations: Arc<AtomicU64>,
    // Held until the connection is closed.
    _lock: Option<DataDirLock>,
}

impl Writer {
    pub(super) fn new(
        connection: Connection,
        path: String,
        revocations: Arc<AtomicU64>,
        lock: Option<DataDirLock>,
    ) -> Result<Self> {
        let ledger = Ledger::load(&connection).map_err(|fault| fault.into_store_error(&path))?;
        Ok(Self { connection, ledger, path, revocations, _lock: lock })
    }

    /// Works until all callers have gone or one says stop.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Task>) {
        let mut writes = Vec::with_capacity(BATCH);
        let mut reads = Vec::new();
        while let Some(first) = queue.blocking_recv() {
            let mut next = Some(first);
            while let Some(task) = next {
                match task {
                    Task::Write(write) => writes.push(write),
                    Task::Read(read) => reads.push(read),
                    Task::Stop => queue.close(),
                }
                next = if writes.len() + reads.len() < BATCH { queue.try_recv().ok() } else { None };
            }
            self.answer_reads(&mut reads);
            self.commit(&mut writes);
        }
    }

    fn answer_reads(&self, reads: &mut Vec<Ask>) {
        if reads.is_empty() {
            return;
        }
        // One snapshot for all saves each statement taking its own; without it the answers are the same.
        let snapshot = self.connection.execute_batch("BEGIN");
        for read in reads.drain(..) {
            read(&self.connection);
        }
        if snapshot.is_ok() {
            self.leave_transaction();
        }
    }

    fn commit(&mut self, writes: &mut Vec<Box<dyn Write>>) {
        if writes.is_empty() {
            return;
        }
        let mut failures = Vec::new();
        let mut committed = self.transact(writes, None);
        if committed.is_err() {
            // Once more with care: whatever failed fails alone, and the others do not notice.
            self.leave_transaction();
            committed = self.transact(writes, Some(&mut failures));
        }
        if committed.is_err() {
            self.leave_transaction();
        }
        let failure = committed.err().map(|fault| fault.into_store_error(&self.path));
        let mut failures = failures.into_iter();
        for write in writes.drain(..) {
            let own = failures.next().flatten();
            write.answer(own.or_else(|| failure.clone()));
        }
    }

    /// Runs the batch and commits it. Without `failures` the first failure ends it. With them each step has a
    /// savepoint, which costs copies of all pages it changes, and why it was rolled back alone, if it was, is added.
    fn transact(
        &mut self,
        writes: &mut [Box<dyn Write>],
        mut failures: Option<&mut Vec<Option<StoreError>>>,
    ) -> Outcome<()> {
        self.execute("BEGIN IMMEDIATE")?;
        let mut step = Step::new(&self.connection, self.ledger.clone());
        for write in writes {
            match &mut failures {
                None => write.run(&mut step)?,
                Some(failures) => {
                    let failure = self.guarded(write.as_mut(), &mut step)?;
                    failures.push(failure.map(|fault| fault.into_store_error(&self.path)));
                }
            }
        }
        let ledger = step.finish(&self.ledger)?;
        let committed = self.execute("COMMIT");
        if step.ends_credentials() {
            // Before anybody is answered, and after a COMMIT that failed too: what it left shows only later.
            self.revocations.fetch_add(1, Ordering::AcqRel);
        }
        committed?;
        self.ledger = ledger;
        Ok(())
    }

    /// Runs a step under a savepoint. The inner fault is the step's own; the outer one ends the batch.
    fn guarded(&self, write: &mut dyn Write, step: &mut Step<'_>) -> Outcome<Option<Fault>> {
        let ledger = step.ledger().clone();
        self.execute("SAVEPOINT step")?;
        let failure = write.run(step).err();
        if let Some(fault) = failure {
            // When the disk is full or fails, SQLite may give up the whole transaction by itself.
            if self.connection.is_autocommit() {
                return Err(fault);
            }
            self.execute("ROLLBACK TO step")?;
            self.execute("RELEASE step")?;
            step.set_ledger(ledger);
            return Ok(Some(fault));
        }
        self.execute("RELEASE step")?;
        Ok(None)
    }

    fn execute(&self, sql: &str) -> Outcome<()> {
        self.connection.prepare_cached(sql)?.execute([])?;
        Ok(())
    }

    fn leave_transaction(&self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "the certificate store could not roll back");
        }
    }
}
