//! What an age file tells whoever has no identity: how many may open it, of which kind, and whether its length is one
//! that a whole file can have (<https://c2sp.org/age>).

use super::{BackupError, Result};
use serde::Serialize;
use std::{collections::BTreeMap, fmt, io::BufRead};

const VERSION: &[u8] = b"age-encryption.org/v1\n";
/// No header is longer, in octets: 600 recipients, or 40 post-quantum ones. The age library itself reads on and on.
const MAX_HEADER: u64 = 64 << 10;
const NONCE: u64 = 16;
const TAG: u64 = 16;
/// A chunk of the payload, encrypted.
const CHUNK: u64 = 65_536 + TAG;

/// A kind of recipient, as the file names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Recipient(String);

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0.as_str() {
            "scrypt" => "passphrase",
            other => other,
        })
    }
}

/// The header of an age file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgeHeader {
    /// The kinds of recipients: `X25519`, `scrypt` for a passphrase, a plugin's own.
    pub recipients: Vec<Recipient>,
    /// Octets of the header, with its MAC.
    pub header_size: u64,
    /// Octets of the file.
    pub size: u64,
}

impl AgeHeader {
    /// Reads the header of a file of `size` octets, and looks whether what follows can be whole chunks. Most lengths can:
    /// that a file was cut off shows here only where the header or a chunk's tag is not whole.
    ///
    /// # Errors
    /// [`BackupError::Damaged`]: no age file, or one of a length that no whole one has.
    pub fn read(stream: impl BufRead, size: u64) -> Result<Self> {
        let mut stream = stream.take(MAX_HEADER);
        let mut line = Vec::new();
        let mut header_size = 0;
        let mut recipients = Vec::new();
        loop {
            line.clear();
            let octets = stream.read_until(b'\n', &mut line).map_err(BackupError::reading)?;
            if !line.ends_with(b"\n") {
                return Err(BackupError::damaged(match header_size {
                    0 if !VERSION.starts_with(&line) => NO_AGE,
                    _ if header_size + octets as u64 >= MAX_HEADER => "its header does not end",
                    _ => "it is cut off within its header",
                }));
            }
            match (header_size, line.as_slice()) {
                (0, VERSION) => {}
                (0, _) => return Err(BackupError::damaged(NO_AGE)),
                (_, [b'-', b'-', b'-', b' ', ..]) => {
                    header_size += octets as u64;
                    break;
                }
                (_, [b'-', b'>', b' ', rest @ ..]) => recipients.extend(kind(rest)),
                // The stanza's body, which only its recipient can read.
                _ => {}
            }
            header_size += octets as u64;
        }
        let header = Self { recipients, header_size, size };
        header.check_chunks()?;
        Ok(header)
    }

    /// Every chunk but the last is full, and the last one has more than its tag.
    fn check_chunks(&self) -> Result<()> {
        let payload = self.size.checked_sub(self.header_size + NONCE);
        match payload.map(|payload| payload % CHUNK) {
            Some(0) if payload > Some(0) => Ok(()),
            Some(last) if last > TAG => Ok(()),
            _ => Err(BackupError::damaged("it is cut off")),
        }
    }

    /// How many recipients there are of each kind.
    #[must_use]
    pub fn kinds(&self) -> BTreeMap<Recipient, usize> {
        let mut kinds = BTreeMap::new();
        for recipient in &self.recipients {
            *kinds.entry(recipient.clone()).or_insert(0) += 1;
        }
        kinds
    }

    /// The same for people: `2 X25519`.
    #[must_use]
    pub fn summary(&self) -> String {
        let kinds = self.kinds();
        let words: Vec<_> = kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        if words.is_empty() { "nobody".into() } else { words.join(", ") }
    }
}

const NO_AGE: &str = "it is no age file; an armoured one is decoded first, as 'age' itself does";

/// The kind of a stanza. What is there only so that readers skip it, is skipped.
fn kind(rest: &[u8]) -> Option<Recipient> {
    let text = std::str::from_utf8(rest).ok()?;
    let word = text.split([' ', '\n']).next().filter(|word| !word.is_empty() && word.len() <= 64)?;
    let visible = word.bytes().all(|octet| octet.is_ascii_graphic());
    (visible && !word.ends_with("-grease")).then(|| Recipient(word.to_owned()))
}
