//! How a key file carries the intent it was made for.
//!
//! The intent stands in a PKCS#8 attribute (RFC 5208, 5: `localKeyId`, an OCTET STRING of PKCS #9), inside what the
//! passphrase encrypts. A header beside the PEM would do for finding the key again, but anybody who can write the file
//! could then give a foreign key the nonce that makes us adopt it. AES-CBC alone does not keep the inside from being
//! altered, so the text ends in an HMAC under the private key itself: it holds for this key and no other.

use aws_lc_rs::hmac;
use catalyst_signing::{KeyIntent, KeyTags};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const PREFIX: &str = "catalyst-pki/key/v1";

const UNREADABLE: &str = "its intent is unreadable";

/// What the attribute of a key made now for `intent` holds.
pub(crate) fn seal(intent: &KeyIntent, made: SystemTime, private_key: &[u8]) -> Vec<u8> {
    let text = format!("{} made={}", describe(intent), seconds(made));
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, private_key), text.as_bytes());
    let mut sealed = text.into_bytes();
    sealed.push(0);
    sealed.extend_from_slice(mac.as_ref());
    sealed
}

/// What a key says of itself.
#[derive(Debug)]
pub(crate) struct Carried {
    pub(crate) tags: KeyTags,
    pub(crate) made: SystemTime,
}

impl Carried {
    /// Reads the attribute of an existing key; otherwise why not, for people.
    pub(crate) fn read(attribute: Option<&[u8]>, private_key: &[u8]) -> Result<Self, String> {
        let (text, made) = vouched(attribute, private_key)?;
        let value = |name: &str| {
            text.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('=')).ok_or(UNREADABLE)
        };
        let (role, generation) = value("key")?.rsplit_once('-').ok_or(UNREADABLE)?;
        let tags = KeyTags::read(|name| match name {
            "role" => Some(role),
            "generation" => Some(generation),
            other => value(other).ok(),
        });
        Ok(Self { tags: tags.ok_or(UNREADABLE)?, made: UNIX_EPOCH.checked_add(made).ok_or(UNREADABLE)? })
    }
}

/// What the key itself vouches for: the words of its intent, and when it was made.
fn vouched<'a>(attribute: Option<&'a [u8]>, private_key: &[u8]) -> Result<(&'a str, Duration), String> {
    let sealed = attribute.ok_or("it carries no intent")?;
    let end = sealed.iter().position(|&c| c == 0).ok_or(UNREADABLE)?;
    let (text, mac) = (&sealed[..end], &sealed[end + 1..]);
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, private_key), text, mac)
        .map_err(|_| "its intent was altered".to_owned())?;
    let text = std::str::from_utf8(text).map_err(|_| UNREADABLE)?;
    let (carried, made) = text.rsplit_once(" made=").ok_or(UNREADABLE)?;
    Ok((carried, Duration::from_secs(made.parse().map_err(|_| UNREADABLE)?)))
}

/// Whether the attribute of an existing key says that it was made for `intent`; otherwise why not, for people.
pub(crate) fn check(intent: &KeyIntent, attribute: Option<&[u8]>, private_key: &[u8]) -> Result<(), String> {
    let (carried, made) = vouched(attribute, private_key)?;
    if carried != describe(intent) {
        return Err(format!("it carries '{carried}', and '{}' was asked for", describe(intent)));
    }
    // A time that no clock can show is at least not too early.
    match UNIX_EPOCH.checked_add(made) {
        Some(made) if !intent.could_be_made_at(made) => {
            Err("it is older than the intent it carries".to_owned())
        }
        _ => Ok(()),
    }
}

fn describe(intent: &KeyIntent) -> String {
    let KeyIntent { nonce, deployment, role, generation, algorithm, .. } = intent;
    format!("{PREFIX} deployment={deployment} key={role}-{generation} algorithm={algorithm} nonce={nonce}")
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use catalyst_signing::{KeyRole, Nonce, SignatureAlgorithm};

    fn intent(nonce: u8) -> KeyIntent {
        KeyIntent {
            nonce: Nonce::from_bytes([nonce; 16]),
            deployment: "0123456789abcdef".to_owned(),
            role: KeyRole::Root,
            generation: 1,
            algorithm: SignatureAlgorithm::EcP384,
            created_at: SystemTime::now(),
        }
    }

    #[test]
    fn it_holds_for_its_intent_and_its_key_alone() {
        let sealed = seal(&intent(1), SystemTime::now(), b"key");
        assert_eq!(check(&intent(1), Some(&sealed), b"key"), Ok(()));
        assert!(check(&intent(2), Some(&sealed), b"key").unwrap_err().contains("was asked for"));
        assert_eq!(check(&intent(1), Some(&sealed), b"another").unwrap_err(), "its intent was altered");
        assert_eq!(check(&intent(1), None, b"key").unwrap_err(), "it carries no intent");
        let read = Carried::read(Some(&sealed), b"key").unwrap();
        assert_eq!(read.tags, KeyTags::of(&intent(1)));
        assert!(Carried::read(Some(&sealed), b"another").is_err());
    }

    #[test]
    fn a_rewritten_nonce_is_noticed() {
        let sealed = seal(&intent(0x11), SystemTime::now(), b"key");
        let text = String::from_utf8_lossy(&sealed).into_owned();
        let at = text.find("nonce=").unwrap() + 6;
        let mut rewritten = sealed.clone();
        rewritten[at..at + 32].fill(b'2');
        assert_eq!(check(&intent(0x22), Some(&rewritten), b"key").unwrap_err(), "its intent was altered");
        for at in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[at] ^= 1;
            assert!(check(&intent(0x11), Some(&flipped), b"key").is_err(), "octet {at}");
        }
    }

    #[test]
    fn a_key_may_be_five_minutes_older_than_its_intent_by_the_clock() {
        let sealed = seal(&intent(1), SystemTime::now(), b"key");
        let later =
            |seconds| KeyIntent { created_at: SystemTime::now() + Duration::from_secs(seconds), ..intent(1) };
        assert_eq!(check(&later(290), Some(&sealed), b"key"), Ok(()));
        assert!(check(&later(310), Some(&sealed), b"key").is_err());
    }
}
