//! The store in one SQLite file.

mod adopt;
mod audit;
mod ca;
mod contract;
mod copy;
mod crl;
mod deny;
mod deployment;
mod facts;
mod fault;
mod file;
mod issue;
mod journal;
mod key;
mod list;
mod merge;
mod reader;
mod recovery;
mod replay;
mod restore;
mod secret;
mod step;
#[cfg(test)]
mod tests;
mod ticket;
mod token;
mod writer;

pub use copy::{Copied, StoreCopy, copy_store};
pub use file::{PendingMigration, pending_migration};
pub use restore::{Occupant, occupant, restore_store, standing};

use super::{DataDirLock, Result, StoreError};
use fault::Outcome;
use reader::{Question, Readers};
use rusqlite::Connection;
use std::{
    fmt,
    path::Path,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
    thread::JoinHandle,
};
use step::Step;
use tokio::sync::{mpsc, oneshot};
use writer::{Task, Writer};

/// Callers beyond this many wait for room in the queue.
const QUEUE: usize = 1024;

/// A [`Store`] in a SQLite file or in memory.
///
/// Dropping it finishes what is queued, like [`Store::close`], but holds up the thread that drops it.
pub struct SqliteStore {
    path: String,
    // Taken when the store is dropped, so that the threads see the end of their queues.
    writer: Option<mpsc::Sender<Task>>,
    // None in memory, where one connection does both.
    readers: Option<Readers>,
    reader_threads: Mutex<Vec<JoinHandle<()>>>,
    writer_thread: Mutex<Vec<JoinHandle<()>>>,
    // Raised by the writer.
    revocations: Arc<AtomicU64>,
}

impl SqliteStore {
    /// Opens the database at `path`, or makes it (0600), and takes the lock on its directory.
    ///
    /// # Errors
    /// Another process holds the directory, it is on a network file system, the file is another program's, damaged,
    /// from a newer version or can't be written.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_locked(path, DataDirLock::acquire(&file::directory_of(path))?)
    }

    /// Like [`SqliteStore::open`] for a caller that holds the directory's lock already.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub fn open_locked(path: &Path, lock: DataDirLock) -> Result<Self> {
        let mut store = Self::start(file::open_writer(path)?, path.display().to_string(), Some(lock))?;
        let (readers, threads) = reader::start(path, QUEUE)?;
        store.readers = Some(readers);
        store.reader_threads = Mutex::new(threads);
        Ok(store)
    }

    /// A store that lasts as long as the value.
    ///
    /// # Errors
    /// No memory, or no random numbers for the deployment id.
    pub fn in_memory() -> Result<Self> {
        Self::start(file::open_in_memory()?, ":memory:".to_owned(), None)
    }

    fn start(connection: Connection, path: String, lock: Option<DataDirLock>) -> Result<Self> {
        let (sender, queue) = mpsc::channel(QUEUE);
        let revocations = Arc::new(AtomicU64::new(0));
        let writer = Writer::new(connection, path.clone(), revocations.clone(), lock)?;
        let thread = reader::spawn("store-write", move || writer.run(queue))?;
        Ok(Self {
            path,
            writer: Some(sender),
            readers: None,
            reader_threads: Mutex::default(),
            writer_thread: Mutex::new(vec![thread]),
            revocations,
        })
    }

    /// Runs a step in the writer's next commit.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut Step<'_>) -> Outcome<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        self.send(writer::call(work, reply)).await?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Asks a reader.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Outcome<T> + Send + 'static,
    ) -> Result<T> {
        self.ask(self.readers.as_ref().map(|readers| &readers.any), work).await
    }

    /// Asks the reader that never reads long. Its answer waits for no commit.
    async fn read_short<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Outcome<T> + Send + 'static,
    ) -> Result<T> {
        self.ask(self.readers.as_ref().map(|readers| &readers.short), work).await
    }

    /// In memory there are no readers: the writer answers between two commits.
    async fn ask<T: Send + 'static>(
        &self,
        reader: Option<&mpsc::Sender<Question>>,
        work: impl FnOnce(&Connection) -> Outcome<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let path = self.path.clone();
        let ask: reader::Ask = Box::new(move |connection| {
            // A caller that has gone no longer wants to know.
            let _ = reply.send(work(connection).map_err(|fault| fault.into_store_error(&path)));
        });
        match reader {
            Some(reader) => reader.send(Question::Ask(ask)).await.map_err(|_| StoreError::Closed)?,
            None => self.send(Task::Read(ask)).await?,
        }
        answer.await.map_err(|_| StoreError::Closed)?
    }

    async fn send(&self, task: Task) -> Result<()> {
        let writer = self.writer.as_ref().ok_or(StoreError::Closed)?;
        writer.send(task).await.map_err(|_| StoreError::Closed)
    }

    /// Finishes what is queued, then ends the threads.
    async fn finish(&self) -> Result<()> {
        // A queue that is closed already is what this wants.
        if let Some(readers) = &self.readers {
            let _ = readers.any.send(Question::Stop).await;
            let _ = readers.short.send(Question::Stop).await;
        }
        join_aside(&self.reader_threads).await?;
        // Last, as it holds the directory's lock.
        let _ = self.send(Task::Stop).await;
        join_aside(&self.writer_thread).await
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.readers = None;
        join(&self.reader_threads);
        // Last, as it holds the directory's lock.
        self.writer = None;
        join(&self.writer_thread);
    }
}

/// Waits for threads whose queue has ended.
fn join(threads: &Mutex<Vec<JoinHandle<()>>>) {
    for thread in take(threads) {
        // A thread that panicked has said so already.
        let _ = thread.join();
    }
}

/// Waits like [`join`] without holding up the runtime.
async fn join_aside(threads: &Mutex<Vec<JoinHandle<()>>>) -> Result<()> {
    let threads = Mutex::new(take(threads));
    let joined = tokio::task::spawn_blocking(move || join(&threads)).await;
    joined.map_err(|error| StoreError::Storage(error.to_string()))
}

fn take(threads: &Mutex<Vec<JoinHandle<()>>>) -> Vec<JoinHandle<()>> {
    std::mem::take(&mut *threads.lock().unwrap_or_else(PoisonError::into_inner))
}
