//! Expressions, as they are read.
//!
//! A method takes JSON, so what JSON has not becomes what it has: `undefined` is an absent field (in a list, `null`);
//! an infinite number the text `Infinity` or `-Infinity`, and no number the text `NaN`, so that where a number is asked for
//! the answer says so; octets are their base64 as it came; a big integer is a number where it fits in 64 bits, else its
//! digits; a date is ISO 8601 in UTC with milliseconds, an invalid one `null`; an error is its `name` and `message`; a URL
//! is its text. Fields named as what every object of JavaScript inherits, and `toJSON`, are left out.

use super::{
    Exception,
    held::of_record,
    path::{self, Path},
    term::Term,
};
use serde_json::{Number, Value, json};
use std::collections::BTreeMap;
use time::{OffsetDateTime, macros::format_description};

/// Digits of a big integer.
const MOST_DIGITS: usize = 16_384;

/// Octets that a hole takes, about: itself, the answer that comes, and its place in the list of who waits for that.
const HOLE: usize = 192;

/// An answer that is put into an argument.
#[derive(Debug, PartialEq)]
pub(super) struct Hole {
    pub(super) id: i64,
    pub(super) path: Path,
}

/// What was met while expressions of one message were read.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) holes: Vec<Hole>,
    /// The client's own exports and promises, and how often each occurs: they are given back.
    pub(super) stubs: BTreeMap<i64, u64>,
    /// Octets of memory, about.
    pub(super) weight: usize,
    /// Why the call can't be made although the message is well formed.
    pub(super) unfit: Option<Exception>,
}

impl Reading {
    /// Reads an expression.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn term(&mut self, expression: Value) -> Result<Term, Exception> {
        self.weight += size_of::<Value>();
        match expression {
            Value::Array(mut items) => match items.as_mut_slice() {
                [Value::Array(items)] => {
                    let items = std::mem::take(items).into_iter().map(|item| self.term(item));
                    items.collect::<Result<_, _>>().map(Term::list)
                }
                _ => self.special(items),
            },
            Value::Object(fields) => {
                let mut read = Vec::with_capacity(fields.len());
                self.weight += of_record(fields.len());
                for (name, field) in fields {
                    let field = self.term(field)?;
                    if !path::is_inherited(&name) && name != "toJSON" {
                        self.weight += name.len();
                        read.push((name, field));
                    }
                }
                Ok(Term::record(read))
            }
            Value::String(text) => {
                self.weight += text.len();
                Ok(Term::Value(Value::String(text)))
            }
            scalar => Ok(Term::Value(scalar)),
        }
    }

    fn special(&mut self, mut items: Vec<Value>) -> Result<Term, Exception> {
        let kind = items.first().and_then(Value::as_str).unwrap_or_default().to_owned();
        let value = match (kind.as_str(), items.get_mut(1..).unwrap_or_default()) {
            ("undefined", []) => return Ok(Term::Undefined),
            ("inf", _) => Value::from("Infinity"),
            ("-inf", _) => Value::from("-Infinity"),
            ("nan", _) => Value::from("NaN"),
            ("bytes" | "url", [text @ Value::String(_), ..]) => text.take(),
            ("bigint", [Value::String(digits), ..]) => big(digits)?,
            ("date", [Value::Null, ..]) => Value::Null,
            ("date", [Value::Number(milliseconds), ..]) => self.date(milliseconds),
            ("error", [Value::String(name), Value::String(message), rest @ ..]) => {
                let error = json!({ "name": name, "message": message });
                if let [_, properties, ..] = rest {
                    self.term(properties.take())?;
                }
                error
            }
            ("import" | "pipeline", [id @ Value::Number(_)]) => {
                return Ok(self.hole(entry(id)?, Path::default()));
            }
            ("import" | "pipeline", [id @ Value::Number(_), way @ Value::Array(_), arguments @ ..])
                if arguments.len() <= 1 =>
            {
                let id = entry(id)?;
                let Some(way) = Path::read(way.take()) else { return Err(unknown(&items)) };
                match arguments {
                    [] => return Ok(self.hole(id, way)),
                    [Value::Array(arguments)] => {
                        self.terms(std::mem::take(arguments))?;
                        self.unfit("A call within an argument is not taken: make it, then pass its promise.")
                    }
                    _ => return Err(unknown(&items)),
                }
            }
            ("remap", [Value::Number(_), Value::Array(_), Value::Array(captures), Value::Array(_)]) => {
                self.captures(captures)?;
                self.unfit("A map within an argument is not taken.")
            }
            ("export" | "promise" | "writable", [id @ Value::Number(_), ..]) => {
                *self.stubs.entry(entry(id)?).or_default() += 1;
                self.unfit(
                    "An argument is a function or an object of the client, and no method here takes one.",
                )
            }
            ("readable", [Value::Number(_), ..])
            | ("headers", [Value::Array(_)])
            | ("request", [Value::String(_), Value::Object(_)])
            | ("response", [_, Value::Object(_)])
            | ("blob", [Value::String(_), _]) => {
                self.unfit(format!("An argument is a {kind}, and no method here takes one."))
            }
            _ => return Err(unknown(&items)),
        };
        if let Value::String(text) = &value {
            self.weight += text.len();
        }
        Ok(Term::Value(value))
    }

    /// The arguments of a call, each an expression.
    pub(super) fn terms(&mut self, expressions: Vec<Value>) -> Result<Vec<Term>, Exception> {
        expressions.into_iter().map(|expression| self.term(expression)).collect()
    }

    /// The client's own among what a map takes along.
    pub(super) fn captures(&mut self, captures: &[Value]) -> Result<(), Exception> {
        for capture in captures {
            match capture.as_array().map(Vec::as_slice) {
                Some([Value::String(kind), id @ Value::Number(_)]) if kind == "export" => {
                    *self.stubs.entry(entry(id)?).or_default() += 1;
                }
                Some([Value::String(kind), Value::Number(_)]) if kind == "import" => {}
                _ => return Err(Exception::type_error("unknown map capture")),
            }
        }
        Ok(())
    }

    fn hole(&mut self, id: i64, path: Path) -> Term {
        self.weight += HOLE + path.weight();
        self.holes.push(Hole { id, path });
        Term::Hole(self.holes.len() - 1)
    }

    /// The first reason is the one that is told.
    pub(super) fn unfit(&mut self, reason: impl Into<String>) -> Value {
        self.unfit.get_or_insert_with(|| Exception::type_error(reason));
        Value::Null
    }

    fn date(&mut self, milliseconds: &Number) -> Value {
        let milliseconds = milliseconds.as_f64().filter(|milliseconds| milliseconds.abs() < 1e15);
        #[allow(clippy::cast_possible_truncation)]
        let nanoseconds = milliseconds.map(|milliseconds| milliseconds.trunc() as i128 * 1_000_000);
        let format =
            format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
        nanoseconds
            .and_then(|nanoseconds| OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).ok())
            .filter(|date| date.year() >= 0)
            .and_then(|date| date.format(format).ok())
            .map_or_else(|| self.unfit("An argument is a date outside the years 0 to 9999."), Value::from)
    }
}

/// The number of an entry of a table.
pub(super) fn entry(id: &Value) -> Result<i64, Exception> {
    let whole = || id.as_f64().filter(|id| id.fract() == 0.0 && id.abs() < 9e15);
    #[allow(clippy::cast_possible_truncation)]
    id.as_i64()
        .or_else(|| whole().map(|id| id as i64))
        .ok_or_else(|| Exception::error(format!("no such entry on exports table: {id}")))
}

fn big(digits: &str) -> Result<Value, Exception> {
    let unsigned = digits.strip_prefix('-').unwrap_or(digits);
    if unsigned.len() > MOST_DIGITS {
        let message = format!("Deserialized bigint exceeds maximum length of {MOST_DIGITS} digits.");
        return Err(Exception::type_error(message));
    }
    if unsigned.is_empty() || !unsigned.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(Exception { name: "SyntaxError", message: "A bigint has digits alone.".into() });
    }
    let number = digits.parse::<i64>().map(Value::from).or_else(|_| digits.parse::<u64>().map(Value::from));
    Ok(number.unwrap_or_else(|_| Value::from(digits)))
}

/// An array that is no expression. Its kind is told where it is short, and nothing else of it.
pub(super) fn unknown(items: &[Value]) -> Exception {
    Exception::type_error(format!("unknown special value: {}", shape(items)))
}

/// The first word of a message or expression, and whether more follows.
pub(super) fn shape(items: &[Value]) -> String {
    match items {
        [] => "[]".into(),
        [Value::String(kind)] if kind.len() <= 32 => json!([kind]).to_string(),
        [Value::String(kind), ..] if kind.len() <= 32 => format!("[{},…]", json!(kind)),
        _ => "[…]".into(),
    }
}
