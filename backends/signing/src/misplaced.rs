//! PINs where none belongs: in what an operator types as the name of a key or of a key store.

/// Why a text that [`holds_pin`] is refused: a sentence without the text.
pub const PIN_MISPLACED: &str = "a PIN, or the place of one, has no place in the name of a key or of a key store, and what holds one is not repeated here: give the PIN by CATALYST_PKI_PKCS11_PIN_FILE, and change one that was typed on a command line";

/// The attributes of RFC 7512, 2.4, without what is neither letter nor digit.
const ATTRIBUTES: [(&str, &str); 2] = [("pinvalue", "pin-value"), ("pinsource", "pin-source")];

/// Whether a text has one of the PIN attributes of a PKCS#11 URI (RFC 7512, 2.4), `pin-value` and `pin-source`, however
/// it is spelt: in any case, percent-encoded any number of times, with any or no sign between the words. Such a text is
/// repeated nowhere: not in answers, logs, records or the store.
#[must_use]
pub fn holds_pin(text: &str) -> bool {
    named_in(text).is_some()
}

/// The attribute that the text has.
pub(crate) fn named_in(text: &str) -> Option<&'static str> {
    let mut octets = decoded(text);
    octets.retain(u8::is_ascii_alphanumeric);
    octets.make_ascii_lowercase();
    let holds = |word: &str| octets.windows(word.len()).any(|octets| octets == word.as_bytes());
    ATTRIBUTES.into_iter().find_map(|(word, name)| holds(word).then_some(name))
}

/// Percent-decoded until nothing is left to decode, in one pass.
fn decoded(text: &str) -> Vec<u8> {
    let digit = |octet: u8| char::from(octet).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut octets = Vec::with_capacity(text.len());
    for octet in text.bytes() {
        octets.push(octet);
        while let [.., b'%', high, low] = octets[..]
            && let (Some(high), Some(low)) = (digit(high), digit(low))
        {
            octets.truncate(octets.len() - 3);
            octets.push(high << 4 | low);
        }
    }
    octets
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_without_a_pin_pass() {
        for name in
            ["", "pkcs11", "pkcs11:hsm-1", "local:services-1", "pin", "pkcs11:serial=1;id=%70%69%6e", "100%"]
        {
            assert!(!holds_pin(name), "{name}");
        }
        assert!(!holds_pin(PIN_MISPLACED));
    }

    /// Each letter as it is or in the other case, encoded so many times.
    fn spelt(word: &str, how: &[(bool, usize)]) -> String {
        let letter = |(octet, &(other, times)): (u8, &(bool, usize))| {
            let octet = if other { octet.to_ascii_uppercase() } else { octet };
            (0..times).fold(char::from(octet).to_string(), |text, _| {
                text.bytes().map(|octet| format!("%{octet:02x}")).collect()
            })
        };
        word.bytes().zip(how).map(letter).collect()
    }

    proptest! {
        #[test]
        fn a_pin_is_seen_however_it_is_spelt(
            before in "\\PC{0,20}", after in "\\PC{0,20}",
            word in "pin[-_ ]?(value|source)",
            how in proptest::collection::vec((any::<bool>(), 0usize..3), 10),
        ) {
            let text = format!("{before};{}{after}", spelt(&word, &how));
            prop_assert!(holds_pin(&text), "{}", text);
        }
    }
}
