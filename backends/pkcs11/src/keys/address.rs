//! How a key is named: by an operator, and in the URI that is stored of it.

use crate::token::TokenFacts;
use catalyst_signing::{KeyUri, KeyUriError, Refusal, SignError};
use cryptoki::object::{Attribute, ObjectClass};
use std::fmt;

/// A private key on a token, as a key URI (RFC 7512) or an operator's label names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// As it was written.
    text: String,
    /// `token`, `serial`, `manufacturer` and `model`, in any number.
    token: Vec<(TokenAttribute, String)>,
    /// `id`: CKA_ID.
    id: Option<Vec<u8>>,
    /// `object`: CKA_LABEL.
    label: Option<Vec<u8>>,
}

/// What a URI says of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TokenAttribute {
    Label,
    Serial,
    Manufacturer,
    Model,
}

impl Address {
    /// What an operator wrote: a key URI, or a label (CKA_LABEL).
    ///
    /// # Errors
    /// A refusal that says what is wrong and what to write; it repeats no PIN.
    pub(crate) fn of_reference(reference: &str) -> Result<Self, SignError> {
        let scheme = reference.split_once(':').map_or("", |(scheme, _)| scheme);
        if scheme.eq_ignore_ascii_case("pkcs11") {
            return Self::of_uri(&KeyUri::parse(reference).map_err(|error| unfit(error.to_string()))?);
        }
        // Somebody who leaves the scheme out may still have written a PIN.
        if let Err(error @ KeyUriError::Pkcs11Attribute(_)) = KeyUri::parse(reference) {
            return Err(unfit(error.to_string()));
        }
        if reference.is_empty() {
            return Err(unfit("an empty reference names no key: write its label or its pkcs11: URI"));
        }
        let label = Some(reference.as_bytes().to_vec());
        Ok(Self { text: reference.to_owned(), token: Vec::new(), id: None, label })
    }

    /// A stored key URI.
    ///
    /// # Errors
    /// A refusal of another scheme, and of attributes that say nothing about a token or a private key.
    pub(crate) fn of_uri(uri: &KeyUri) -> Result<Self, SignError> {
        if uri.scheme() != "pkcs11" {
            return Err(unfit(format!("{uri} is no key of a PKCS#11 token")));
        }
        let mut address = Self { text: uri.to_string(), token: Vec::new(), id: None, label: None };
        for (name, value) in uri.rest().split(';').filter_map(|attribute| attribute.split_once('=')) {
            let octets = decode(value);
            let attribute = match name {
                "id" => {
                    address.id = Some(octets);
                    continue;
                }
                "object" => {
                    address.label = Some(octets);
                    continue;
                }
                "type" if octets == b"private" => continue,
                "type" => {
                    return Err(unfit(format!(
                        "{uri} names no private key: write type=private, or leave it out"
                    )));
                }
                "token" => TokenAttribute::Label,
                "serial" => TokenAttribute::Serial,
                "manufacturer" => TokenAttribute::Manufacturer,
                "model" => TokenAttribute::Model,
                _ => {
                    return Err(unfit(format!(
                        "{uri} says '{name}', which is not compared here: leave it out"
                    )));
                }
            };
            let text = String::from_utf8(octets)
                .map_err(|_| unfit(format!("{uri}: the value of '{name}' is not UTF-8")))?;
            address.token.push((attribute, text));
        }
        Ok(address)
    }

    /// The URI under which a key is found again: by the token's serial number (by its label, where it has none) and
    /// the key's CKA_ID; by its label where it has no CKA_ID, by both where it `shares` its CKA_ID with another.
    ///
    /// # Errors
    /// A refusal where the token or the key has no name at all.
    pub(crate) fn uri_of(
        facts: &TokenFacts,
        id: &[u8],
        label: &str,
        shares: bool,
    ) -> Result<KeyUri, SignError> {
        let token = match (&*facts.serial, &*facts.label) {
            ("", "") => {
                return Err(unfit("the token has neither a serial number nor a label: give it a label"));
            }
            ("", label) => format!("token={}", encode_text(label)),
            (serial, _) => format!("serial={}", encode_text(serial)),
        };
        let by_id = encode_octets(id);
        let key = match (id, label) {
            ([], "") => return Err(unfit("the key has neither CKA_ID nor CKA_LABEL: give it one of them")),
            ([], label) => format!("object={}", encode_text(label)),
            (_, label) if shares && !label.is_empty() => format!("id={by_id};object={}", encode_text(label)),
            _ => format!("id={by_id}"),
        };
        KeyUri::parse(&format!("pkcs11:{token};{key}")).map_err(|error| unfit(error.to_string()))
    }

    /// Whether the key is on this token.
    ///
    /// # Errors
    /// [`Refusal::Missing`], which says which token the key is on and which one this is.
    pub(crate) fn check_token(&self, name: &str, facts: &TokenFacts) -> Result<(), SignError> {
        let differs = |(attribute, wanted): &&(TokenAttribute, String)| {
            let has = match attribute {
                TokenAttribute::Label => &facts.label,
                TokenAttribute::Serial => &facts.serial,
                TokenAttribute::Manufacturer => &facts.manufacturer,
                TokenAttribute::Model => &facts.model,
            };
            has != wanted
        };
        let Some((attribute, wanted)) = self.token.iter().find(differs) else { return Ok(()) };
        let reason = format!(
            "{self} is on the token with the {attribute} '{wanted}', but {name} is now the token '{}' with the serial \
             number '{}': choose the right token for {name}; if this one was initialised anew, the keys that it had are \
             gone and only a backup of the token brings them back",
            facts.label.escape_debug(),
            facts.serial.escape_debug(),
        );
        Err(SignError::refused(Refusal::Missing, reason))
    }

    /// As it was written.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Finds the private key.
    pub(crate) fn private_template(&self) -> Vec<Attribute> {
        let mut template = vec![Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Token(true)];
        template.extend(self.id.clone().map(Attribute::Id));
        template.extend(self.label.clone().map(Attribute::Label));
        template
    }
}

/// As it was written, fit for a line of a log.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.token[..] {
            [] => write!(f, "'{}'", self.text.escape_debug()),
            _ => f.write_str(&self.text),
        }
    }
}

impl fmt::Display for TokenAttribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Label => "label",
            Self::Serial => "serial number",
            Self::Manufacturer => "manufacturer",
            Self::Model => "model",
        })
    }
}

fn unfit(reason: impl Into<String>) -> SignError {
    SignError::refused(Refusal::Configuration, reason)
}

/// Every octet percent-encoded in upper case.
pub(crate) fn encode_octets(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("%{octet:02X}")).collect()
}

/// What is unreserved (RFC 3986, 2.3) as it is, the rest percent-encoded.
fn encode_text(text: &str) -> String {
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || b"-._~".contains(&octet);
    let one = |octet: u8| if plain(octet) { char::from(octet).to_string() } else { encode_octets(&[octet]) };
    text.bytes().map(one).collect()
}

/// The octets of a value whose grammar was checked.
fn decode(value: &str) -> Vec<u8> {
    let digit = |octet: &u8| char::from(*octet).to_digit(16).map(|digit| digit as u8);
    let mut octets = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        let encoded = match after {
            [high, low, ..] if *first == b'%' => digit(high).zip(digit(low)),
            _ => None,
        };
        match encoded {
            Some((high, low)) => {
                octets.push(high << 4 | low);
                rest = &after[2..];
            }
            None => octets.push(*first),
        }
    }
    octets
}

#[cfg(test)]
mod tests;
