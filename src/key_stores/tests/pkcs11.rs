//! Tokens.

use super::{super::*, file, names, open, open_one, refused, settings, table};
use std::{fs, os::unix::fs::PermissionsExt as _};
use tempfile::TempDir;

const MODULE: (&str, &str) = ("CATALYST_PKI_PKCS11_MODULE", "/nowhere/module.so");
const TOKEN: (&str, &str) = ("CATALYST_PKI_PKCS11_TOKEN", "ca");
const PIN: (&str, &str) = ("CATALYST_PKI_PKCS11_PIN", "123456");
const CHOSEN: (&str, &str) = ("CATALYST_PKI_KEY_BACKEND", "pkcs11");

/// A module that is missing shows when it is used: until then the service bundles and answers.
#[test]
fn a_token_is_taken_before_it_is_there() {
    assert_eq!(names(&settings(None, &[CHOSEN, MODULE, TOKEN, PIN]).unwrap()), ["pkcs11"]);
    let file_alone = ("CATALYST_PKI_PKCS11_PIN_FILE", "/nowhere/pin");
    let settings = settings(None, &[CHOSEN, MODULE, TOKEN, file_alone]).unwrap();
    let (_, store) = open(&settings).unwrap().remove(0);
    assert_eq!(store.scheme(), "pkcs11");
    let shown = format!("{store:?} {settings:?}");
    assert!(shown.contains("/nowhere/pin"), "{shown}");
}

#[test]
fn no_pin_is_shown() {
    let settings = settings(None, &[CHOSEN, MODULE, TOKEN, PIN]).unwrap();
    let stores = open(&settings).unwrap();
    let shown = crate::settings::text(&table(), &settings.values);
    for text in [format!("{stores:?} {settings:?}"), shown] {
        assert!(!text.contains("123456"), "{text}");
    }
}

#[test]
fn what_is_missing_is_named() {
    for (vars, wanted) in [
        (&[CHOSEN][..], "CATALYST_PKI_PKCS11_MODULE is not set: the key store 'pkcs11' needs the path"),
        (&[TOKEN], "CATALYST_PKI_PKCS11_MODULE is not set"),
        (&[CHOSEN, MODULE], "CATALYST_PKI_PKCS11_TOKEN is not set"),
        (&[CHOSEN, MODULE, TOKEN], "CATALYST_PKI_PKCS11_PIN is not set"),
    ] {
        let sentence = refused(None, vars);
        assert!(sentence.starts_with(wanted), "{sentence}");
    }
    let broken = refused(None, &[CHOSEN, MODULE, TOKEN, ("CATALYST_PKI_PKCS11_PIN", "123456\n")]);
    assert!(
        broken.contains("CATALYST_PKI_PKCS11_PIN holds a line break") && !broken.contains("123456"),
        "{broken}"
    );
    let both = [CHOSEN, MODULE, TOKEN, PIN, ("CATALYST_PKI_PKCS11_PIN_PAD", "true")];
    assert!(refused(None, &both).contains("CATALYST_PKI_PKCS11_PIN_PAD are both given"));
}

#[test]
fn values_that_may_hold_a_pin_are_not_repeated() {
    for name in ["CATALYST_PKI_PKCS11_TOKEN", "CATALYST_PKI_PKCS11_KEY"] {
        let sentence = refused(None, &[CHOSEN, MODULE, (name, "pkcs11:object=a;token=a?pin-value=987654")]);
        assert!(sentence.starts_with(name) && !sentence.contains("987654"), "{sentence}");
    }
}

const TWO: &str = "[pkcs11.hsm-1]\nmodule = '/nowhere/a.so'\ntoken = 'one'\npin = '1234'\nsessions = 2\n\
    [pkcs11.root]\nmodule = '/nowhere/a.so'\ntoken = 'pkcs11:token=two'\n";

#[test]
fn the_settings_file_describes_several_tokens() {
    let directory = TempDir::new().unwrap();
    let path = file(&directory, &format!("{TWO}pin_file = '/nowhere/pin'\n"));
    let vars = [CHOSEN, MODULE, TOKEN, PIN, ("CATALYST_PKI_KEY_BACKEND_ROOT", "pkcs11:root")];
    let settings = settings(Some(&path), &vars).unwrap();
    assert_eq!(names(&settings), ["pkcs11", "pkcs11:hsm-1", "pkcs11:root"]);
    assert!(open_one(&settings, "pkcs11:hsm-1").is_ok());
    let shown = crate::settings::text(&table(), &settings.values);
    let line =
        |name: &str| shown.lines().find(|line| line.split(' ').next() == Some(name)).unwrap().to_owned();
    assert!(line("pkcs11.hsm-1.pin").contains("[redacted]"), "{shown}");
    assert!(line("pkcs11.root.pin").contains("[in /nowhere/pin]"), "{shown}");
    let [given, own, default] =
        ["pkcs11.hsm-1.sessions", "pkcs11.root.sessions", "CATALYST_PKI_PKCS11_SESSIONS"].map(line);
    assert!(given.contains(" 2 ") && own.contains(" 8 ") && default.contains(" 8 "), "{shown}");
}

#[test]
fn the_settings_file_is_as_strict_with_them() {
    let directory = TempDir::new().unwrap();
    for (text, wanted) in [
        ("[pkcs11.a]\nmoduel = 'x'\n", "unknown key 'pkcs11.a.moduel'"),
        ("[pkcs11.a]\nkey = 'x'\n", "unknown key 'pkcs11.a.key'"),
        ("[pkcs11.'a b']\nmodule = 'x'\n", "'pkcs11.a b' in "),
        (
            "[pkcs11.a]\nsessions = 0\n",
            "pkcs11.a.sessions is '0' (file): a whole number of sessions from 1 to 256",
        ),
        ("[pkcs11.a]\nmodule = 'x'\n", "pkcs11.a.token is not set: the key store 'pkcs11:a' needs"),
        (
            "[pkcs11.a]\npin = '1'\npin_file = '2'\n",
            "pkcs11.a.pin and pkcs11.a.pin_file are both given (file)",
        ),
        (
            "key_backend = 'pkcs11:b'\n[pkcs11.a]\nmodule = 'x'\n",
            "CATALYST_PKI_KEY_BACKEND is 'pkcs11:b' (file): the settings file has no [pkcs11.b]",
        ),
    ] {
        let sentence = refused(Some(&file(&directory, text)), &[]);
        assert!(sentence.starts_with(wanted), "{sentence}");
    }
    let path = file(&directory, "[pkcs11.a]\nmodule = 'x'\npin = '1234'\n");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(
        matches!(settings(Some(&path), &[]), Err(SettingsError::FileReadable { key, .. }) if key == "pkcs11.a.pin")
    );
}

#[test]
fn the_roots_credentials_open_a_token_of_the_roots_own() {
    let directory = TempDir::new().unwrap();
    let path = file(&directory, TWO);
    let root = ("CATALYST_PKI_KEY_BACKEND_ROOT", "pkcs11:root");
    let others = ("CATALYST_PKI_KEY_BACKEND", "pkcs11:hsm-1");
    let credentials = ("CATALYST_PKI_ROOT_CREDENTIALS", "/nowhere/root-pin");
    let settings = settings(Some(&path), &[root, others, credentials]).unwrap();
    let store = open_one(&settings, "pkcs11:root").unwrap();
    let shown = format!("{store:?}");
    assert!(shown.contains("/nowhere/root-pin") && shown.contains("WhileInUse"), "{shown}");
    assert!(format!("{:?}", open_one(&settings, "pkcs11:hsm-1").unwrap()).contains("Kept"));

    // The same token under another name would be logged in to for good.
    let same = file(&directory, &TWO.replace("token=two", "token=one"));
    let sentence = refused(Some(&same), &[root, others, credentials]);
    assert!(
        sentence.contains("'pkcs11:root'") && sentence.contains("'pkcs11:hsm-1' may be the same"),
        "{sentence}"
    );
    // So it would under another name of the library.
    let [library, link] = ["a.so", "link.so"].map(|name| directory.path().join(name));
    fs::write(&library, "").unwrap();
    std::os::unix::fs::symlink(&library, &link).unwrap();
    let linked =
        TWO.replace("token=two", "token=one").replacen("/nowhere/a.so", &link.display().to_string(), 1);
    let linked = file(&directory, &linked.replace("/nowhere/a.so", &library.display().to_string()));
    let sentence = refused(Some(&linked), &[root, others, credentials]);
    assert!(sentence.contains("'pkcs11:hsm-1' may be the same"), "{sentence}");
    let path = file(&directory, TWO);
    let shared = [("CATALYST_PKI_KEY_BACKEND", "pkcs11:root"), credentials];
    assert!(refused(Some(&path), &shared).contains("other roles use it too"));
    let with_pin = file(&directory, &format!("{TWO}pin = '1234'\n"));
    assert!(
        refused(Some(&with_pin), &[root, others, credentials]).contains("pkcs11.root.pin are both given")
    );
    let local = refused(None, &[credentials]);
    assert!(local.contains("CATALYST_PKI_ROOT_CREDENTIALS is set") && local.contains("'local'"), "{local}");
}

#[test]
fn a_key_is_named_for_a_role_whose_keys_are_of_that_kind() {
    let services = ("CATALYST_PKI_PKCS11_KEY_SERVICES", "services-1");
    let named = settings(None, &[CHOSEN, MODULE, TOKEN, PIN, services]).unwrap().key_references;
    let reference = named.services.unwrap();
    assert_eq!((reference.setting, reference.reference.as_str()), services);
    assert_eq!((named.root, named.transport, named.tokens), (None, None, None));
    let elsewhere = refused(None, &[services]);
    assert!(elsewhere.contains("CATALYST_PKI_KEY_BACKEND_SERVICES is 'local'"), "{elsewhere}");
}
