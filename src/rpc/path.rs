//! Paths: which property of an answer is meant.

use serde_json::Value;

/// A way from an answer down to one of its properties.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Path(Vec<Step>);

/// One property. JavaScript tells them apart where the answer is a list: `"0"` names nothing in it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    Name(String),
    Number(f64),
}

/// What every object of JavaScript has from its prototype: none of it is reached.
const INHERITED: [&str; 12] = [
    "__defineGetter__",
    "__defineSetter__",
    "__lookupGetter__",
    "__lookupSetter__",
    "__proto__",
    "constructor",
    "hasOwnProperty",
    "isPrototypeOf",
    "propertyIsEnumerable",
    "toLocaleString",
    "toString",
    "valueOf",
];

/// Whether a name stands for something that every object of JavaScript has from its prototype.
pub(super) fn is_inherited(name: &str) -> bool {
    INHERITED.binary_search(&name).is_ok()
}

impl Path {
    /// `None` when it is no list of strings and numbers.
    pub(super) fn read(value: Value) -> Option<Self> {
        let Value::Array(steps) = value else { return None };
        let steps = steps.into_iter().map(|step| match step {
            Value::String(name) => Some(Step::Name(name)),
            Value::Number(number) => number.as_f64().map(Step::Number),
            _ => None,
        });
        steps.collect::<Option<Vec<_>>>().map(Self)
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.0
    }

    /// Octets of memory, about.
    pub(super) fn weight(&self) -> usize {
        let names = self.0.iter().map(|step| match step {
            Step::Name(name) => name.len(),
            Step::Number(_) => 0,
        });
        self.0.len() * size_of::<Step>() + names.sum::<usize>()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As messages of errors name it: `list.0.jti`
    pub(super) fn joined(&self) -> String {
        self.0.iter().map(Step::name).collect::<Vec<_>>().join(".")
    }
}

impl Step {
    pub(super) fn name(&self) -> String {
        match self {
            Self::Name(name) => name.clone(),
            Self::Number(number) => number.to_string(),
        }
    }

    pub(super) fn is_inherited(&self) -> bool {
        matches!(self, Self::Name(name) if is_inherited(name))
    }

    /// The property of that name: an own one, or none.
    pub(super) fn of<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        match (self, value) {
            (_, Value::Object(fields)) if !self.is_inherited() => match self {
                Self::Name(name) => fields.get(name),
                Self::Number(_) => fields.get(&self.name()),
            },
            (Self::Number(number), Value::Array(items)) => items.get(index(*number)?),
            _ => None,
        }
    }
}

/// A number as an index, if it is a whole one.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn index(number: f64) -> Option<usize> {
    (number.fract() == 0.0 && (0.0..9e15).contains(&number)).then_some(number as usize)
}
