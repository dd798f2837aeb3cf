//! What a call came to, kept for what is called or read on it.

use super::{
    Answer, Exception, Method, Object,
    meter::{Meter, Weight},
    path::{Path, Step},
};
use serde_json::Value;
use std::sync::Arc;

/// What a call came to.
pub(super) type Outcome = Result<Held, Arc<Exception>>;

/// Octets of a message of an error; what is longer is cut.
const LONGEST_MESSAGE: usize = 1024;

/// An answer, or a property of one; cheap to clone.
#[derive(Clone)]
pub(super) enum Held {
    Nothing,
    Data(Data),
    Object(Object),
    Method(Arc<dyn Method>),
}

/// Data, or a part of it.
#[derive(Clone)]
pub(super) struct Data {
    whole: Arc<Weighed>,
    at: Vec<Step>,
}

struct Weighed {
    value: Value,
    _weight: Weight,
}

impl Held {
    pub(super) fn new(answer: Answer, meter: &Meter) -> Self {
        match answer {
            Answer::Nothing => Self::Nothing,
            Answer::Object(object) => Self::Object(object),
            Answer::Value(value) => {
                let weight = meter.hold(weigh(&value));
                let whole = Weighed { value, _weight: weight };
                Self::Data(Data { whole: Arc::new(whole), at: Vec::new() })
            }
        }
    }

    /// The property at the end of a path: own methods and own fields alone.
    pub(super) fn follow(&self, path: &Path) -> Outcome {
        let mut held = self.clone();
        for step in path.steps() {
            held = held.property(step)?;
        }
        Ok(held)
    }

    fn property(self, step: &Step) -> Outcome {
        if step.is_inherited() {
            return Ok(Self::Nothing);
        }
        match self {
            Self::Nothing => {
                let message = format!("Cannot read properties of undefined (reading '{}')", step.name());
                Err(failure(Exception::type_error(message)))
            }
            Self::Method(_) => Ok(Self::Nothing),
            Self::Object(object) => Ok(match step {
                Step::Name(name) => object
                    .iter()
                    .find(|(known, _)| known == name)
                    .map_or(Self::Nothing, |(_, method)| Self::Method(Arc::clone(method))),
                Step::Number(_) => Self::Nothing,
            }),
            Self::Data(mut data) => Ok(if data.value().and_then(|value| step.of(value)).is_some() {
                data.at.push(step.clone());
                Self::Data(data)
            } else {
                Self::Nothing
            }),
        }
    }
}

impl Data {
    /// `None` never comes: the way was followed when it was taken.
    pub(super) fn value(&self) -> Option<&Value> {
        self.at.iter().try_fold(&self.whole.value, |value, step| step.of(value))
    }
}

/// An exception as it is kept, of a bounded length.
pub(super) fn failure(mut exception: Exception) -> Arc<Exception> {
    if exception.message.len() > LONGEST_MESSAGE {
        let end = (0..=LONGEST_MESSAGE).rev().find(|end| exception.message.is_char_boundary(*end));
        exception.message.truncate(end.unwrap_or_default());
        exception.message.push('…');
    }
    Arc::new(exception)
}

/// Octets of memory, about.
fn weigh(value: &Value) -> usize {
    size_of::<Value>()
        + match value {
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(weigh).sum(),
            Value::Object(fields) => {
                let octets = fields.iter().map(|(name, field)| name.len() + weigh(field));
                of_record(fields.len()) + octets.sum::<usize>()
            }
            _ => 0,
        }
}

/// Octets that an object of so many fields takes beside their names and values: it is a tree, whose nodes have places
/// for eleven fields and are filled by half at least.
pub(super) fn of_record(fields: usize) -> usize {
    const NODE: usize = 11 * (size_of::<String>() + size_of::<Value>()) + 16;
    fields.div_ceil(6) * NODE
}
