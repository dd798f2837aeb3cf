//! `catalyst backend check gcp-kms`, with what operators get wrong.

use super::*;
use catalyst_rigs::{
    catalyst,
    gcp::{
        Plant,
        api::{Algorithm, ProtectionLevel},
    },
    http::Client,
};
use serde_json::Value;
use std::process::Command;

/// Exit code, standard output and standard error, with these variables besides or instead; empty ones are unset.
fn check(fake: &FakeKms, args: &[&str], more: &[(&str, &str)]) -> (i32, String, String) {
    let directory = TempDir::new().unwrap();
    let mut command = Command::new(catalyst().unwrap());
    command.args(["backend", "check", "gcp-kms"]).args(args).current_dir(directory.path()).env_clear();
    command.envs(variables(fake)).env("CATALYST_PKI_KEY_BACKEND", "gcp-kms");
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

/// A key that somebody else made; gives the name of its version.
fn key(fake: &FakeKms, id: &str, algorithm: Algorithm, protection_level: ProtectionLevel) -> String {
    let key = format!("{RING}/cryptoKeys/{id}");
    fake.plant(&Plant { key, algorithm, protection_level, labels: [].into() }).unwrap()
}

fn hsm_key(fake: &FakeKms) -> String {
    key(fake, "k", Algorithm::EcSignP384Sha384, ProtectionLevel::Hsm)
}

/// How many versions there are in the key ring that nobody has given up.
fn alive(fake: &FakeKms) -> usize {
    let get = |path: &str| ok(&Client::new(fake.address()).get(&format!("/v1/{path}")).unwrap());
    let keys = get(&format!("{RING}/cryptoKeys?pageSize=1000"));
    let versions = |key: &Value| {
        let listed = get(&format!("{}/cryptoKeyVersions", key["name"].as_str().unwrap()));
        let versions = listed["cryptoKeyVersions"].as_array().unwrap().clone();
        versions.into_iter().filter(|version| version["state"] == "ENABLED").count()
    };
    keys["cryptoKeys"].as_array().into_iter().flatten().map(versions).sum()
}

#[test]
fn a_check_makes_a_key_signs_and_gives_it_up() {
    let fake = fake();
    let (code, stdout, stderr) = check(&fake, &[], &[]);
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    for part in ["[ok] Key store gcp-kms\n", &format!("key ring: {RING}\n"), "Probe key: gcpkms:projects/p/"]
    {
        assert!(stdout.contains(part), "'{part}' is not in\n{stdout}");
    }
    // Google keeps the CryptoKey for good.
    assert_eq!((fake.count(Method::CreateCryptoKey).unwrap(), alive(&fake)), (1, 0));
}

#[test]
fn a_named_key_or_version_signs_and_stays() {
    let fake = fake();
    let version = hsm_key(&fake);
    for name in [version.as_str(), version.trim_end_matches("/cryptoKeyVersions/1")] {
        let (code, stdout, stderr) = check(&fake, &["--key", name], &[]);
        assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
        let line = format!("Probe key: gcpkms:{version} (EC-P384, as named)");
        assert!(stdout.contains(&line), "{stdout}");
    }
    assert_eq!((fake.count(Method::CreateCryptoKey).unwrap(), alive(&fake)), (0, 1));
}

#[test]
fn the_whole_contract_is_tried_and_leaves_nothing() {
    let fake = fake();
    let (code, stdout, stderr) = check(&fake, &["--full", "--output", "json"], &[]);
    assert_eq!(code, 0, "{stdout}{stderr}");
    let seen: Value = serde_json::from_str(&stdout).unwrap();
    let rules = seen["backends"][0]["rules"].as_array().unwrap();
    let passed = rules.iter().filter(|rule| rule["verdict"] == "passed").count();
    assert!(passed > 10 && rules.iter().all(|rule| rule["verdict"] != "failed"), "{stdout}");
    assert_eq!(alive(&fake), 0, "keys of the suite were left");
}

#[test]
fn what_is_wrong_is_said_with_its_cure() {
    let fake = fake();
    let version = hsm_key(&fake);
    let soft = key(&fake, "soft", Algorithm::EcSignP384Sha384, ProtectionLevel::Software);
    let small = key(&fake, "small", Algorithm::EcSignP256Sha256, ProtectionLevel::Hsm);
    let missing = version.replace("/cryptoKeys/k/", "/cryptoKeys/nothing/");
    let software = "CATALYST_PKI_GCP_PROTECTION=software";
    fails(&fake, &["--key", &missing], &[], &[&missing, "NOT_FOUND"]);
    fails(&fake, &["--key", &soft], &[], &[&soft, "protection level SOFTWARE", software]);
    fails(&fake, &["--key", &small], &[], &[&small, "EC_SIGN_P256_SHA256", "EC_SIGN_P384_SHA384"]);
    let nowhere = [("CATALYST_PKI_KMS_KEY_NAME", "projects/p/locations/global/keyRings/nothing")];
    fails(&fake, &[], &nowhere, &["keyRings/nothing", "NOT_FOUND", "gcloud kms keyrings create"]);
    fails(&fake, &[], &[("CATALYST_PKI_KMS_KEY_NAME", "")], &["CATALYST_PKI_KMS_KEY_NAME"]);
    fails(&fake, &[], &[("CATALYST_PKI_GCP_ENDPOINT", "http://127.0.0.1:9")], &["http://127.0.0.1:9"]);
    let file = [("CATALYST_PKI_GCP_CREDENTIALS", "/nowhere/account.json")];
    fails(&fake, &[], &file, &["/nowhere/account.json"]);
    fails(&fake, &[], &[("GCE_METADATA_HOST", "127.0.0.1:9")], &["credentials"]);
    let (code, stdout, _) = check(&fake, &["--key", &soft], &[("CATALYST_PKI_GCP_PROTECTION", "software")]);
    assert_eq!(code, 0, "{stdout}");
    assert_eq!(alive(&fake), 3, "the test's own");
}

#[test]
fn what_is_denied_is_named_and_so_is_what_it_leaves() {
    let fake = fake();
    let version = hsm_key(&fake);
    let denied = |method: Method, args: &[&str], words: &[&str]| {
        fake.add(calling(method), When::Always, refusing(Code::PermissionDenied)).unwrap();
        fails(&fake, args, &[], &[&[method.permission()], words].concat());
        fake.clear().unwrap();
    };
    for method in [Method::AsymmetricSign, Method::CreateCryptoKey] {
        denied(method, &[], &[]);
        assert_eq!(alive(&fake), 1, "without {method:?} a key was left");
    }
    denied(Method::AsymmetricSign, &["--key", &version], &[&version]);
    denied(Method::GetPublicKey, &["--key", &version], &[&version]);
    // What cannot be given up is named, so that somebody else does it.
    let left = ["the probe key gcpkms:projects/p/", "may be left in the key store"];
    denied(Method::DestroyCryptoKeyVersion, &[], &left);
}
