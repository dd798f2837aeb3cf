//! Looking for secrets where they must not be, in the forms in which they escape.

use std::collections::{BTreeSet, HashMap};

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BASE64URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// How much of a form tells whether the rest is worth a look.
const START: usize = 8;

/// Secrets by name, each in all its forms.
#[derive(Debug, Default)]
pub struct Scanner {
    by_start: HashMap<[u8; START], Vec<Form>>,
}

#[derive(Debug)]
struct Form {
    name: String,
    bytes: Vec<u8>,
}

impl Scanner {
    /// Looks for these bytes, of which there are 12 at least, from now on: as they are, in hex, in both alphabets of
    /// base64 at any alignment.
    pub fn add(&mut self, name: &str, secret: &[u8]) {
        let octets: Vec<String> = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let (hex, colons) = (octets.concat(), octets.join(":"));
        let mut forms = vec![
            secret.to_vec(),
            hex.to_uppercase().into_bytes(),
            hex.into_bytes(),
            colons.to_uppercase().into_bytes(),
            colons.into_bytes(),
        ];
        for alphabet in [BASE64, BASE64URL] {
            forms.extend((0..3).map(|before| base64_within(alphabet, before, secret)));
        }
        for bytes in forms {
            if let Some(&start) = bytes.first_chunk() {
                self.by_start.entry(start).or_default().push(Form { name: name.to_owned(), bytes });
            }
        }
    }

    /// The names of the secrets that these bytes hold, also over line ends.
    #[must_use]
    pub fn find(&self, place: &[u8]) -> BTreeSet<&str> {
        let mut found = self.find_in(place);
        found.extend(self.find_in(&without_line_ends(place)));
        found
    }

    fn find_in(&self, place: &[u8]) -> BTreeSet<&str> {
        let candidates = place.windows(START).enumerate().filter_map(|(at, start)| {
            let start: &[u8; START] = start.try_into().ok()?;
            Some((at, self.by_start.get(start)?))
        });
        candidates
            .flat_map(|(at, forms)| forms.iter().filter(move |form| place[at..].starts_with(&form.bytes)))
            .map(|form| form.name.as_str())
            .collect()
    }
}

/// The characters that `secret` alone decides in the base64 of a text where `before` bytes (modulo 3) stand before it.
fn base64_within(alphabet: &[u8; 64], before: usize, secret: &[u8]) -> Vec<u8> {
    let padded = [&[0, 0][..before], secret].concat();
    let whole = &padded[..padded.len() / 3 * 3];
    let characters = whole.chunks(3).flat_map(|three| {
        let bits = three.iter().fold(0_usize, |bits, &byte| bits << 8 | usize::from(byte));
        [18, 12, 6, 0].map(|shift| alphabet[bits >> shift & 63])
    });
    // Of a first group with foreign bytes, so many characters are foreign too.
    characters.skip([0, 2, 3][before]).collect()
}

/// Without line ends, and without those that JSON writes as `\n`.
fn without_line_ends(place: &[u8]) -> Vec<u8> {
    let mut joined = Vec::with_capacity(place.len());
    let mut rest = place;
    while let Some((&first, after)) = rest.split_first() {
        rest = match (first, after.first()) {
            (b'\n' | b'\r', _) => after,
            (b'\\', Some(b'n' | b'r')) => &after[1..],
            _ => {
                joined.push(first);
                after
            }
        };
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_in_every_form() {
        let mut scanner = Scanner::default();
        scanner.add("key", b"sixteen secret bytes");
        let found = |place: &str| scanner.find(place.as_bytes()).contains("key");
        assert!(found("x sixteen secret bytes y"));
        assert!(found("7369787465656e207365637265742062797465730a"));
        assert!(found("73:69:78:74:65:65:6E:20:73:65:63:72:65:74:20:62:79:74:65:73"));
        // base64 of the secret, of `x` and the secret, of `xy` and the secret, the last over two lines
        assert!(found("c2l4dGVlbiBzZWNyZXQgYnl0ZXM="));
        assert!(found("eHNpeHRlZW4gc2VjcmV0IGJ5dGVz"));
        assert!(found("eHlzaXh0ZWVuIH\\nNlY3JldCBieXRlcw=="));
        assert!(!found("sixteen secret byte"));
    }
}
