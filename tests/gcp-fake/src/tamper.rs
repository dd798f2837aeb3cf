//! What is wrong in an answer.

use crate::checksum::{carried, checksum};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use catalyst_rigs::gcp::{Tamper, Wrong, api::Enumeration as _};
use serde_json::{Value, json};

/// Where an answer carries octets, and where their checksum.
const SIGNATURE: (&str, &str) = ("/signature", "/signatureCrc32c");
const PEM: (&str, &str) = ("/pem", "/pemCrc32c");
const PUBLIC_KEY: (&str, &str) = ("/publicKey/data", "/publicKey/crc32cChecksum");

/// Changes the message; one without the field stays as it is.
pub(crate) fn apply(tamper: &Tamper, message: &mut Value) {
    let (octets, its_checksum) = [SIGNATURE, PEM, PUBLIC_KEY]
        .into_iter()
        .find(|(octets, _)| message.pointer(octets).is_some())
        .unwrap_or(SIGNATURE);
    match tamper {
        Tamper::Checksum(wrong) => spoil(message, its_checksum, *wrong, |old| {
            let old = old.as_str().and_then(|text| text.parse::<u32>().ok());
            carried(old.unwrap_or_default() ^ 1)
        }),
        Tamper::Verified(wrong) => {
            for flag in ["/verifiedDigestCrc32c", "/verifiedDataCrc32c"] {
                spoil(message, flag, *wrong, |_| json!(false));
            }
        }
        Tamper::Name(name) => message["name"] = json!(name),
        Tamper::NoName => remove(message, "/name"),
        Tamper::ProtectionLevel(level) => message["protectionLevel"] = json!(level.name()),
        Tamper::NoProtectionLevel => remove(message, "/protectionLevel"),
        Tamper::Algorithm(algorithm) => message["algorithm"] = json!(algorithm.name()),
        Tamper::FlippedBit => drop(flip(message, octets)),
        Tamper::FlippedBitWithChecksum => {
            let flipped = flip(message, octets);
            if let Some(field) = message.pointer_mut(its_checksum) {
                *field = checksum(&flipped);
            }
        }
        Tamper::State(state) => {
            if let Some(field) = message.get_mut("state") {
                *field = json!(state.name());
            }
        }
        // The method has seen to it.
        Tamper::OtherKey => {}
    }
}

fn spoil(message: &mut Value, field: &str, wrong: Wrong, other: impl Fn(&Value) -> Value) {
    let Some(value) = message.pointer_mut(field) else { return };
    match wrong {
        Wrong::Other => *value = other(value),
        Wrong::Zero if value.is_boolean() => *value = json!(false),
        Wrong::Zero => *value = carried(0),
        Wrong::Missing => remove(message, field),
    }
}

fn remove(message: &mut Value, field: &str) {
    let Some((parent, name)) = field.rsplit_once('/') else { return };
    if let Some(parent) = message.pointer_mut(parent).and_then(Value::as_object_mut) {
        parent.remove(name);
    }
}

/// Flips a bit in the middle of the field; gives the octets over which its checksum goes.
fn flip(message: &mut Value, field: &str) -> Vec<u8> {
    let Some(Value::String(text)) = message.pointer_mut(field) else { return Vec::new() };
    let Ok(mut octets) = BASE64_STANDARD.decode(&text) else {
        // A PEM: the other letter is of the same alphabet, so that it is still one.
        let middle =
            (text.len() / 2..text.len()).find(|index| text.as_bytes()[*index].is_ascii_alphanumeric());
        if let Some(middle) = middle {
            let letter = if &text[middle..=middle] == "A" { "B" } else { "A" };
            text.replace_range(middle..=middle, letter);
        }
        return text.clone().into_bytes();
    };
    let middle = octets.len() / 2;
    octets[middle] ^= 1;
    *text = BASE64_STANDARD.encode(&octets);
    octets
}
