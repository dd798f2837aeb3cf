//! PEM (RFC 7468): keys and certificates in one text, with whatever stands between them.

use super::{Found, ImportError, decrypt, read_der};
use der::pem;
use secrecy::SecretString;
use zeroize::Zeroizing;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";

pub(super) fn is_pem(content: &[u8]) -> bool {
    content.windows(BEGIN.len()).any(|window| window == BEGIN.as_bytes())
}

/// All keys and certificates of a text. Anything else, such as parameters of a curve, is passed over.
pub(super) fn read(content: &[u8], password: Option<&SecretString>) -> Result<Found, ImportError> {
    let text = str::from_utf8(content).map_err(|_| ImportError::Unreadable)?;
    let mut found = Found::default();
    for block in blocks(text)? {
        let label =
            block.lines().next().and_then(|line| line.trim_end().strip_prefix(BEGIN)?.strip_suffix("-----"));
        match label.ok_or(ImportError::Unreadable)? {
            "PRIVATE KEY" => found.keys.append(&mut read_der(&decoded(block)?, password)?.keys),
            "ENCRYPTED PRIVATE KEY" => found.keys.push(decrypt(&decoded(block)?, password)?),
            "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE" => {
                found.certificates.push(decoded(block)?.to_vec());
            }
            other if other.ends_with(" PRIVATE KEY") => return Err(ImportError::Traditional),
            _ => {}
        }
    }
    Ok(found)
}

fn decoded(block: &str) -> Result<Zeroizing<Vec<u8>>, ImportError> {
    let decoded = pem::decode_vec(block.as_bytes()).map_err(|_| ImportError::Unreadable)?;
    Ok(Zeroizing::new(decoded.1))
}

/// From each BEGIN to the end of its END.
fn blocks(text: &str) -> Result<Vec<&str>, ImportError> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some(begin) = rest.find(BEGIN) {
        rest = &rest[begin..];
        let end = rest.find(END).ok_or(ImportError::Unreadable)?;
        let end = rest[end..].find('\n').map_or(rest.len(), |line| end + line + 1);
        blocks.push(&rest[..end]);
        rest = &rest[end..];
    }
    Ok(blocks)
}
