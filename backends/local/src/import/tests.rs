use super::*;
use crate::{LocalBackend, LocalError, envelope::Cost};
use catalyst_signing::{KeyPin, KeyRole, SigningBackend as _};
use proptest::prelude::*;
use std::{fs, path::Path, process::Command};
use tempfile::TempDir;

const PASSWORD: &str = "pässword of the file";

/// Runs `openssl` in the directory and reads the file that it wrote.
fn openssl(directory: &Path, arguments: &str, written: &str) -> Vec<u8> {
    let password = directory.join("password");
    fs::write(&password, PASSWORD).unwrap();
    let done = Command::new("openssl").current_dir(directory).args(arguments.split(' ')).output().unwrap();
    assert!(done.status.success(), "{arguments}: {}", String::from_utf8_lossy(&done.stderr));
    fs::read(directory.join(written)).unwrap()
}

/// A directory with a key and a certificate for it.
fn made(algorithm: &str) -> TempDir {
    let home = tempfile::tempdir().unwrap();
    openssl(home.path(), &format!("genpkey -algorithm {algorithm} -out key.pem"), "key.pem");
    openssl(home.path(), "req -x509 -new -key key.pem -subj /CN=Root -out root.pem", "root.pem");
    home
}

fn password() -> SecretString {
    PASSWORD.into()
}

const P384: &str = "EC -pkeyopt ec_paramgen_curve:P-384";

#[test]
fn pkcs8_of_openssl_is_taken_in_each_form() {
    for (algorithm, known) in [
        (P384, SignatureAlgorithm::EcP384),
        ("EC -pkeyopt ec_paramgen_curve:P-256", SignatureAlgorithm::EcP256),
        ("ED25519", SignatureAlgorithm::Ed25519),
        ("RSA -pkeyopt rsa_keygen_bits:3072", SignatureAlgorithm::Rsa3072),
    ] {
        let home = made(algorithm);
        let spki = openssl(home.path(), "pkey -in key.pem -pubout -outform DER -out spki", "spki");
        for (arguments, is_encrypted) in [
            ("pkcs8 -topk8 -nocrypt -in key.pem -out out", false),
            ("pkcs8 -topk8 -nocrypt -in key.pem -outform DER -out out", false),
            ("pkcs8 -topk8 -in key.pem -passout file:password -out out", true),
            // PBKDF2 with HMAC-SHA1, its default (RFC 8018, A.2), as OpenSSL 1.0 and Java write it.
            (
                "pkcs8 -topk8 -v2 aes-256-cbc -v2prf hmacWithSHA1 -in key.pem -passout file:password -out out",
                true,
            ),
            ("pkcs8 -topk8 -scrypt -in key.pem -passout file:password -outform DER -out out", true),
        ] {
            let content = openssl(home.path(), arguments, "out");
            let key =
                ImportedKey::read(&content, Some(&password())).unwrap_or_else(|e| panic!("{arguments}: {e}"));
            assert_eq!((key.algorithm(), key.spki()), (known, spki.as_slice()), "{arguments}");
            let without = ImportedKey::read(&content, None).err();
            assert_eq!(without, is_encrypted.then_some(ImportError::PasswordWanted), "{arguments}");
            if is_encrypted {
                let wrong = ImportedKey::read(&content, Some(&"another".into())).unwrap_err();
                assert_eq!(wrong, ImportError::WrongPassword);
            }
        }
    }
}

#[test]
fn pkcs12_of_openssl_is_taken_with_its_certificate() {
    let home = made(P384);
    let certificate = openssl(home.path(), "x509 -in root.pem -outform DER -out root.der", "root.der");
    let export = "pkcs12 -export -inkey key.pem -in root.pem -name root -passout file:password -out out";
    for more in ["", " -macalg SHA512", " -macalg SHA384", " -nomac", " -keypbe NONE -certpbe NONE"] {
        let content = openssl(home.path(), &format!("{export}{more}"), "out");
        let key = ImportedKey::read(&content, Some(&password())).unwrap_or_else(|e| panic!("{more}: {e}"));
        assert_eq!(key.certificates(), std::slice::from_ref(&certificate), "{more}");
        assert_eq!(ImportedKey::read(&content, None).unwrap_err(), ImportError::PasswordWanted, "{more}");
        let wrong = ImportedKey::read(&content, Some(&"another".into())).unwrap_err();
        assert_eq!(wrong, ImportError::WrongPassword, "{more}");
    }
}

/// Does what the error advises, which names FILE and KEYS.pem; answers what comes of it.
fn converted(directory: &Path, refused: &ImportError, tool: &str) -> ImportedKey {
    let advice = refused.to_string();
    let command = advice.split('`').find(|part| part.starts_with(tool)).unwrap();
    let arguments = format!(
        "{} -passin file:password -passout file:new-password",
        command.trim_start_matches("openssl ").replace("FILE", "out")
    );
    // Of one file for both, openssl takes the second line.
    fs::write(directory.join("new-password"), PASSWORD).unwrap();
    let out = arguments.split(' ').skip_while(|word| *word != "-out").nth(1).unwrap();
    let content = openssl(directory, &arguments, out);
    assert_eq!(ImportedKey::read(&content, None).unwrap_err(), ImportError::PasswordWanted, "{arguments}");
    ImportedKey::read(&content, Some(&password())).unwrap()
}

#[test]
fn what_is_outdated_is_named_before_a_password_is_asked_for_and_converted_as_is_said() {
    let home = made(P384);
    let spki = openssl(home.path(), "pkey -in key.pem -pubout -outform DER -out spki", "spki");
    let export = "pkcs12 -export -inkey key.pem -in root.pem -passout file:password -out out";
    for more in [" -legacy", " -certpbe PBE-SHA1-3DES -keypbe PBE-SHA1-3DES", " -macalg SHA1"] {
        let content = openssl(home.path(), &format!("{export}{more}"), "out");
        let refused = ImportedKey::read(&content, None).unwrap_err();
        assert_eq!(refused, ImportError::Outdated, "{more}");
        assert_eq!(converted(home.path(), &refused, "openssl pkcs12").spki(), spki, "{more}");
    }
    for scheme in ["PBE-SHA1-3DES", "PBE-SHA1-RC2-40", "PBE-MD5-DES"] {
        let v1 = format!(
            "pkcs8 -topk8 -v1 {scheme} -provider legacy -provider default -in key.pem -passout file:password -out out"
        );
        let content = openssl(home.path(), &v1, "out");
        let refused = ImportedKey::read(&content, None).unwrap_err();
        assert_eq!(refused, ImportError::Outdated, "{scheme}");
        assert_eq!(converted(home.path(), &refused, "openssl pkcs8").spki(), spki, "{scheme}");
    }
    let content =
        openssl(home.path(), "pkcs8 -topk8 -v2 des3 -in key.pem -passout file:password -out out", "out");
    let refused = ImportedKey::read(&content, None).unwrap_err();
    assert_eq!(refused, ImportError::Parameters);
    assert_eq!(converted(home.path(), &refused, "openssl pkey").spki(), spki);
}

#[test]
fn keys_that_cannot_be_used_are_told_apart() {
    let home = made("RSA -pkeyopt rsa_keygen_bits:2048");
    let small = fs::read(home.path().join("key.pem")).unwrap();
    let refused = ImportedKey::read(&small, None).unwrap_err().to_string();
    assert!(refused.contains("RSA key of another size") && refused.contains("EC-P384"), "{refused}");
    let traditional = openssl(home.path(), "rsa -in key.pem -traditional -out out", "out");
    assert_eq!(ImportedKey::read(&traditional, None).unwrap_err(), ImportError::Traditional);
    let traditional = openssl(home.path(), "rsa -in key.pem -traditional -outform DER -out out", "out");
    assert_eq!(ImportedKey::read(&traditional, None).unwrap_err(), ImportError::Traditional);
    let certificate = fs::read(home.path().join("root.pem")).unwrap();
    assert_eq!(ImportedKey::read(&certificate, None).unwrap_err(), ImportError::NoKey);
    let two = [small.clone(), small].concat();
    assert_eq!(ImportedKey::read(&two, None).unwrap_err(), ImportError::SeveralKeys(2));
    let home = made("EC -pkeyopt ec_paramgen_curve:P-521");
    let odd = fs::read(home.path().join("key.pem")).unwrap();
    assert!(ImportedKey::read(&odd, None).unwrap_err().to_string().contains("another curve"));
    for garbage in [&b""[..], b"-----BEGIN ", b"\x30\x80\x00\x00", b"\x30\x03\x02\x01\x05", &[0xff; 64]] {
        ImportedKey::read(garbage, None).unwrap_err();
    }
}

/// The public key that stands in a PKCS#8 is another's.
#[test]
fn a_public_half_of_another_key_is_noticed() {
    let (one, other) = (made(P384), made(P384));
    let der = "pkcs8 -topk8 -nocrypt -in key.pem -outform DER -out out";
    let mut key = openssl(one.path(), der, "out");
    let foreign = openssl(other.path(), der, "out");
    // The uncompressed point (RFC 5915, 3) is last: 97 octets.
    let at = key.len() - 97;
    key[at..].copy_from_slice(&foreign[at..]);
    ImportedKey::read(&key, None).unwrap_err();
}

#[test]
fn a_file_that_is_cut_off_anywhere_is_refused() {
    let home = made(P384);
    for arguments in [
        "pkcs8 -topk8 -nocrypt -in key.pem -outform DER -out out",
        "pkcs8 -topk8 -nocrypt -in key.pem -out out",
        "pkcs12 -export -inkey key.pem -in root.pem -iter 1 -passout file:password -out out",
    ] {
        let content = openssl(home.path(), arguments, "out");
        for end in 0..content.len() - 2 {
            assert!(ImportedKey::read(&content[..end], Some(&password())).is_err(), "{arguments}: {end}");
        }
    }
}

#[test]
fn a_flipped_bit_in_pkcs12_never_goes_unnoticed() {
    let home = made(P384);
    let export = "pkcs12 -export -inkey key.pem -in root.pem -iter 1 -passout file:password -out out";
    let content = openssl(home.path(), export, "out");
    let whole = ImportedKey::read(&content, Some(&password())).unwrap();
    for at in 0..content.len() {
        let mut flipped = content.clone();
        flipped[at] ^= 1 << (at % 8);
        if let Ok(read) = ImportedKey::read(&flipped, Some(&password())) {
            assert_eq!(read.spki(), whole.spki(), "octet {at}");
        }
    }
}

#[tokio::test]
async fn an_imported_key_is_named_and_signs_and_is_never_replaced() {
    let home = made(P384);
    let key = ImportedKey::read(&fs::read(home.path().join("key.pem")).unwrap(), None).unwrap();
    let backend =
        LocalBackend::with_cost(home.path().join("keys"), "a passphrase of the directory".into(), Cost::TEST)
            .unwrap();
    let uri = backend.import(&key, KeyRole::Root).unwrap();
    assert!(uri.as_str().starts_with("local:imported-root-"), "{uri}");
    let pin = backend.resolve(uri.rest(), SignatureAlgorithm::EcP384).await.unwrap();
    assert_eq!(pin, KeyPin { uri, algorithm: SignatureAlgorithm::EcP384, spki: key.spki().to_vec() });
    let opened = backend.open(&pin).await.unwrap();
    let signature = opened.sign(b"a message").await.unwrap();
    assert!(SignatureAlgorithm::EcP384.verify(&pin.spki, b"a message", &signature));
    let again = backend.import(&key, KeyRole::Root).unwrap_err();
    assert!(matches!(again, LocalError::Imported { .. }), "{again}");
}

#[test]
fn a_key_is_exported_under_its_pin_alone() {
    let home = made(P384);
    let key = ImportedKey::read(&fs::read(home.path().join("key.pem")).unwrap(), None).unwrap();
    let backend =
        LocalBackend::with_cost(home.path().join("keys"), "a passphrase of the directory".into(), Cost::TEST)
            .unwrap();
    let uri = backend.import(&key, KeyRole::Services).unwrap();
    let pin = KeyPin { uri, algorithm: SignatureAlgorithm::EcP384, spki: key.spki().to_vec() };
    let out = backend.export(&pin).unwrap();
    assert_eq!(ImportedKey::read(out.as_bytes(), None).unwrap().spki(), key.spki());
    let another = KeyPin { spki: vec![0; 120], ..pin };
    assert!(matches!(backend.export(&another).unwrap_err(), LocalError::Another(_)));
}

proptest! {
    #[test]
    fn no_octets_panic(content in proptest::collection::vec(any::<u8>(), 0..200), tail in "[ -~\n]{0,80}") {
        let _ = ImportedKey::read(&content, Some(&password()));
        let _ = ImportedKey::read(format!("-----BEGIN PRIVATE KEY-----\n{tail}").as_bytes(), None);
    }
}
