//! How Regions, profiles, roles, endpoints and keys of AWS are written. Every error is the accepted form, as a clause
//! without the value.

use super::endpoint;
use catalyst_signing::holds_pin;

/// Longer names are typing mistakes.
const LONGEST: usize = 256;
/// An ARN of a role or key.
const LONGEST_ARN: usize = 2048;

/// Not whether there is such a Region: AWS makes new ones. It becomes part of a host name.
pub(super) fn check_region(text: &str) -> Result<(), String> {
    let letters = text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-');
    let shaped = text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.ends_with(|c: char| c.is_ascii_digit())
        && text.contains('-');
    wanted(letters && shaped && text.len() <= 63, "the name of a Region is wanted, as eu-central-1")
}

pub(super) fn check_profile(text: &str) -> Result<(), String> {
    wanted(is_profile(text), "the name of a profile is wanted, as it stands in the shared AWS files")
}

pub(super) fn check_role(text: &str) -> Result<(), String> {
    wanted(is_role(text), "the ARN of a role is wanted, as arn:aws:iam::111122223333:role/catalyst-signer")
}

/// With `{region}` where the Region belongs.
pub(super) fn check_endpoint(text: &str) -> Result<(), String> {
    endpoint::check(
        text,
        &text.replace("{region}", "region"),
        "https://vpce-0123.kms.{region}.vpce.amazonaws.com",
    )
}

/// Whether a key may be named so. What there is, only AWS KMS knows.
pub(super) fn check_key(text: &str) -> Result<(), String> {
    let letters = |c: u8| c.is_ascii_alphanumeric() || b":/_-".contains(&c);
    let arn = text.strip_prefix("arn:").map(|rest| rest.splitn(5, ':').collect::<Vec<_>>());
    let name = match arn.as_deref() {
        None => Some(text).filter(|text| !text.contains(':')),
        Some([_, "kms", _, _, name]) => Some(*name).filter(|name| name.contains('/')),
        Some(_) => None,
    };
    let named = name.is_some_and(|name| match name.split_once('/') {
        Some(("alias" | "key", rest)) => !rest.is_empty(),
        Some(_) => false,
        None => !name.is_empty(),
    });
    wanted(
        named && text.len() <= LONGEST_ARN && text.bytes().all(letters) && !holds_pin(text),
        "a key's ARN or id, alias/<name> or an alias' ARN is wanted",
    )
}

/// Whose credentials open the root's keys.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RootCredentials {
    /// The ARN of a role that is assumed.
    Role(String),
    /// The name of a profile.
    Profile(String),
}

/// `None`: neither the ARN of a role nor `profile/<name>`.
pub(super) fn root_credentials(text: &str) -> Option<RootCredentials> {
    match text.strip_prefix("profile/") {
        Some(profile) => is_profile(profile).then(|| RootCredentials::Profile(profile.to_owned())),
        None => is_role(text).then(|| RootCredentials::Role(text.to_owned())),
    }
}

fn is_profile(text: &str) -> bool {
    let letter = |c: char| !c.is_control() && !matches!(c, '[' | ']');
    (1..=LONGEST).contains(&text.len()) && text.trim() == text && text.chars().all(letter)
}

/// `arn:<partition>:iam::<account>:role/<path and name>`
fn is_role(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    let ["arn", partition, "iam", "", account, resource] = parts[..] else { return false };
    let letter = |c: u8| c.is_ascii_alphanumeric() || b"/_+=,.@-".contains(&c);
    let name = resource.strip_prefix("role/").filter(|name| !name.is_empty() && !name.ends_with('/'));
    text.len() <= LONGEST_ARN
        && partition.starts_with("aws")
        && account.len() == 12
        && account.bytes().all(|c| c.is_ascii_digit())
        && name.is_some_and(|name| name.bytes().all(letter))
}

fn wanted(holds: bool, form: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(form.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_profiles_and_roles_have_their_forms() {
        for good in ["eu-central-1", "us-gov-west-1", "ap-southeast-15", "eusc-de-east-1"] {
            assert_eq!(check_region(good), Ok(()), "{good}");
        }
        for bad in
            ["", "eu", "EU-central-1", "eu-central-1.evil.example", "eu-central-", "1-eu-2", "eu central 1"]
        {
            assert!(check_region(bad).is_err(), "{bad:?}");
        }
        for (good, bad) in [("signer", ""), ("Team A/prod", " a"), ("a@b", "a\nb"), ("default", "[a]")] {
            assert!(check_profile(good).is_ok() && check_profile(bad).is_err(), "{good} {bad:?}");
        }
        for good in ["arn:aws:iam::111122223333:role/signer", "arn:aws-us-gov:iam::111122223333:role/a/b/c"] {
            assert_eq!(check_role(good), Ok(()), "{good}");
        }
        for bad in [
            "signer",
            "arn:aws:iam::111122223333:user/signer",
            "arn:aws:iam::1111:role/signer",
            "arn:aws:iam::111122223333:role/",
            "arn:aws:sts::111122223333:assumed-role/a/b",
            "arn:aws:iam::111122223333:role/a b",
        ] {
            assert!(check_role(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn plain_http_goes_no_further_than_this_machine() {
        for good in [
            "https://kms.eu-central-1.amazonaws.com",
            "https://vpce-0.kms.{region}.vpce.amazonaws.com",
            "https://kms.example.org:8443/base",
            "http://127.0.0.1:4566",
            "http://localhost:4566",
            "http://[::1]:4566",
        ] {
            assert_eq!(check_endpoint(good), Ok(()), "{good}");
        }
        for bad in
            ["http://kms.example.org", "http://192.0.2.1", "http://localhost.evil.example", "http://{region}"]
        {
            assert!(check_endpoint(bad).unwrap_err().contains("this machine alone"), "{bad}");
        }
        for bad in [
            "",
            "kms.example.org",
            "ftp://a",
            "https://",
            "https://user:secret@a",
            "https://a:99999",
            "http://localhost:",
            "http://[::1]:x",
            "https://a?b",
            "https://a#b",
        ] {
            let refused = check_endpoint(bad).unwrap_err();
            assert!(refused.contains("a URL of a host") && !refused.contains("secret"), "{bad}: {refused}");
        }
    }

    #[test]
    fn a_key_is_named_in_four_ways() {
        for good in [
            "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "arn:aws:kms:eu-central-1:111122223333:alias/pki/Services",
            "1234abcd-12ab-34cd-56ef-1234567890ab",
            "mrk-1234abcd12ab34cd56ef1234567890ab",
            "alias/pki/Services_1",
        ] {
            assert_eq!(check_key(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "alias/",
            "pki/services",
            "arn:aws:kms:eu-central-1:111122223333",
            "arn:aws:iam::111122223333:role/a",
            "arn:aws:kms:eu-central-1:111122223333:1234",
            "alias/a b",
            "pin-value=1234",
        ] {
            assert!(check_key(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_roots_credentials_are_a_role_or_a_profile() {
        let role = "arn:aws:iam::111122223333:role/root";
        assert_eq!(root_credentials(role), Some(RootCredentials::Role(role.into())));
        assert_eq!(root_credentials("profile/pki root"), Some(RootCredentials::Profile("pki root".into())));
        for bad in ["/etc/root.pin", "profile/", "root", "arn:aws:iam::1:role/a"] {
            assert_eq!(root_credentials(bad), None, "{bad:?}");
        }
    }
}
