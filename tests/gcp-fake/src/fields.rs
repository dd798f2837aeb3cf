//! The fields of a request, as protobuf's JSON has them: names in either style, enumerations as numbers or names,
//! int64 as strings or numbers. A field that nobody asked for is an error, as it is at Google's.

use crate::refused::Refused;
use base64::{
    Engine as _,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use catalyst_rigs::gcp::api::Enumeration;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The fields that have not been read yet.
#[derive(Debug)]
pub(crate) struct Fields(Map<String, Value>);

impl Fields {
    /// Of a body; an empty one is an empty message.
    pub(crate) fn of_body(body: &[u8]) -> Result<Self, Refused> {
        if body.is_empty() {
            return Ok(Self(Map::new()));
        }
        let value = serde_json::from_slice(body)
            .map_err(|error| Refused::invalid(&format!("Invalid JSON payload received. {error}")))?;
        Self::of(value)
    }

    fn of(value: Value) -> Result<Self, Refused> {
        let Value::Object(map) = value else {
            return Err(Refused::invalid("Invalid JSON payload received. A message must be an object."));
        };
        Ok(Self(map.into_iter().map(|(name, value)| (camel_case(&name), value)).collect()))
    }

    /// All fields were read.
    pub(crate) fn end(self) -> Result<(), Refused> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => Err(Refused::invalid(&format!(
                "Invalid JSON payload received. Unknown name \"{name}\": Cannot find field."
            ))),
        }
    }

    /// Fields that only the service sets, which it passes over.
    pub(crate) fn pass_over(&mut self, names: &[&str]) {
        for name in names {
            self.0.remove(*name);
        }
    }

    /// Fields of the API that the fake does not have.
    pub(crate) fn refuse(&mut self, names: &[&str]) -> Result<(), Refused> {
        let unset = |value: &Value| value.is_null() || *value == Value::Bool(false) || *value == "";
        match names.iter().find(|name| self.0.remove(**name).is_some_and(|value| !unset(&value))) {
            None => Ok(()),
            Some(name) => Err(Refused::unimplemented(name)),
        }
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name).filter(|value| !value.is_null())
    }

    pub(crate) fn message(&mut self, name: &str) -> Result<Option<Self>, Refused> {
        self.take(name).map(Self::of).transpose()
    }

    pub(crate) fn string(&mut self, name: &str) -> Result<Option<String>, Refused> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(wrong(name, &other)),
        }
    }

    /// The enumeration's value; `None` where it is unspecified.
    pub(crate) fn enumeration<T: Enumeration>(&mut self, name: &str) -> Result<Option<T>, Refused> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        enumeration(name, &text)
    }

    pub(crate) fn labels(&mut self, name: &str) -> Result<Option<BTreeMap<String, String>>, Refused> {
        let read = |value: Value| serde_json::from_value(value.clone()).map_err(|_| wrong(name, &value));
        self.take(name).map(read).transpose()
    }

    /// Octets; `None` where there are none, which proto3 can't tell from an empty field.
    pub(crate) fn octets(&mut self, name: &str) -> Result<Option<Vec<u8>>, Refused> {
        let Some(text) = self.string(name)? else { return Ok(None) };
        let octets = BASE64.decode(&text).or_else(|_| BASE64_URL.decode(&text));
        let octets = octets.map_err(|_| wrong(name, &Value::String(text)))?;
        Ok((!octets.is_empty()).then_some(octets))
    }

    /// An Int64Value, in which zero is a value and absence is not.
    pub(crate) fn int64(&mut self, name: &str) -> Result<Option<i64>, Refused> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let number = value.as_i64().or_else(|| value.as_str().and_then(|text| text.parse().ok()));
        number.map(Some).ok_or_else(|| wrong(name, &value))
    }

    /// A Duration in whole seconds.
    pub(crate) fn seconds(&mut self, name: &str) -> Result<Option<u64>, Refused> {
        let Some(text) = self.string(name)? else { return Ok(None) };
        let seconds = text.strip_suffix('s').and_then(|number| number.parse().ok());
        seconds.map(Some).ok_or_else(|| wrong(name, &Value::String(text)))
    }
}

/// The value of this number or name; `None` where it is unspecified.
pub(crate) fn enumeration<T: Enumeration>(field: &str, text: &str) -> Result<Option<T>, Refused> {
    if text.is_empty() || text == "0" || text.ends_with("_UNSPECIFIED") {
        return Ok(None);
    }
    let found = T::ALL.iter().find(|one| one.name() == text || one.number().to_string() == text);
    found.copied().map(Some).ok_or_else(|| Refused::unimplemented(&format!("{field} {text}")))
}

/// `version_template.algorithm` as `versionTemplate.algorithm`.
pub(crate) fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let mut letters = word.chars();
        let capital = letters.next().map(|letter| letter.to_ascii_uppercase());
        name + &capital.map(String::from).unwrap_or_default() + letters.as_str()
    })
}

fn wrong(name: &str, value: &Value) -> Refused {
    Refused::invalid(&format!("Invalid value at '{name}', {value}"))
}

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, LENIENT);
