//! `catalyst backend check gcp-kms`.

use super::{RING, at_hand, beside, calls_from, count, keys, plant, plant_of, variables};
use catalyst_rigs::{
    catalyst,
    gcp::{
        Effect, FakeKms, On, When,
        api::{Algorithm, Code, Method, ProtectionLevel},
    },
};
use serde_json::Value;
use std::process::Command;
use tempfile::TempDir;

/// Exit code, standard output and standard error, with these variables besides or instead; empty ones are unset.
fn check(fake: &FakeKms, args: &[&str], more: &[(&str, &str)]) -> (i32, String, String) {
    let directory = TempDir::new().unwrap();
    let mut command = Command::new(catalyst().unwrap());
    command.args(["backend", "check", "gcp-kms"]).args(args).current_dir(directory.path()).env_clear();
    command.envs(variables(fake)).env("HOME", directory.path());
    for (name, value) in more {
        match value.is_empty() {
            true => command.env_remove(name),
            false => command.env(name, value),
        };
    }
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// It fails, and says all of these.
#[track_caller]
fn fails(fake: &FakeKms, args: &[&str], more: &[(&str, &str)], words: &[&str]) {
    let (code, stdout, stderr) = check(fake, args, more);
    assert_eq!(code, 1, "{stdout}{stderr}");
    assert!(stderr.starts_with("error: gcp-kms: "), "{stderr}");
    assert!(words.iter().all(|word| stderr.contains(word)), "{words:?} are not all in {stderr}");
}

/// How many versions there are that nobody has given up.
fn alive(fake: &FakeKms) -> usize {
    let versions = |key: &Value| {
        let listed = beside(fake, &format!("{}/cryptoKeyVersions", key["name"].as_str().unwrap()));
        let versions = listed["cryptoKeyVersions"].as_array().cloned().unwrap_or_default();
        versions.iter().filter(|version| version["state"] == "ENABLED").count()
    };
    keys(fake).iter().map(versions).sum()
}

#[test]
fn a_check_makes_a_key_signs_and_gives_it_up() {
    let fake = at_hand();
    let (code, stdout, stderr) = check(&fake, &[], &[]);
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    let ring = format!("  key ring: {RING}\n");
    for part in ["[ok] Key store gcp-kms\n", "  protection: HSM\n", &ring, "Probe key: gcpkms:projects/p/"] {
        assert!(stdout.contains(part), "'{part}' is not in\n{stdout}");
    }
    assert_eq!((count(&fake, Method::CreateCryptoKey), alive(&fake)), (1, 0));
    assert_eq!(keys(&fake).len(), 1, "Google keeps the CryptoKey for good");
}

#[test]
fn a_named_key_signs_and_stays() {
    let fake = at_hand();
    let version = plant(&fake, "of-ours");
    for name in [version.as_str(), version.split_once("/cryptoKeyVersions").unwrap().0] {
        let (code, stdout, stderr) = check(&fake, &["--key", name], &[]);
        assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
        assert!(stdout.contains(&format!("Probe key: gcpkms:{version} (EC-P384, as named)")), "{stdout}");
    }
    assert_eq!((count(&fake, Method::CreateCryptoKey), alive(&fake)), (0, 1));
}

#[test]
fn the_whole_contract_is_tried_and_leaves_no_version() {
    let fake = at_hand();
    let (code, stdout, stderr) = check(&fake, &["--full", "--output", "json"], &[]);
    assert_eq!(code, 0, "{stdout}{stderr}");
    let seen: Value = serde_json::from_str(&stdout).unwrap();
    let rules = seen["backends"][0]["rules"].as_array().unwrap();
    let passed = rules.iter().filter(|rule| rule["verdict"] == "passed").count();
    assert!(passed > 10 && rules.iter().all(|rule| rule["verdict"] != "failed"), "{stdout}");
    assert_eq!(alive(&fake), 0, "versions of the suite were left");
}

#[test]
fn what_is_wrong_is_said_with_its_cure() {
    let fake = at_hand();
    let ring = "projects/p/locations/europe-west3/keyRings/nowhere";
    fails(&fake, &[], &[("CATALYST_PKI_KMS_KEY_NAME", ring)], &[ring, "NOT_FOUND"]);
    fails(&fake, &[], &[("CATALYST_PKI_KMS_KEY_NAME", "")], &["CATALYST_PKI_KMS_KEY_NAME"]);
    fails(
        &fake,
        &[],
        &[("CATALYST_PKI_GCP_CREDENTIALS", "/nowhere.json")],
        &["/nowhere.json", "credentials"],
    );
    fails(&fake, &[], &[("GCE_METADATA_HOST", "127.0.0.1:9")], &["credentials"]);
    fails(&fake, &[], &[("CATALYST_PKI_GCP_ENDPOINT", "http://127.0.0.1:9")], &["http://127.0.0.1:9"]);
    let nothing = format!("{RING}/cryptoKeys/nothing");
    fails(&fake, &["--key", &nothing], &[], &[&nothing, "NOT_FOUND"]);
    let soft = plant_of(&fake, "soft", Algorithm::EcSignP384Sha384, ProtectionLevel::Software);
    fails(&fake, &["--key", &soft], &[], &[&soft, "CATALYST_PKI_GCP_PROTECTION"]);
    let (code, stdout, _) = check(&fake, &["--key", &soft], &[("CATALYST_PKI_GCP_PROTECTION", "software")]);
    assert_eq!(code, 0, "{stdout}");
    assert_eq!(count(&fake, Method::CreateCryptoKey), 0);
}

#[test]
fn what_is_denied_is_named_by_its_permission() {
    let fake = at_hand();
    let key = plant(&fake, "of-ours");
    for (method, args) in [
        (Method::CreateCryptoKey, &[][..]),
        (Method::AsymmetricSign, &["--key", &key]),
        (Method::GetPublicKey, &["--key", &key]),
    ] {
        let on = On { method: Some(method), ..On::default() };
        fake.add(on, When::Always, Effect::Refuse(Code::PermissionDenied.into())).unwrap();
        fails(&fake, args, &[], &[method.permission()]);
        fake.clear().unwrap();
    }
    assert!(calls_from(&fake, 0).iter().any(|call| call.code == Some(Code::PermissionDenied)));
}
