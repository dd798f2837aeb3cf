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
/// How many of issuance's questions share a snapshot at most.
const TOGETHER: usize = 64;

/// What is to be read, with the way back to the caller.
pub(super) type Ask = Box<dyn FnOnce(&Connection) + Send>;

/// What the readers are told.
pub(super) enum Question {
    Ask(Ask),
    /// Answer what is queued, take nothing more.
    Stop,
}

type Queue = Arc<Mutex<mpsc::Receiver<Question>>>;

/// The ways to the readers.
pub(super) struct Readers {
    /// Of questions of any length.
    pub(super) any: mpsc::Sender<Question>,
    /// Of those that every issuance asks. One thread answers them, many at a time: after each commit a connection
    /// reads its pages anew, and this way they are read once.
    pub(super) short: mpsc::Sender<Question>,
}

/// Opens the connections and starts the threads; each queue holds so many questions.
pub(super) fn start(path: &Path, room: usize) -> Result<(Readers, Vec<JoinHandle<()>>)> {
    let (any, questions) = mpsc::channel(room);
    let any_queue: Queue = Arc::new(Mutex::new(questions));
    let (short, questions) = mpsc::channel(room);
    let short_queue: Queue = Arc::new(Mutex::new(questions));
    let mut threads = vec![reader(path, "store-read-short", &short_queue, TOGETHER)?];
    for number in 1..=READERS {
        threads.push(reader(path, &format!("store-read-{number}"), &any_queue, 1)?);
    }
    Ok((Readers { any, short }, threads))
}

fn reader(path: &Path, name: &str, queue: &Queue, most: usize) -> Result<JoinHandle<()>> {
    let connection = file::open_reader(path)?;
    let queue = Arc::clone(queue);
    spawn(name, move || {
        loop {
            let asks = next(&queue, most);
            if asks.is_empty() {
                return;
            }
            in_snapshot(&connection, asks);
        }
    })
}

/// A named thread.
pub(super) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    let thread = thread::Builder::new().name(name.to_owned()).spawn(work);
    thread.map_err(|error| StoreError::Storage(format!("no thread for {name}: {error}")))
}

/// What is queued, `most` at most; nothing at the end. One thread waits for it, the others for that one.
fn next(queue: &Queue, most: usize) -> Vec<Ask> {
    let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
    let mut asks = Vec::new();
    let mut question = queue.blocking_recv();
    while let Some(taken) = question {
        match taken {
            Question::Ask(ask) => asks.push(ask),
            Question::Stop => queue.close(),
        }
        question = match asks.len() {
            0 => queue.blocking_recv(),
            full if full == most => None,
            _ => queue.try_recv().ok(),
        };
    }
    asks
}

/// Answers from one state of the database, which a question of several statements needs.
fn in_snapshot(connection: &Connection, asks: Vec<Ask>) {
    let snapshot = connection.unchecked_transaction();
    for ask in asks {
        ask(connection);
    }
    drop(snapshot);
}
