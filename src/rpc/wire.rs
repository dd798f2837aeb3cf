//! Messages of ours, as they are written.

use super::Exception;
use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq},
};
use serde_json::Value;

/// An answer, as an expression.
pub(super) enum Expression<'a> {
    Undefined,
    Data(&'a Value),
    /// Methods by name, and the number under which each is exported.
    Methods(&'a [(&'static str, i64)]),
    /// A method, by the number under which it is exported.
    Method(i64),
}

/// `["resolve", id, expression]`
pub(super) fn resolve(id: i64, expression: &Expression<'_>) -> String {
    written(&("resolve", id, expression))
}

/// `["reject", id, ["error", name, message]]`
pub(super) fn reject(id: i64, exception: &Exception) -> String {
    written(&("reject", id, error(exception)))
}

/// `["abort", ["error", name, message]]`
pub(super) fn abort(exception: &Exception) -> String {
    written(&("abort", error(exception)))
}

/// `["release", id, count]`
pub(super) fn release(id: i64, count: u64) -> String {
    written(&("release", id, count))
}

fn error(exception: &Exception) -> impl Serialize {
    ("error", exception.name, &exception.message)
}

fn written(message: &impl Serialize) -> String {
    serde_json::to_string(message).unwrap_or_else(|_| {
        r#"["abort",["error","Error","An answer could not be written as JSON."]]"#.to_owned()
    })
}

impl Serialize for Expression<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Undefined => ["undefined"].serialize(serializer),
            Self::Data(value) => Literal(value).serialize(serializer),
            Self::Methods(methods) => {
                serializer.collect_map(methods.iter().map(|(name, id)| (name, ("export", id))))
            }
            Self::Method(id) => ("export", id).serialize(serializer),
        }
    }
}

/// JSON in which each array is wrapped once, since a bare one would be an expression.
struct Literal<'a>(&'a Value);

impl Serialize for Literal<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Array(items) => [Items(items)].serialize(serializer),
            Value::Object(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for (name, field) in fields {
                    map.serialize_entry(name, &Literal(field))?;
                }
                map.end()
            }
            scalar => scalar.serialize(serializer),
        }
    }
}

struct Items<'a>(&'a [Value]);

impl Serialize for Items<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut items = serializer.serialize_seq(Some(self.0.len()))?;
        for item in self.0 {
            items.serialize_element(&Literal(item))?;
        }
        items.end()
    }
}
