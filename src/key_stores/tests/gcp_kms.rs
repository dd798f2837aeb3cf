//! Ways into Google Cloud KMS.

use super::{super::*, file, names, open_one, refused, settings};
use std::{fs, os::unix::fs::symlink, time::Duration};
use tempfile::TempDir;

const CHOSEN: (&str, &str) = ("CATALYST_PKI_KEY_BACKEND", "gcp-kms");
const NAME: &str = "CATALYST_PKI_KMS_KEY_NAME";
const RING: &str = "projects/p/locations/europe-west3/keyRings/pki";
const OTHER_RING: &str = "projects/p/locations/europe-west3/keyRings/transport";
const KEY: &str = "projects/p/locations/europe-west3/keyRings/roots/cryptoKeys/Root_1";
const VERSION: &str =
    "projects/p/locations/europe-west3/keyRings/roots/cryptoKeys/Root_1/cryptoKeyVersions/3";
const ACCOUNT: &str = "pki-root@p.iam.gserviceaccount.com";

fn shown(settings: &Settings, name: &str) -> String {
    format!("{:?}", open_one(settings, name).unwrap())
}

/// Where keys of root, services, transport and tokens are made in a key store.
fn rings(settings: &Settings, name: &str) -> [Option<String>; 4] {
    let shown = shown(settings, name);
    ["root", "services", "transport", "token"].map(|role| {
        let (_, rest) = shown.split_once(&format!(" {role}: ")).unwrap();
        let ring = rest.strip_prefix("Some(KeyRing(\"")?;
        Some(ring.split('"').next().unwrap().to_owned())
    })
}

fn all_of(ring: &str) -> [Option<String>; 4] {
    [(); 4].map(|()| Some(ring.to_owned()))
}

/// Nothing is read or asked: what the credentials lack shows when a key is wanted.
#[test]
fn a_key_ring_is_enough() {
    let settings = settings(None, &[CHOSEN, (NAME, RING)]).unwrap();
    assert_eq!(names(&settings), ["gcp-kms"]);
    let shown = shown(&settings, "gcp-kms");
    for wanted in [
        "credentials: Default",
        "protection: Hsm",
        "Kept",
        "calls_per_second: 45",
        "endpoint: None",
        &format!("call_timeout: {:?}", Duration::from_secs(3)),
    ] {
        assert!(shown.contains(wanted), "{wanted}: {shown}");
    }
    assert_eq!(rings(&settings, "gcp-kms"), all_of(RING));
    assert_eq!(settings.key_references, Default::default(), "a key ring is no key");
}

#[test]
fn a_way_is_there_when_it_is_described_or_chosen() {
    assert_eq!(names(&settings(None, &[]).unwrap()), [""; 0]);
    assert_eq!(names(&settings(None, &[CHOSEN]).unwrap()), ["gcp-kms"]);
    assert_eq!(names(&settings(None, &[("CATALYST_PKI_GCP_RATE", "10")]).unwrap()), ["gcp-kms"]);
    let directory = TempDir::new().unwrap();
    let text = "[gcp-kms]\ncredentials = '/etc/signer.json'\n\
        [gcp-kms.tests]\nprotection = 'software'\nimpersonate = 'tests@p.iam.gserviceaccount.com'\n\
        [gcp-kms.us]\ncredentials = '/etc/us.json'\nimpersonate = 'us@p.iam.gserviceaccount.com'\nrate = 7\n";
    let settings = settings(Some(&file(&directory, text)), &[]).unwrap();
    assert_eq!(names(&settings), ["gcp-kms", "gcp-kms:tests", "gcp-kms:us"]);
    for (name, wanted) in [
        ("gcp-kms", &["File(\"/etc/signer.json\")", "protection: Hsm", "calls_per_second: 45"][..]),
        ("gcp-kms:tests", &["\"tests@p.iam", "file: None", "protection: Software", "calls_per_second: 900"]),
        ("gcp-kms:us", &["\"us@p.iam", "file: Some(\"/etc/us.json\")", "calls_per_second: 7"]),
    ] {
        let shown = shown(&settings, name);
        assert!(wanted.iter().all(|wanted| shown.contains(wanted)), "{wanted:?}: {shown}");
    }
}

#[test]
fn a_variable_wins_over_the_file() {
    let directory = TempDir::new().unwrap();
    let path = file(
        &directory,
        &format!("key_backend = 'gcp-kms'\n[gcp-kms]\nkey_name = '{RING}'\nprotection = 'software'\n"),
    );
    let given = [(NAME, OTHER_RING), ("CATALYST_PKI_GCP_PROTECTION", "hsm")];
    let settings = settings(Some(&path), &given).unwrap();
    assert_eq!(rings(&settings, "gcp-kms"), all_of(OTHER_RING));
    assert!(shown(&settings, "gcp-kms").contains("protection: Hsm"));
}

#[test]
fn a_key_and_a_version_are_kept_as_they_are_typed_and_lend_their_key_ring() {
    for name in [KEY, VERSION, &format!("gcpkms:{VERSION}")] {
        let settings = settings(None, &[CHOSEN, (NAME, name)]).unwrap();
        let named = settings.key_references.root.clone().unwrap();
        assert_eq!((named.setting, named.reference.as_str()), (NAME, name));
        assert_eq!(settings.key_references.services, None, "it is the root's");
        assert_eq!(rings(&settings, "gcp-kms"), all_of("projects/p/locations/europe-west3/keyRings/roots"));
    }
}

#[test]
fn a_role_has_a_ring_of_its_own_or_the_roots() {
    let transport = ("CATALYST_PKI_KMS_KEY_NAME_TRANSPORT", OTHER_RING);
    let services = ("CATALYST_PKI_KMS_KEY_NAME_SERVICES", KEY);
    let settings = settings(None, &[CHOSEN, (NAME, RING), transport, services]).unwrap();
    let own = [RING, "projects/p/locations/europe-west3/keyRings/roots", OTHER_RING, RING];
    assert_eq!(rings(&settings, "gcp-kms"), own.map(|ring| Some(ring.to_owned())));
    assert_eq!(settings.key_references.services.unwrap().reference, KEY);
}

#[test]
fn a_ring_serves_whatever_is_made_there() {
    let root = ("CATALYST_PKI_KEY_BACKEND_ROOT", "local");
    let elsewhere = settings(None, &[CHOSEN, root, (NAME, RING)]).unwrap();
    assert_eq!(rings(&elsewhere, "gcp-kms"), all_of(RING));
    // No role uses it yet: a CA is to be moved there.
    for name in [NAME, "CATALYST_PKI_KMS_KEY_NAME_SERVICES"] {
        let settings = settings(None, &[(name, RING)]).unwrap();
        assert_eq!(names(&settings), ["gcp-kms"]);
        assert_eq!(rings(&settings, "gcp-kms")[1], Some(RING.to_owned()));
    }
    // A key, on the other hand, is the next of one role.
    let refused = refused(None, &[CHOSEN, root, (NAME, KEY)]);
    let wanted =
        format!("{NAME} names a key of gcp-kms, and CATALYST_PKI_KEY_BACKEND_ROOT is 'local': choose");
    assert!(refused.starts_with(&wanted), "{refused}");
}

#[test]
fn each_of_several_makes_the_keys_of_its_own_roles() {
    let directory = TempDir::new().unwrap();
    let path = file(&directory, "[gcp-kms.root]\nprotection = 'hsm'\n[gcp-kms.new]\nprotection = 'hsm'\n");
    let root = ("CATALYST_PKI_KEY_BACKEND_ROOT", "gcp-kms:root");
    let tokens = ("CATALYST_PKI_KEY_BACKEND_TOKENS", "local");
    let settings = settings(Some(&path), &[CHOSEN, root, tokens, (NAME, RING)]).unwrap();
    assert_eq!(names(&settings), ["gcp-kms", "gcp-kms:new", "gcp-kms:root"]);
    let here = |roles: [bool; 4]| roles.map(|is_here| is_here.then(|| RING.to_owned()));
    assert_eq!(rings(&settings, "gcp-kms"), here([false, true, true, true]));
    assert_eq!(rings(&settings, "gcp-kms:root"), here([true, false, false, true]));
    assert_eq!(rings(&settings, "gcp-kms:new"), here([true; 4]), "nobody uses it yet");
}

/// A key store that nobody described and no role uses is not there because another of its kind has a key ring.
#[test]
fn a_ring_describes_no_way_beside_those_that_are_used() {
    let directory = TempDir::new().unwrap();
    let path = file(&directory, "key_backend = 'gcp-kms:eu'\n[gcp-kms.eu]\nprotection = 'hsm'\n");
    assert_eq!(names(&settings(Some(&path), &[(NAME, RING)]).unwrap()), ["gcp-kms:eu"]);
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let form = "the full name of a key ring, a key or a version is wanted";
    for (name, value, wanted) in [
        (NAME, "pki", form),
        (NAME, "projects/p/locations/l/keyRings/r/", form),
        (NAME, "projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/latest", form),
        (NAME, "projects/p/locations/l/keyRings/../cryptoKeys/k", form),
        (NAME, "https://cloudkms.googleapis.com/v1/projects/p/locations/l/keyRings/r", form),
        ("CATALYST_PKI_GCP_PROTECTION", "external", "one of hsm, software is wanted"),
        ("CATALYST_PKI_GCP_IMPERSONATE", "pki-root", "the address of a service account is wanted"),
        ("CATALYST_PKI_GCP_IMPERSONATE", "somebody@example.com", "the address of a service account"),
        ("CATALYST_PKI_GCP_IMPERSONATE", "a/../b@p.iam.gserviceaccount.com", "the address of a service"),
        ("CATALYST_PKI_GCP_IMPERSONATE", "Root@p.iam.gserviceaccount.com", "the address of a service"),
        ("CATALYST_PKI_GCP_ENDPOINT", "http://kms.example.org", "plain http is for this machine alone"),
        ("CATALYST_PKI_GCP_ENDPOINT", "cloudkms.googleapis.com", "a URL of a host"),
        ("CATALYST_PKI_GCP_ENDPOINT", "https://a:b@kms.example.org", "a URL of a host"),
        ("CATALYST_PKI_GCP_RATE", "0", "a whole number of calls from 1 to 100000 is wanted"),
        ("CATALYST_PKI_GCP_TIMEOUT", "61", "a whole number of seconds from 1 to 60 is wanted"),
    ] {
        let sentence = refused(None, &[CHOSEN, (name, value)]);
        assert!(sentence.starts_with(name) && sentence.contains(wanted), "{value}: {sentence}");
    }
    let aws = refused(None, &[("CATALYST_PKI_KEY_BACKEND", "aws-kms"), (NAME, VERSION)]);
    assert!(aws.contains("CATALYST_PKI_KEY_BACKEND_ROOT is 'aws-kms'"), "{aws}");
}

const APART: &str = "[gcp-kms.root]\nprotection = 'hsm'\n";
const ROOT: (&str, &str) = ("CATALYST_PKI_KEY_BACKEND_ROOT", "gcp-kms:root");

fn credentials(given: &str) -> (&'static str, &str) {
    ("CATALYST_PKI_ROOT_CREDENTIALS", given)
}

#[test]
fn the_root_has_an_account_or_a_file_of_its_own() {
    let directory = TempDir::new().unwrap();
    let path = file(&directory, APART);
    let account = settings(Some(&path), &[CHOSEN, ROOT, credentials(ACCOUNT)]).unwrap();
    let [of_root, of_others] = ["gcp-kms:root", "gcp-kms"].map(|name| shown(&account, name));
    assert!(of_root.contains(ACCOUNT) && of_root.contains("WhileInUse"), "{of_root}");
    assert!(!of_others.contains(ACCOUNT) && of_others.contains("Kept"), "{of_others}");
    let by_file = settings(Some(&path), &[CHOSEN, ROOT, credentials("/etc/root.json")]).unwrap();
    assert!(shown(&by_file, "gcp-kms:root").contains("File(\"/etc/root.json\")"));
    // The identity that impersonates the account is no second answer to who asks.
    let hop = file(&directory, &format!("{APART}credentials = '/etc/hop.json'\n"));
    let shown = shown(&settings(Some(&hop), &[CHOSEN, ROOT, credentials(ACCOUNT)]).unwrap(), "gcp-kms:root");
    assert!(shown.contains(ACCOUNT) && shown.contains("Some(\"/etc/hop.json\")"), "{shown}");

    for (row, given) in [
        ("impersonate = 'a@p.iam.gserviceaccount.com'", ACCOUNT),
        ("impersonate = 'a@p.iam.gserviceaccount.com'", "/etc/root.json"),
        ("credentials = '/etc/a.json'", "/etc/root.json"),
    ] {
        let path = file(&directory, &format!("{APART}{row}\n"));
        let twice = refused(Some(&path), &[CHOSEN, ROOT, credentials(given)]);
        let row = row.split(' ').next().unwrap();
        assert!(twice.contains(&format!("gcp-kms.root.{row} are both given for the root's")), "{twice}");
    }
}

#[test]
fn what_is_no_credentials_of_googles_is_refused_and_a_pin_never_repeated() {
    let directory = TempDir::new().unwrap();
    let path = file(&directory, APART);
    for of_aws in ["arn:aws:iam::111122223333:role/root", "profile/root"] {
        let refused = refused(Some(&path), &[CHOSEN, ROOT, credentials(of_aws)]);
        assert!(refused.contains("names no credentials of Google's: for the key store 'gcp-kms:root'"));
    }
    for pin in ["77553311", "./a?pin-value=77553311", "77553311@example.com"] {
        let refused = refused(Some(&path), &[CHOSEN, ROOT, credentials(pin)]);
        assert!(
            refused.contains("address of a Google service account") && !refused.contains("77553311"),
            "{refused}"
        );
    }
    let local = refused(None, &[credentials(ACCOUNT)]);
    assert!(local.contains("the root's key store is 'local', which has no credentials"), "{local}");
}

#[test]
fn the_roots_credentials_are_nobody_elses() {
    let directory = TempDir::new().unwrap();
    let shared = refused(None, &[CHOSEN, credentials(ACCOUNT)]);
    for part in ["other roles use it too", "[gcp-kms.root]", "CATALYST_PKI_KEY_BACKEND_ROOT=gcp-kms:root"] {
        assert!(shared.contains(part), "{shared}");
    }
    let root = directory.path().join("root.json");
    let alias = directory.path().join("alias.json");
    fs::write(&root, "{}").unwrap();
    symlink(&root, &alias).unwrap();
    // Two keys of one account.
    let [first, second, other] = ["first.json", "second.json", "other.json"].map(|name| {
        let path = directory.path().join(name);
        let account = if name == "other.json" { "other@p.iam.gserviceaccount.com" } else { ACCOUNT };
        fs::write(&path, format!("{{\"client_email\":\"{account}\",\"key\":\"{name}\"}}")).unwrap();
        path.display().to_string()
    });
    let [root, alias] = [root, alias].map(|path| path.display().to_string());
    let hop = "[gcp-kms]\ncredentials = '/etc/hop.json'\n";
    for (everyday, given) in [
        (format!("[gcp-kms]\nimpersonate = '{ACCOUNT}'\n"), ACCOUNT),
        // However it is reached.
        (format!("{hop}impersonate = '{ACCOUNT}'\n"), ACCOUNT),
        (format!("[gcp-kms]\ncredentials = '{first}'\n"), ACCOUNT),
        (format!("[gcp-kms]\ncredentials = '{first}'\n"), &second),
        (format!("[gcp-kms]\nimpersonate = '{ACCOUNT}'\n"), &first),
        (format!("[gcp-kms]\ncredentials = '{root}'\n"), root.as_str()),
        (format!("[gcp-kms]\ncredentials = '{alias}'\n"), &root),
        // Its own identity is the root's, whatever it takes on.
        (format!("[gcp-kms]\ncredentials = '{root}'\nimpersonate = 'a@p.iam.gserviceaccount.com'\n"), &root),
        (format!("[gcp-kms.old]\ncredentials = '{root}'\n"), &root),
    ] {
        let path = file(&directory, &format!("{everyday}{APART}"));
        let same = refused(Some(&path), &[CHOSEN, ROOT, credentials(given)]);
        assert!(same.contains("uses the same account or file: give the root one"), "{everyday}: {same}");
    }
    let path = file(&directory, &format!("[gcp-kms]\ncredentials = '{other}'\n{APART}"));
    assert_eq!(
        names(&settings(Some(&path), &[CHOSEN, ROOT, credentials(&first)]).unwrap()),
        ["gcp-kms", "gcp-kms:root"]
    );
    // Everyday's own file may impersonate the root's account: whether it may, Google decides each time.
    let path = file(&directory, &format!("{hop}{APART}credentials = '/etc/hop.json'\n"));
    assert_eq!(
        names(&settings(Some(&path), &[CHOSEN, ROOT, credentials(ACCOUNT)]).unwrap()),
        ["gcp-kms", "gcp-kms:root"]
    );
}
