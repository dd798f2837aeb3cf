//! How keys are named: an ARN, an id, an alias.

use catalyst_signing::{KeyUri, Refusal, Result, SignError};
use std::fmt;

/// The full ARN of one key: `arn:<partition>:kms:<region>:<account>:key/<id>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct KeyArn(KeyUri);

impl KeyArn {
    /// From what KMS or an operator calls a key.
    pub(crate) fn parse(arn: &str) -> Option<Self> {
        Self::of(&KeyUri::parse(&format!("awskms:{arn}")).ok()?)
    }

    /// From a pin.
    pub(crate) fn of(uri: &KeyUri) -> Option<Self> {
        (uri.scheme() == "awskms").then(|| Self(uri.clone()))
    }

    pub(crate) fn uri(&self) -> &KeyUri {
        &self.0
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.rest()
    }

    pub(crate) fn region(&self) -> &str {
        self.part(3)
    }

    pub(crate) fn account(&self) -> &str {
        self.part(4)
    }

    /// What stands after `key/`.
    pub(crate) fn id(&self) -> &str {
        self.part(5).trim_start_matches("key/")
    }

    /// Whether it has replicas in other Regions, under the same id.
    pub(crate) fn is_multi_region(&self) -> bool {
        self.id().starts_with("mrk-")
    }

    /// The same multi-Region key in another Region.
    pub(crate) fn replica(&self, region: &str) -> Option<Self> {
        let parts: Vec<&str> = self.as_str().split(':').collect();
        let [arn, partition, kms, _, account, resource] = parts[..] else { return None };
        self.is_multi_region()
            .then(|| Self::parse(&[arn, partition, kms, region, account, resource].join(":")))
            .flatten()
    }

    fn part(&self, index: usize) -> &str {
        self.as_str().split(':').nth(index).unwrap_or_default()
    }
}

impl fmt::Display for KeyArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an operator wrote to name an existing key: a key's ARN or id, an alias or an alias' ARN. Kept as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    /// The Region of an ARN.
    pub(crate) region: Option<String>,
    /// What KMS takes as KeyId.
    pub(crate) key_id: String,
}

impl Reference {
    /// Whether it may name another key tomorrow.
    pub(crate) fn is_alias(&self) -> bool {
        self.key_id.rsplit(':').next().is_some_and(|name| name.starts_with("alias/"))
    }

    /// # Errors
    /// The text is none of the four.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let key_id = text.strip_prefix("awskms:").unwrap_or(text);
        let parts: Vec<&str> = key_id.split(':').collect();
        let named = |name: &str| {
            name.strip_prefix("alias/").is_some_and(|alias| {
                !alias.is_empty() && alias.bytes().all(|c| c.is_ascii_alphanumeric() || b"/_-".contains(&c))
            })
        };
        let region = match parts[..] {
            [name] if named(name) => None,
            [id] if !id.is_empty() && id.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-') => None,
            ["arn", _, "kms", region, _, resource] if named(resource) && is_region(region) => {
                Some(region.to_owned())
            }
            _ => match KeyArn::parse(key_id) {
                Some(arn) => Some(arn.region().to_owned()),
                None => {
                    return Err(SignError::refused(
                        Refusal::Configuration,
                        "no AWS KMS key: write a key's ARN, its id, alias/<name> or an alias' ARN",
                    ));
                }
            },
        };
        Ok(Self { region, key_id: key_id.to_owned() })
    }
}

/// Whether it has the form that a key's ARN has there too: it becomes part of a host name.
fn is_region(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str =
        "arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab";

    #[test]
    fn an_arn_has_its_parts_and_stays_as_it_is_written() {
        let arn = KeyArn::parse(ARN).unwrap();
        assert_eq!((arn.region(), arn.account()), ("us-gov-west-1", "111122223333"));
        assert_eq!(arn.id(), "mrk-1234abcd12ab34cd56ef1234567890ab");
        assert_eq!(arn.to_string(), ARN);
        assert_eq!(arn.uri().as_str(), format!("awskms:{ARN}"));
        for other in ["", "1234abcd", "alias/ca", "arn:aws:kms:eu-central-1:111122223333:alias/ca"] {
            assert_eq!(KeyArn::parse(other), None, "{other}");
        }
        assert_eq!(KeyArn::of(&KeyUri::parse("local:root-1").unwrap()), None);
    }

    #[test]
    fn a_replica_differs_in_its_region_alone_and_a_single_region_key_has_none() {
        let replica = KeyArn::parse(ARN).unwrap().replica("us-gov-east-1").unwrap();
        assert_eq!(replica.as_str(), ARN.replace("west", "east"));
        let single = KeyArn::parse(&ARN.replace("mrk-", "")).unwrap();
        assert!(!single.is_multi_region());
        assert_eq!(single.replica("us-gov-east-1"), None);
    }

    #[test]
    fn a_reference_is_kept_and_an_arn_says_its_region() {
        for (typed, region) in [
            ("1234abcd-12ab-34cd-56ef-1234567890ab", None),
            ("mrk-1234ABCD12ab34cd56ef1234567890ab", None),
            ("alias/Catalyst/CA_1", None),
            (ARN, Some("us-gov-west-1")),
            ("arn:aws:kms:eu-west-1:111122223333:alias/Catalyst/CA", Some("eu-west-1")),
        ] {
            let reference = Reference::parse(typed).unwrap();
            assert_eq!((reference.key_id.as_str(), reference.region.as_deref()), (typed, region));
            assert_eq!(Reference::parse(&format!("awskms:{typed}")).unwrap(), reference);
        }
        for typed in ["", "alias/", "alias", "a b", "arn:aws:kms:eu-west-1:1:key/1", "arn:aws:s3:::b", "x:y"]
        {
            assert_eq!(Reference::parse(typed).is_err(), typed != "alias", "{typed}");
        }
    }
}
