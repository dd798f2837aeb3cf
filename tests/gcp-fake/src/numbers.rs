//! Enumerations as numbers, where the caller wants `enum-encoding=int`.

use catalyst_rigs::gcp::api::{Algorithm, Enumeration, ProtectionLevel, PublicKeyFormat, Purpose, State};
use serde_json::Value;

/// Turns the names of enumerations anywhere in the message into numbers. Maps hold no enumerations.
pub(crate) fn with_numbers(message: &mut Value) {
    match message {
        Value::Array(messages) => messages.iter_mut().for_each(with_numbers),
        Value::Object(fields) => {
            for (name, value) in fields.iter_mut().filter(|(name, _)| *name != "labels") {
                match number(name, value) {
                    Some(number) => *value = Value::from(number),
                    None => with_numbers(value),
                }
            }
        }
        _ => {}
    }
}

fn number(field: &str, value: &Value) -> Option<i32> {
    let name = value.as_str()?;
    match field {
        "purpose" => of::<Purpose>(name),
        "state" => of::<State>(name),
        "protectionLevel" => of::<ProtectionLevel>(name),
        "algorithm" => of::<Algorithm>(name),
        "publicKeyFormat" => of::<PublicKeyFormat>(name),
        // CAVIUM_V2_COMPRESSED, the one attestation format that the fake has.
        "format" => Some(4),
        _ => None,
    }
}

fn of<T: Enumeration>(name: &str) -> Option<i32> {
    T::ALL.iter().find(|one| one.name() == name).map(|one| one.number())
}
