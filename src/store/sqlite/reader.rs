//! Threads that answer questions from connections of their own, so that a long list delays no issuance.

use super::file;
use crate::store::{Result, StoreError};
use rusqlite::Connection;
use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
};
use tokio::sync::mpsc;

/// Two short ones go on beside one that reads long.
const READERS: usize = 3;

/// What is to be read, with the way back to the caller.
pub(super) type Ask = Box<dyn FnOnce(&Connection) + Send>;

/// What the readers are told.
pub(super) enum Question {
    Ask(Ask),
    /// Answer what is queued, take nothing more.
    Stop,
}

type Queue = Arc<Mutex<mpsc::Receiver<Question>>>;

/// Opens the connections and starts the threads.
pub(super) fn start(path: &Path, queue: mpsc::Receiver<Question>) -> Result<Vec<JoinHandle<()>>> {
    let queue: Queue = Arc::new(Mutex::new(queue));
    (1..=READERS)
        .map(|number| {
            let connection = file::open_reader(path)?;
            let queue = Arc::clone(&queue);
            spawn(&format!("store-read-{number}"), move || {
                while let Some(ask) = next(&queue) {
                    in_snapshot(&connection, ask);
                }
            })
        })
        .collect()
}

/// A named thread.
pub(super) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    let thread = thread::Builder::new().name(name.to_owned()).spawn(work);
    thread.map_err(|error| StoreError::Storage(format!("no thread for {name}: {error}")))
}

/// One thread waits for the next question, the others for that one.
fn next(queue: &Queue) -> Option<Ask> {
    let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        match queue.blocking_recv()? {
            Question::Ask(ask) => return Some(ask),
            Question::Stop => queue.close(),
        }
    }
}

/// Runs a question whose several statements must see the same state.
fn in_snapshot(connection: &Connection, ask: Ask) {
    let snapshot = connection.unchecked_transaction();
    ask(connection);
    drop(snapshot);
}
