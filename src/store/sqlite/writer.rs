//! The one thread that writes. It takes what is queued, runs each step under a savepoint of its own, commits once
//! and then answers everybody: the more callers wait, the more share the disk's one flush.

use super::{
    fault::{Fault, Outcome},
    reader::Ask,
    step::{Ledger, Step},
};
use crate::store::{DataDirLock, Result, StoreError};
use rusqlite::Connection;
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
    fn run(&mut self, step: &mut Step<'_>) -> Outcome<()>;
    /// Tells the caller: what `run` made, or `failure`.
    fn answer(self: Box<Self>, failure: Option<StoreError>);
}

struct Call<W, T> {
    work: Option<W>,
    made: Option<T>,
    reply: oneshot::Sender<Result<T>>,
}

/// Packs a step for the queue.
pub(super) fn call<T: Send + 'static>(
    work: impl FnOnce(&mut Step<'_>) -> Outcome<T> + Send + 'static,
    reply: oneshot::Sender<Result<T>>,
) -> Task {
    Task::Write(Box::new(Call { work: Some(work), made: None, reply }))
}

impl<W, T> Write for Call<W, T>
where
    W: FnOnce(&mut Step<'_>) -> Outcome<T> + Send,
    T: Send,
{
    fn run(&mut self, step: &mut Step<'_>) -> Outcome<()> {
        if let Some(work) = self.work.take() {
            self.made = Some(work(step)?);
        }
        Ok(())
    }

    fn answer(self: Box<Self>, failure: Option<StoreError>) {
        let answer = match (failure, self.made) {
            (Some(error), _) => Err(error),
            (None, Some(made)) => Ok(made),
            (None, None) => Err(StoreError::Closed),
        };
        // A caller that has gone no longer wants to know.
        let _ = self.reply.send(answer);
    }
}

/// The writer's own side.
pub(super) struct Writer {
    connection: Connection,
    ledger: Ledger,
    path: String,
    // Held until the connection is closed.
    _lock: Option<DataDirLock>,
}

impl Writer {
    pub(super) fn new(connection: Connection, path: String, lock: Option<DataDirLock>) -> Result<Self> {
        let ledger = Ledger::load(&connection).map_err(|fault| fault.into_store_error(&path))?;
        Ok(Self { connection, ledger, path, _lock: lock })
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
        let mut refused = Vec::with_capacity(writes.len());
        let committed = self.transact(writes, &mut refused);
        if committed.is_err() {
            self.leave_transaction();
        }
        let failure = committed.err().map(|fault| fault.into_store_error(&self.path));
        let mut refused = refused.into_iter();
        for write in writes.drain(..) {
            let own = refused.next().flatten();
            write.answer(own.or_else(|| failure.clone()));
        }
    }

    /// Runs the batch. `refused` gets, for each step that ran, why it alone was rolled back, if it was.
    fn transact(
        &mut self,
        writes: &mut [Box<dyn Write>],
        refused: &mut Vec<Option<StoreError>>,
    ) -> Outcome<()> {
        let mut ledger = self.ledger;
        self.execute("BEGIN IMMEDIATE")?;
        for write in writes {
            self.execute("SAVEPOINT step")?;
            let mut step = Step::new(&self.connection, ledger);
            match write.run(&mut step) {
                Ok(()) => {
                    ledger = step.into_ledger();
                    refused.push(None);
                }
                Err(fault) => {
                    refused.push(Some(fault.into_store_error(&self.path)));
                    // When the disk is full or fails, SQLite may give up the whole transaction by itself.
                    if self.connection.is_autocommit() {
                        return Err(given_up(refused));
                    }
                    self.execute("ROLLBACK TO step")?;
                }
            }
            self.execute("RELEASE step")?;
        }
        if ledger != self.ledger {
            ledger.save(&self.connection)?;
        }
        self.execute("COMMIT")?;
        self.ledger = ledger;
        Ok(())
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

/// Why the steps beside the failed one failed too.
fn given_up(refused: &[Option<StoreError>]) -> Fault {
    let cause = refused.last().cloned().flatten();
    Fault::Store(cause.unwrap_or(StoreError::Storage("the transaction was rolled back".to_owned())))
}
