//! The key policy that an operator gives to new keys.

use crate::AwsKmsConfig;
use catalyst_signing::{Refusal, Result, SignError};
use std::{fs::File, io::Read as _};

/// The setting that names the file.
pub(crate) const SETTING: &str = "CATALYST_PKI_AWS_KEY_POLICY";

/// The longest that KMS takes, in octets.
const LONGEST: u64 = 32 * 1024;

/// The policy's text; `None`: the account's default. Read for each key, before anything is made.
pub(crate) fn read(config: &AwsKmsConfig) -> Result<Option<String>> {
    let Some(path) = &config.key_policy else { return Ok(None) };
    let refused = |why: String| {
        let reason = format!("the key policy {} ({SETTING}) {why}; no key was made", path.display());
        SignError::refused(Refusal::Configuration, reason)
    };
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_string(&mut text));
    match read {
        Ok(octets) if octets as u64 > LONGEST => {
            return Err(refused(format!("is longer than {LONGEST} octets, which is all that AWS KMS takes")));
        }
        Ok(_) => {}
        Err(error) => return Err(refused(format!("can't be read: {error}"))),
    }
    match serde_json::from_str::<serde_json::Value>(&text) {
        Ok(policy) if policy.is_object() => Ok(Some(text)),
        Ok(_) => Err(refused("is no JSON object".to_owned())),
        Err(error) => Err(refused(format!("is no JSON: {error}"))),
    }
}
