//! Cap'n Web (the protocol of npm `capnweb`): a codec and a session. It knows messages, objects and methods, and
//! nothing of what the methods do.
//!
//! A client holds one object, whose methods it calls; a method answers data, or an object with methods of its own. What
//! is not answered yet can be called already ("pipelining"). There are two transports: whole messages over a socket
//! ([`serve`]), and a batch of them in one request ([`batch`]).

mod batch;
mod held;
mod message;
mod meter;
mod path;
mod reading;
mod serve;
mod session;
mod shelves;
mod table;
mod term;
#[cfg(test)]
mod tests;
mod wire;
mod work;

pub use batch::batch;
pub use meter::Total;
pub use serve::serve;

use async_trait::async_trait;
use serde_json::Value;
use std::{fmt, sync::Arc};

/// What a client may call.
#[async_trait]
pub trait Method: Send + Sync {
    /// Runs the method. An argument, or a field of one, that is `undefined` is absent.
    ///
    /// # Errors
    /// The client's promise is rejected with the exception.
    async fn call(&self, arguments: Vec<Value>) -> Result<Answer, Exception>;

    /// Whether its answers may be large. Of such calls a session runs one at a time.
    fn is_large(&self) -> bool {
        false
    }
}

/// What a method answers.
#[derive(Clone)]
pub enum Answer {
    /// Data.
    Value(Value),
    /// `undefined`
    Nothing,
    /// An object; each of its methods can be called for itself.
    Object(Object),
}

/// An object of methods, by name.
pub type Object = Arc<[(&'static str, Arc<dyn Method>)]>;

/// Why a promise is rejected, or a session ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    /// The name of the error's class in JavaScript: `Error`, `TypeError`, `RangeError`.
    pub name: &'static str,
    /// A sentence.
    pub message: String,
}

impl Exception {
    /// An exception of the class `Error`.
    pub fn error(message: impl Into<String>) -> Self {
        Self { name: "Error", message: message.into() }
    }

    /// An exception of the class `TypeError`.
    pub fn type_error(message: impl Into<String>) -> Self {
        Self { name: "TypeError", message: message.into() }
    }
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.message)
    }
}

impl std::error::Error for Exception {}

/// Where everything ends.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Octets of a message.
    pub message: usize,
    /// Levels of nesting in a message; none beyond 127 is read.
    pub depth: usize,
    /// Entries of a session's tables: what is beyond is forgotten once it is settled; first what was pulled, and of that
    /// what was least recently used.
    pub entries: usize,
    /// Octets of memory, about, of what is kept for later calls on it and of what is not sent yet: while there is more, no
    /// call begins.
    pub kept: usize,
    /// The same until a call has answered an object: before that the client is nobody in particular.
    pub kept_at_first: usize,
    /// Calls that run at the same time; others wait.
    pub running: usize,
    /// Messages of a batch.
    pub batch: usize,
    /// Octets of the answers of a batch; failures are told beyond.
    pub answers: usize,
}

/// A socket, as far as a session sees it: it carries whole messages.
#[async_trait]
pub trait Transport: Send {
    /// The next message; `None` when the client has gone. Dropping the future loses no message.
    async fn receive(&mut self) -> Option<Result<String, Exception>>;

    /// Sends a message; `false` when the client has gone.
    async fn send(&mut self, message: String) -> bool;
}
