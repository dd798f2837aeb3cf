//! Arguments with places that are filled when the answers that belong there have come.

use super::{
    Exception,
    held::{Held, Outcome},
};
use serde_json::{Map, Value};

/// An argument, or a part of one.
#[derive(PartialEq)]
pub(super) enum Term {
    Undefined,
    /// Nothing in it waits for an answer.
    Value(Value),
    List(Vec<Self>),
    Record(Vec<(String, Self)>),
    /// The answer of that index among those of the call.
    Hole(usize),
}

impl Term {
    pub(super) fn list(items: Vec<Self>) -> Self {
        if items.iter().any(Self::waits) {
            return Self::List(items);
        }
        Self::Value(items.into_iter().map(Self::settled).map(Option::unwrap_or_default).collect())
    }

    pub(super) fn record(fields: Vec<(String, Self)>) -> Self {
        if fields.iter().any(|(_, field)| field.waits()) {
            return Self::Record(fields);
        }
        let fields = fields.into_iter().filter_map(|(name, field)| Some((name, field.settled()?)));
        Self::Value(Value::Object(fields.collect()))
    }

    fn waits(&self) -> bool {
        matches!(self, Self::List(_) | Self::Record(_) | Self::Hole(_))
    }

    fn settled(self) -> Option<Value> {
        match self {
            Self::Value(value) => Some(value),
            _ => None,
        }
    }
}

/// What may be put in, so that a message can't be made to grow beyond what one may hold.
pub(super) struct Filling<'a> {
    /// The answers, each followed to the property that is meant.
    pub(super) answers: &'a [Outcome],
    /// Octets that may still be put in.
    pub(super) octets: usize,
    /// Levels of nesting.
    pub(super) depth: usize,
}

impl Filling<'_> {
    /// The arguments of a call. `undefined` at the end is left out, elsewhere it is `null`.
    pub(super) fn arguments(&mut self, terms: Vec<Term>) -> Result<Vec<Value>, Exception> {
        let mut arguments = Vec::with_capacity(terms.len());
        for term in terms {
            arguments.push(self.term(term, 0)?);
        }
        while matches!(arguments.last(), Some(None)) {
            arguments.pop();
        }
        Ok(arguments.into_iter().map(Option::unwrap_or_default).collect())
    }

    /// `None` for `undefined`.
    fn term(&mut self, term: Term, level: usize) -> Result<Option<Value>, Exception> {
        Ok(match term {
            Term::Undefined => None,
            Term::Value(value) => Some(value),
            Term::List(terms) => {
                let mut items = Vec::with_capacity(terms.len());
                for term in terms {
                    items.push(self.term(term, level + 1)?.unwrap_or_default());
                }
                Some(Value::Array(items))
            }
            Term::Record(terms) => {
                let mut fields = Map::new();
                for (name, term) in terms {
                    if let Some(field) = self.term(term, level + 1)? {
                        fields.insert(name, field);
                    }
                }
                Some(Value::Object(fields))
            }
            Term::Hole(index) => match self.answers.get(index) {
                Some(Ok(Held::Data(data))) => {
                    data.value().map(|value| self.copy(value, level)).transpose()?
                }
                Some(Ok(Held::Object(_) | Held::Method(_))) => {
                    return Err(Exception::type_error(
                        "An argument is an object or a method of this service, and no method here takes one.",
                    ));
                }
                Some(Err(exception)) => return Err(Exception::clone(exception)),
                Some(Ok(Held::Nothing)) | None => None,
            },
        })
    }

    fn copy(&mut self, value: &Value, level: usize) -> Result<Value, Exception> {
        let text = match value {
            Value::String(text) => text.len(),
            _ => 0,
        };
        self.spend(size_of::<Value>() + text)?;
        if level > self.depth {
            return Err(Exception::type_error(
                "With the answers that are its arguments, this call is nested too deeply.",
            ));
        }
        Ok(match value {
            Value::Array(items) => {
                let items = items.iter().map(|item| self.copy(item, level + 1));
                Value::Array(items.collect::<Result<_, _>>()?)
            }
            Value::Object(fields) => {
                let mut copy = Map::new();
                for (name, field) in fields {
                    self.spend(name.len())?;
                    copy.insert(name.clone(), self.copy(field, level + 1)?);
                }
                Value::Object(copy)
            }
            scalar => scalar.clone(),
        })
    }

    fn spend(&mut self, octets: usize) -> Result<(), Exception> {
        self.octets = self.octets.checked_sub(octets).ok_or_else(|| {
            Exception::type_error("With the answers that are its arguments, this call is too large.")
        })?;
        Ok(())
    }
}
