//! Pairs of files that are good, broken, half-written.

use super::*;
use rcgen::{CertificateParams, KeyPair};
use std::fs::Permissions;
use tempfile::TempDir;
use time::OffsetDateTime;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// A certificate of so many days from now, and its key; PEM.
fn made(days: i64) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["pki.example.org".to_owned()]).unwrap();
    let at =
        |days: i64| OffsetDateTime::from_unix_timestamp(NOW.plus_seconds(days * 86_400).seconds()).unwrap();
    (params.not_before, params.not_after) = (at(-1), at(days));
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

struct Place(TempDir);

impl Place {
    fn new((certificate, key): &(String, String)) -> (Self, TlsFiles) {
        let place = Self(TempDir::new().unwrap());
        let paths =
            TlsFiles { certificate: place.0.path().join("tls.crt"), key: place.0.path().join("tls.key") };
        fs::write(&paths.certificate, certificate).unwrap();
        fs::write(&paths.key, key).unwrap();
        fs::set_permissions(&paths.key, Permissions::from_mode(0o600)).unwrap();
        (place, paths)
    }
}

#[test]
fn what_cannot_be_used_is_refused_at_the_start_with_what_to_do() {
    let good = made(10);
    let (certificate, key) = good.clone();
    let half = certificate.len() / 2;
    for (pair, hint) in [
        ((certificate.clone(), made(10).1), "the key it is for"),
        ((made(-1).0, key.clone()), "renew it"),
        ((certificate[..half].to_owned(), key.clone()), "write the certificate and its chain"),
        ((String::new(), key.clone()), "no CERTIFICATE block"),
        ((certificate.clone(), String::new()), "write an unencrypted key"),
        ((format!("{certificate}{}", certificate.replace("MII", "AAA")), key), "can be read"),
    ] {
        let (_place, paths) = Place::new(&pair);
        let error = Files::open(paths, NOW).unwrap_err().to_string();
        assert!(error.contains(hint), "{hint}: {error}");
    }
    let (_place, paths) = Place::new(&good);
    for (mode, taken) in [(0o600, true), (0o400, true), (0o640, true), (0o644, false), (0o660, false)] {
        fs::set_permissions(&paths.key, Permissions::from_mode(mode)).unwrap();
        let opened = Files::open(paths.clone(), NOW);
        assert_eq!(opened.is_ok(), taken, "{mode:o}");
        if let Err(error) = opened {
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
    }
}

#[test]
fn a_change_is_taken_when_it_is_whole_and_the_old_pair_stays_until_then() {
    let (first, second) = (made(10), made(20));
    let (_place, paths) = Place::new(&first);
    let (mut files, _) = Files::open(paths.clone(), NOW).unwrap();
    let look = |files: &mut Files| files.look(read(&paths), NOW);
    assert!(look(&mut files).is_none(), "nothing has changed");
    fs::write(&paths.certificate, &second.0).unwrap();
    assert!(look(&mut files).is_none(), "the certificate without its key");
    let trouble = files.trouble.clone().unwrap();
    assert!(look(&mut files).is_none());
    assert_eq!(files.trouble.as_ref(), Some(&trouble));
    fs::write(&paths.key, &second.1).unwrap();
    let key = look(&mut files).unwrap();
    let expected = CertificateDer::from_pem_slice(second.0.as_bytes()).unwrap();
    assert_eq!(key.cert[0], expected);
    assert_eq!((files.trouble.as_ref(), files.not_after), (None, NOW.plus_seconds(20 * 86_400)));
    fs::remove_file(&paths.key).unwrap();
    assert!(look(&mut files).is_none());
    assert!(files.trouble.is_some());
}
