//! The grammar of key URIs, one function per scheme. A URI that passes names one key and holds no secret.

use crate::{KeyRole, misplaced};

/// The text is no key URI.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyUriError {
    /// No `scheme:rest`, or the scheme's name is malformed.
    #[error("'{0}' is no key URI: write <scheme>:<key>, such as local:services-1 or pkcs11:serial=…;id=%…")]
    Shape(String),
    /// Something other than printable ASCII.
    #[error("key URI '{0}' holds something other than printable ASCII")]
    Characters(String),
    /// Neither `local:<role>-<generation>` nor `local:imported-<role>-<16 hexadecimal digits>`.
    #[error(
        "'{0}' is no local key: write local:<role>-<generation>, such as local:services-1, or the name of an imported key"
    )]
    Local(String),
    /// Not a full key ARN.
    #[error(
        "'{0}' is no AWS KMS key: write awskms:arn:aws:kms:<region>:<account>:key/<key id>, not an alias or a bare id"
    )]
    AwsKms(String),
    /// Not a full key version name.
    #[error(
        "'{0}' is no Google Cloud KMS key version: write \
         gcpkms:projects/<p>/locations/<l>/keyRings/<r>/cryptoKeys/<k>/cryptoKeyVersions/<n>"
    )]
    GcpKms(String),
    /// Malformed (RFC 7512, 2.3), or names no one key.
    #[error(
        "'{0}' is no PKCS#11 key: write pkcs11: with serial= or token=, and id= or object=, separated by ';' \
         (RFC 7512), each once, others percent-encoded"
    )]
    Pkcs11(String),
    /// A slot number changes between starts; PINs and module paths belong in the settings.
    #[error(
        "PKCS#11 URI attribute '{0}' has no place in a key URI: name the token by serial= or token=; PIN and module go \
         into CATALYST_PKI_PKCS11_PIN and CATALYST_PKI_PKCS11_MODULE"
    )]
    Pkcs11Attribute(String),
}

pub(crate) fn check(text: &str) -> Result<(), KeyUriError> {
    // First of all, and however the scheme is spelt, for the errors repeat the text.
    refuse_pin(text)?;
    let shape = || KeyUriError::Shape(text.to_owned());
    let (scheme, rest) = text.split_once(':').ok_or_else(shape)?;
    if !is_scheme(scheme) || rest.is_empty() {
        return Err(shape());
    }
    if scheme == "pkcs11" {
        // As early, and for the same reason.
        refuse_foreign_attributes(rest)?;
    }
    if !rest.bytes().all(|c| c.is_ascii_graphic()) {
        return Err(KeyUriError::Characters(text.escape_debug().to_string()));
    }
    match scheme {
        "local" if !is_local(rest) => Err(KeyUriError::Local(text.to_owned())),
        "awskms" if !is_key_arn(rest) => Err(KeyUriError::AwsKms(text.to_owned())),
        "gcpkms" if !is_key_version(rest) => Err(KeyUriError::GcpKms(text.to_owned())),
        "pkcs11" => check_pkcs11(text, rest),
        _ => Ok(()),
    }
}

fn is_scheme(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || b"+.-".contains(&c))
}

/// `<role>-<generation>` of a key that was made here, `imported-<role>-<16 hexadecimal digits>` of one that was not.
fn is_local(rest: &str) -> bool {
    if let Some(imported) = rest.strip_prefix("imported-") {
        let hex = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
        return imported.split_once('-').is_some_and(|(role, hash)| {
            role.parse::<KeyRole>().is_ok() && hash.len() == 16 && hash.bytes().all(hex)
        });
    }
    rest.split_once('-').is_some_and(|(role, generation)| {
        role.parse::<KeyRole>().is_ok() && is_decimal(generation) && generation.parse::<u32>().is_ok()
    })
}

/// `arn:<partition>:kms:<region>:<account>:key/<id>`.
fn is_key_arn(rest: &str) -> bool {
    let parts: Vec<&str> = rest.split(':').collect();
    let ["arn", partition, "kms", region, account, resource] = parts[..] else { return false };
    let lower = |s: &str| {
        !s.is_empty() && s.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
    };
    let id = resource.strip_prefix("key/").unwrap_or_default();
    partition.starts_with("aws")
        && lower(partition)
        && lower(region)
        && account.len() == 12
        && account.bytes().all(|c| c.is_ascii_digit())
        && !id.is_empty()
        && id.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
}

/// `projects/<p>/locations/<l>/keyRings/<r>/cryptoKeys/<k>/cryptoKeyVersions/<n>`.
fn is_key_version(rest: &str) -> bool {
    let parts: Vec<&str> = rest.split('/').collect();
    let [
        "projects",
        project,
        "locations",
        location,
        "keyRings",
        ring,
        "cryptoKeys",
        key,
        "cryptoKeyVersions",
        version,
    ] = parts[..]
    else {
        return false;
    };
    let of = |s: &str, extra: &[u8]| {
        !s.is_empty() && s.bytes().all(|c| c.is_ascii_alphanumeric() || extra.contains(&c))
    };
    // A project id may carry an organisation's domain: `example.com:project`.
    // And none begins with a dot, for it is part of a path.
    of(project, b"-.:")
        && !project.starts_with('.')
        && of(location, b"-")
        && [ring, key].iter().all(|name| name.len() <= 63 && of(name, b"_-"))
        && is_decimal(version)
        && version != "0"
}

fn is_decimal(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit()) && (text == "0" || !text.starts_with('0'))
}

/// The path attributes of RFC 7512, 2.3, that say which token and which object. Vendor attributes are refused: a
/// consumer that does not know one must not take the URI as matching.
const PKCS11_ATTRIBUTES: &[&str] = &[
    "token",
    "manufacturer",
    "serial",
    "model",
    "library-manufacturer",
    "library-description",
    "library-version",
    "object",
    "type",
    "id",
    "slot-manufacturer",
    "slot-description",
];

/// Refuses slot numbers and all query attributes (PINs, module paths), naming the attribute without its value.
fn refuse_foreign_attributes(rest: &str) -> Result<(), KeyUriError> {
    let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
    let name = |attribute: &str| attribute.split('=').next().unwrap_or_default().to_owned();
    let foreign = |name: &String| name == "slot-id" || name.contains("pin-") || name.contains("module-");
    match query.map(name).or_else(|| path.split([';', '&']).map(name).find(foreign)) {
        Some(name) => Err(KeyUriError::Pkcs11Attribute(name)),
        None => Ok(()),
    }
}

/// Refuses what holds a PIN, or says where one is: no scheme's keys are named so.
fn refuse_pin(text: &str) -> Result<(), KeyUriError> {
    misplaced::named_in(text).map_or(Ok(()), |name| Err(KeyUriError::Pkcs11Attribute(name.to_owned())))
}

fn check_pkcs11(text: &str, path: &str) -> Result<(), KeyUriError> {
    let malformed = || KeyUriError::Pkcs11(text.to_owned());
    let mut seen: Vec<&str> = Vec::new();
    for attribute in path.split(';') {
        let (name, value) = attribute.split_once('=').ok_or_else(malformed)?;
        if !PKCS11_ATTRIBUTES.contains(&name) || seen.contains(&name) || !is_pkcs11_value(value) {
            return Err(malformed());
        }
        seen.push(name);
    }
    let names_token = seen.contains(&"serial") || seen.contains(&"token");
    let names_key = seen.contains(&"id") || seen.contains(&"object");
    if names_token && names_key { Ok(()) } else { Err(malformed()) }
}

/// One or more `pk11-pchar` (RFC 7512, 2.3) or percent-encoded octets.
fn is_pkcs11_value(value: &str) -> bool {
    let plain = |c: u8| c.is_ascii_alphanumeric() || b"-._~:[]@!$'()*+,=&".contains(&c);
    let mut rest = value.as_bytes();
    while let Some((&c, tail)) = rest.split_first() {
        rest = match tail {
            [high, low, after @ ..] if c == b'%' && high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                after
            }
            _ if plain(c) => tail,
            _ => return false,
        };
    }
    !value.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KeyUri;
    use proptest::prelude::*;

    const KEY: &str = "projects/p-1/locations/europe-west3/keyRings/r/cryptoKeys/k_1/cryptoKeyVersions/12";

    #[test]
    fn each_scheme_takes_its_own_form() {
        for good in [
            "local:root-1".to_owned(),
            "local:services-4294967295".to_owned(),
            "local:imported-root-0123456789abcdef".to_owned(),
            "awskms:arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
                .to_owned(),
            "awskms:arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab"
                .to_owned(),
            format!("gcpkms:{KEY}"),
            format!("gcpkms:{}", KEY.replace("p-1", "example.com:p-1")),
            "pkcs11:serial=93e5c1a2;id=%01%fF".to_owned(),
            "pkcs11:token=Catalyst%20CA;object=services-1;type=private".to_owned(),
            "fifth+store.v1-x:anything/at?all".to_owned(),
        ] {
            let uri = KeyUri::parse(&good).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(uri.as_str(), good);
            assert_eq!(format!("{}:{}", uri.scheme(), uri.rest()), good);
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for bad in [
            "",
            ":",
            "local",
            "local:",
            "Local:root-1",
            "1local:root-1",
            "local:root",
            "local:root-",
            "local:root-01",
            "local:root--1",
            "local:root-4294967296",
            "local:Root-1",
            "local:../root-1",
            "local:root-1 ",
            "local:imported-root-1",
            "local:imported-root-0123456789ABCDEF",
            "local:imported-other-0123456789abcdef",
            "awskms:1234abcd-12ab-34cd-56ef-1234567890ab",
            "awskms:alias/ca",
            "awskms:arn:aws:kms:eu-central-1:111122223333:alias/ca",
            "awskms:arn:aws:kms:eu-central-1:11112222333:key/1",
            "awskms:arn:aws:s3:eu-central-1:111122223333:key/1",
            "awskms:arn:aws:kms::111122223333:key/1",
            "awskms:arn:aws:kms:eu-central-1:111122223333:key/",
            "awskms:arn:aws:kms:eu-central-1:111122223333:key/1:2",
            "gcpkms:projects/p/locations/l/keyRings/r/cryptoKeys/k",
            "gcpkms:projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/0",
            "gcpkms:projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/01",
            "gcpkms:projects/p/locations/l/keyRings//cryptoKeys/k/cryptoKeyVersions/1",
            "gcpkms:projects/../locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1",
            "gcpkms://projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1",
            "pkcs11:serial=1",
            "pkcs11:id=%01",
            "pkcs11:serial=1;serial=1;id=%01",
            "pkcs11:serial=1;id=%0",
            "pkcs11:serial=1;id=%0g",
            "pkcs11:serial=1;id=",
            "pkcs11:serial=1;id=a/b",
            "pkcs11:serial=1;id=%01;",
            "pkcs11:serial=1;id=%01;x-vendor=1",
            "store:\u{e9}",
            "store:a\nb",
        ] {
            assert!(KeyUri::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn slots_pins_and_modules_are_refused_without_repeating_them() {
        for bad in [
            "pkcs11:serial=1;id=%01;slot-id=3",
            "pkcs11:serial=1;id=%01;pin-value=s3cret",
            "pkcs11:serial=1;id=%01?pin-value=s3cret",
            "pkcs11:serial=1;id=%01?pin-source=file:/s3cret",
            "pkcs11:serial=1;id=%01?module-path=/s3cret.so&x=y",
            "pkcs11:bro ken;serial;?pin-value=s3cret",
            "pkcs11:serial=1&pin-value=s3cret",
            "PKCS11:serial=1;id=%01?pin-value=s3cret",
            "pkcs 11:serial=1;id=%01;PIN-VALUE=s3cret",
            "serial=1;id=%01?pin-source=s3cret",
            "pkcs11:object=a?pin%2Dvalue=s3cret",
        ] {
            let error = KeyUri::parse(bad).unwrap_err();
            assert!(matches!(error, KeyUriError::Pkcs11Attribute(_)), "{bad}: {error}");
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics_and_what_passes_is_kept(text in "(local|awskms|gcpkms|pkcs11|x)?:?[ -~]{0,60}|\\PC{0,40}") {
            if let Ok(uri) = KeyUri::parse(&text) {
                prop_assert_eq!(uri.as_str(), &text);
                prop_assert_eq!(KeyUri::parse(&uri.to_string()).unwrap(), uri);
            }
        }

        #[test]
        fn local_names_are_role_and_generation(role in 0usize..5, generation: u32) {
            let text = format!("local:{}-{generation}", KeyRole::ALL[role]);
            prop_assert!(KeyUri::parse(&text).is_ok());
        }

        #[test]
        fn any_octets_fit_a_pkcs11_id(id in proptest::collection::vec(any::<u8>(), 1..40)) {
            let id: String = id.iter().map(|octet| format!("%{octet:02X}")).collect();
            let text = format!("pkcs11:serial=0a1b;id={id}");
            prop_assert!(KeyUri::parse(&text).is_ok());
        }

        /// A local URI becomes a file name: nothing that passes may leave the directory.
        #[test]
        fn a_local_uri_is_a_plain_file_name(rest in "[ -~]{1,30}") {
            if let Ok(uri) = KeyUri::parse(&format!("local:{rest}")) {
                prop_assert!(uri.rest().bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-'));
            }
        }
    }
}
