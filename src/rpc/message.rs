//! Messages of a client, as they are read.

use super::{
    Exception, Limits,
    path::Path,
    reading::{self, Hole, Reading},
    term::Term,
};
use serde_json::Value;
use std::collections::BTreeMap;

/// A message of a client.
pub(super) enum Message {
    Push(Push),
    /// A push that is pulled and released at once.
    Stream(Push),
    /// A stream is opened; it takes a number as a push does.
    Pipe,
    Pull(i64),
    Release {
        id: i64,
        count: u64,
    },
    /// The client answers a call; none was made. Exports that it holds are given back.
    Answered(BTreeMap<i64, u64>),
    /// The client ends the session.
    Abort,
}

/// A call, or a read of a property.
pub(super) struct Push {
    /// What is asked; or why it is not done.
    pub(super) operation: Result<Operation, Exception>,
    /// The client's own exports and promises, and how often each occurs.
    pub(super) stubs: BTreeMap<i64, u64>,
    /// Octets of memory, about.
    pub(super) weight: usize,
}

/// A call, or a read of a property.
pub(super) struct Operation {
    pub(super) target: i64,
    pub(super) path: Path,
    /// `None` for a read.
    pub(super) arguments: Option<Vec<Term>>,
    /// The answers that belong in the arguments.
    pub(super) holes: Vec<Hole>,
}

impl Message {
    /// Reads a message.
    ///
    /// # Errors
    /// It is none, or beyond the limits.
    pub(super) fn read(text: &str, limits: &Limits) -> Result<Self, Exception> {
        if text.len() > limits.message {
            let message = format!("Incoming message exceeds maximum size of {} octets.", limits.message);
            return Err(Exception::type_error(message));
        }
        if depth(text) > limits.depth {
            let message =
                format!("Deserialization exceeded maximum allowed message depth of {}.", limits.depth);
            return Err(Exception::type_error(message));
        }
        let message = serde_json::from_str::<Value>(text).map_err(|error| Exception {
            name: "SyntaxError",
            message: format!("A message is no JSON: {error}."),
        })?;
        let Value::Array(mut items) = message else {
            return Err(Exception::error("bad RPC message: it is no list"));
        };
        let kind = items.first().and_then(Value::as_str).unwrap_or_default().to_owned();
        match (kind.as_str(), items.get_mut(1..).unwrap_or_default()) {
            ("push", [expression, ..]) => Push::read(expression.take()).map(Self::Push),
            ("stream", [expression, ..]) => Push::read(expression.take()).map(Self::Stream),
            ("pipe", _) => Ok(Self::Pipe),
            ("pull", [Value::Number(id), ..]) => export(id).map(Self::Pull),
            ("release", [Value::Number(id), Value::Number(count), ..]) => {
                let id = export(id)?;
                count.as_u64().map(|count| Self::Release { id, count }).ok_or_else(|| bad(&items))
            }
            ("resolve" | "reject", [Value::Number(_), expression, ..]) => {
                let mut reading = Reading::default();
                reading.term(expression.take())?;
                Ok(Self::Answered(reading.stubs))
            }
            ("abort", _) => Ok(Self::Abort),
            _ => Err(bad(&items)),
        }
    }
}

impl Push {
    fn read(expression: Value) -> Result<Self, Exception> {
        let mut reading = Reading::default();
        let operation = match expression {
            Value::Array(items) => Operation::read(items, &mut reading)?,
            value => reading.term(value).map(|_| None)?,
        };
        let operation = match (reading.unfit, operation) {
            (Some(unfit), _) => Err(unfit),
            (None, Some(operation)) => Ok(Operation { holes: reading.holes, ..operation }),
            (None, None) => Err(Exception::type_error("A push is a call or the read of a property.")),
        };
        Ok(Self { operation, stubs: reading.stubs, weight: reading.weight })
    }
}

impl Operation {
    /// `None` when it is another expression.
    fn read(mut items: Vec<Value>, reading: &mut Reading) -> Result<Option<Self>, Exception> {
        let kind = items.first().and_then(Value::as_str).unwrap_or_default().to_owned();
        let (target, path, arguments) = match (kind.as_str(), items.get_mut(1..).unwrap_or_default()) {
            ("import" | "pipeline", [id @ Value::Number(_)]) => {
                (reading::entry(id)?, Value::Array(vec![]), None)
            }
            ("import" | "pipeline", [id @ Value::Number(_), path]) => {
                (reading::entry(id)?, path.take(), None)
            }
            ("import" | "pipeline", [id @ Value::Number(_), path, Value::Array(arguments)]) => {
                (reading::entry(id)?, path.take(), Some(std::mem::take(arguments)))
            }
            ("remap", [Value::Number(_), Value::Array(_), Value::Array(captures), Value::Array(_)]) => {
                reading.captures(captures)?;
                reading.unfit("This service runs no map(): ask for the list, and map it where you are.");
                return Ok(None);
            }
            _ => return reading.term(Value::Array(items)).map(|_| None),
        };
        let path = Path::read(path).ok_or_else(|| reading::unknown(&items))?;
        reading.weight += path.weight();
        let arguments = arguments.map(|arguments| reading.terms(arguments)).transpose()?;
        Ok(Some(Self { target, path, arguments, holes: Vec::new() }))
    }
}

fn export(id: &serde_json::Number) -> Result<i64, Exception> {
    id.as_i64().ok_or_else(|| Exception::error(format!("no such export ID: {id}")))
}

fn bad(items: &[Value]) -> Exception {
    Exception::error(format!("bad RPC message: {}", reading::shape(items)))
}

/// Levels of nesting. It is seen before the text is read, since reading goes down as deep as the text does.
fn depth(text: &str) -> usize {
    let (mut level, mut deepest) = (0_usize, 0_usize);
    let mut quoted = false;
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        match octet {
            b'"' => quoted = !quoted,
            b'\\' if quoted => drop(octets.next()),
            b'[' | b'{' if !quoted => {
                level += 1;
                deepest = deepest.max(level);
            }
            b']' | b'}' if !quoted => level = level.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}
