//! Names of key rings, keys and versions.

use super::{RING, intent, refusal};
use crate::{
    Reference,
    keys::{CryptoKey, Version, labels},
};
use catalyst_signing::{KeyIntent, KeyRole, KeyTags, KeyUri, Nonce, Refusal, SignatureAlgorithm::EcP384};
use proptest::prelude::*;
use std::time::SystemTime;

/// What an operator's words came to.
fn named(text: &str) -> Option<(&'static str, String)> {
    Reference::parse(text).ok().map(|reference| match reference {
        Reference::Ring(ring) => ("ring", ring.to_string()),
        Reference::Key(key) => ("key", key.0.to_string()),
        Reference::Version(version) => ("version", version.0.to_string()),
    })
}

#[test]
fn a_key_ring_a_key_and_a_version_are_told_apart() {
    let key = format!("{RING}/cryptoKeys/k");
    let version = format!("{key}/cryptoKeyVersions/12");
    for (kind, name) in [("ring", RING), ("key", &key), ("version", &version)] {
        assert_eq!(named(name), Some((kind, name.to_owned())));
        assert_eq!(named(&format!("gcpkms:{name}")), Some((kind, name.to_owned())));
        assert_eq!(Reference::parse(name).unwrap().ring().to_string(), RING);
    }
    let parsed = Version::parse(&version).unwrap();
    assert_eq!((parsed.number(), parsed.project(), parsed.location()), (12, "p", "europe-west3"));
    assert_eq!((parsed.key().as_str(), parsed.key().id()), (key.as_str(), "k"));
    assert_eq!(Version::of(parsed.uri()), Some(parsed));
    // An organisation's own project.
    assert!(named("projects/example.com:p/locations/global/keyRings/r").is_some());
}

#[test]
fn what_is_no_name_is_refused_with_what_to_write() {
    let key = format!("{RING}/cryptoKeys/k");
    let version = format!("{key}/cryptoKeyVersions/1");
    let mut hostile = vec![String::new(), "gcpkms:".to_owned(), "r".to_owned(), "projects/p".to_owned()];
    for name in [RING, &key, &version] {
        hostile.extend([
            format!("/{name}"),
            format!("{name}/"),
            format!(" {name}"),
            format!("{name}\n"),
            format!("{name}?alt=proto"),
            format!("{name}#x"),
            format!("{name}:destroy"),
            format!("{name}/../x"),
            format!("{name}%2F"),
            format!("gcpkms:gcpkms:{name}"),
            format!("https://cloudkms.googleapis.com/v1/{name}"),
            name.replace("/p/", "//"),
            name.replace("/p/", "/../"),
            name.replace("/p/", "/P@/"),
            name.replace("projects", "Projects"),
            name.replace("keyRings/r", "keyRings/ü"),
            name.replace("keyRings/r", &format!("keyRings/{}", "r".repeat(64))),
            name.replace("europe-west3", "europe west3"),
        ]);
    }
    for number in ["0", "01", "-1", "+1", "1.0", "primary", "*", ""] {
        hostile.push(format!("{key}/cryptoKeyVersions/{number}"));
    }
    for text in hostile {
        assert_eq!(named(&text), None, "{text:?}");
        let told = refusal(Reference::parse(&text), Refusal::Configuration);
        assert!(told.contains("projects/<p>/locations/<l>/keyRings/<r>"), "{text:?}: {told}");
        assert!(CryptoKey::parse(&text).is_none() && Version::parse(&text).is_none(), "{text:?}");
    }
}

#[test]
fn a_key_is_no_version_and_has_no_prefix_when_google_names_it() {
    let key = format!("{RING}/cryptoKeys/k");
    assert!(CryptoKey::parse(&key).is_some());
    for other in [RING.to_owned(), format!("{key}/cryptoKeyVersions/1"), format!("gcpkms:{key}")] {
        assert_eq!(CryptoKey::parse(&other), None, "{other}");
    }
    assert_eq!(Version::of(&KeyUri::parse("local:services-1").unwrap()), None);
}

#[test]
fn labels_are_an_intents_or_nothing() {
    let tags = KeyTags::of(&intent(EcP384));
    let labels = labels::write(&tags);
    assert_eq!(labels::read(&labels), Some(tags));
    for label in labels.keys() {
        let mut lacking = labels.clone();
        lacking.remove(label);
        assert_eq!(labels::read(&lacking), None, "without {label}");
    }
}

const ID: &str = "[a-zA-Z0-9_-]{1,63}";

proptest! {
    #[test]
    fn every_name_comes_back_as_it_was_written(
        project in "[a-z][a-z0-9-]{4,28}[a-z0-9]",
        location in "[a-z]{2,12}(-[a-z0-9]{2,12})?",
        ids in (ID, ID),
        number in 1..=u64::MAX,
    ) {
        let ring = format!("projects/{project}/locations/{location}/keyRings/{}", ids.0);
        let key = format!("{ring}/cryptoKeys/{}", ids.1);
        let version = format!("{key}/cryptoKeyVersions/{number}");
        for (kind, name) in [("ring", &ring), ("key", &key), ("version", &version)] {
            prop_assert_eq!(named(name), Some((kind, name.clone())));
            prop_assert_eq!(Reference::parse(name).unwrap().ring().to_string(), ring.clone());
        }
        let parsed = Version::parse(&version).unwrap();
        prop_assert_eq!(parsed.uri().to_string(), format!("gcpkms:{version}"));
        prop_assert_eq!((parsed.number(), parsed.key().ring().to_string()), (number, ring));
    }

    #[test]
    fn no_text_makes_a_name_of_what_is_none(text in "\\PC{0,80}") {
        if let Some((_, name)) = named(&text) {
            prop_assert_eq!(text.strip_prefix("gcpkms:").unwrap_or(&text), &name);
            prop_assert!(name.starts_with("projects/"));
        }
    }

    #[test]
    fn an_intents_id_is_its_own_and_fits(
        role in proptest::sample::select(KeyRole::ALL),
        generation: u32,
        nonce: [u8; 16],
    ) {
        let intent = KeyIntent {
            nonce: Nonce::from_bytes(nonce),
            deployment: "0123456789abcdef".to_owned(),
            role,
            generation,
            algorithm: EcP384,
            created_at: SystemTime::UNIX_EPOCH,
        };
        let id = labels::id(&intent);
        prop_assert!(id.len() <= 63, "{}", id);
        let name = format!("{RING}/cryptoKeys/{id}");
        prop_assert_eq!(CryptoKey::parse(&name).map(|key| key.to_string()), Some(name));
        let tags = KeyTags::of(&intent);
        let labels = labels::write(&tags);
        prop_assert!(labels.iter().all(|(key, value)| key.len() <= 63 && value.len() <= 63));
        prop_assert_eq!(labels::read(&labels), Some(tags));
    }
}
