//! Keys that were in the project before the service was (`CATALYST_PKI_KMS_KEY_NAME` and its companions).

use super::{at_hand, calls_from, count, key_uris, keys, launch_on, plant, plant_of, refusal, warnings};
use crate::{
    auth_cli::done,
    pki::{Pki, eventually, ok},
};
use catalyst_rigs::{
    gcp::{
        FakeKms,
        api::{Algorithm, Method, ProtectionLevel},
    },
    http::Client,
};
use serde_json::json;
use tempfile::TempDir;

const ROOT: &str = "CATALYST_PKI_KMS_KEY_NAME";
const SERVICES: &str = "CATALYST_PKI_KMS_KEY_NAME_SERVICES";
const TRANSPORT: &str = "CATALYST_PKI_KMS_KEY_NAME_TRANSPORT";
const TOKENS: &str = "CATALYST_PKI_KMS_KEY_NAME_TOKENS";

/// The key of a version.
fn key_of(version: &str) -> &str {
    version.split_once("/cryptoKeyVersions/").unwrap().0
}

/// Another version of a key, enabled; gives its name.
fn next_version(fake: &FakeKms, key: &str) -> String {
    let client = Client::new(fake.address());
    let made = ok(&client.post(&format!("/v1/{key}/cryptoKeyVersions"), &json!({})).unwrap());
    let name = made["name"].as_str().unwrap().to_owned();
    eventually("a version", || (super::beside(fake, &name)["state"] == "ENABLED").then_some(()));
    name
}

#[test]
fn existing_versions_and_keys_are_taken_and_none_is_made() {
    let fake = at_hand();
    let [root, services, transport, tokens] =
        ["Root_1", "services", "transport", "tokens"].map(|id| plant(&fake, id));
    let newest = next_version(&fake, key_of(&services));
    let data_dir = TempDir::new().unwrap();
    let launch = || {
        launch_on(data_dir.path(), &fake)
            .env(ROOT, &root)
            .env(SERVICES, key_of(&services))
            .env(TRANSPORT, &format!("gcpkms:{transport}"))
            .env(TOKENS, key_of(&tokens))
    };
    let mut pki = Pki::initialized(launch());
    let uris = [&root, &newest, &transport].map(|name| format!("gcpkms:{name}"));
    assert_eq!(key_uris(&pki), uris, "of a key the newest version");
    pki.issue("node", "n1");
    pki.issue("envoy/app", "n1");
    assert_eq!((count(&fake, Method::CreateCryptoKey), keys(&fake).len()), (0, 4));
    let signs = |version: &str| {
        let calls = calls_from(&fake, 0);
        calls.iter().any(|call| call.method == Method::AsymmetricSign && call.resource == version)
    };
    assert!(signs(&tokens), "the token key is the one that was named");
    assert_eq!(warnings(&pki), [""; 0]);
    assert!(pki.service.stop().unwrap().success(), "{}", pki.service.log());

    // A newer version comes: the pin rules, and status names both.
    let later = next_version(&fake, key_of(&services));
    let mut again = Pki::start(launch()).ready();
    assert_eq!(key_uris(&again), uris);
    again.issue("node", "n2");
    let note = eventually("a note", || warnings(&again).pop());
    let wanted = format!(
        "{} names gcpkms:{later} now, the key of Catalyst Services CA is {}: the pin rules",
        key_of(&services),
        uris[1]
    );
    assert!(note.contains(&wanted), "{note}");
    assert!(!signs(&later));

    // It is the next generation's.
    let new = ok(&again.post("/pki/intermediary", &json!({"commonName": "Catalyst Services CA v2"})));
    ok(&again.post(&format!("/pki/ca/{}/activate", new["ski"].as_str().unwrap()), &json!({"now": true})));
    assert_eq!(key_uris(&again)[1], format!("gcpkms:{later}"));
    assert_eq!(again.issue("node", "n3").certificate.issuer_name(), "Catalyst Services CA v2");
    assert!(again.service.stop().unwrap().success(), "{}", again.service.log());

    // A setting that changes is one more warning, and another way to write the same version is none.
    let mut other = Pki::start(launch().env(TRANSPORT, &services)).ready();
    let wanted =
        format!("{TRANSPORT} names {services}, the transport CA's key is {}: the pin rules", uris[2]);
    let said = eventually("a warning", || Some(warnings(&other)).filter(|said| !said.is_empty()));
    assert!(said.iter().any(|one| one.contains(&wanted)), "{said:?}");
    assert!(other.service.stop().unwrap().success(), "{}", other.service.log());
    let last = Pki::start(launch().env(TRANSPORT, &transport)).ready();
    last.issue("envoy/app", "n4");
    eventually("no warning", || warnings(&last).is_empty().then_some(()));
    assert_eq!((count(&fake, Method::CreateCryptoKey), keys(&fake).len()), (0, 4));
}

#[test]
fn a_key_that_cannot_be_the_cas_is_refused_and_another_is_taken_once_it_is_there() {
    let fake = at_hand();
    let data_dir = TempDir::new().unwrap();
    let key = format!("{}/cryptoKeys/services", super::RING);
    let refused = |name: &str, parts: &[&str]| {
        let mut pki = Pki::start(launch_on(data_dir.path(), &fake).env(SERVICES, name));
        let (status, code, sentence) = refusal(&pki.post("/pki/initialize", &json!({})));
        assert_eq!((status, code.as_str()), (422, "invalid_request"), "{sentence}");
        for part in [&[name, SERVICES][..], parts].concat() {
            assert!(sentence.contains(part), "'{part}' is not in: {sentence}");
        }
        assert_eq!(ok(&pki.get("/pki/status"))["status"], "uninitialized");
        assert_eq!(ok(&pki.get("/pki/keys/unclaimed")), json!({"keys": [], "unread": []}));
        assert!(pki.service.stop().unwrap().success(), "{}", pki.service.log());
    };
    refused(&key, &["NOT_FOUND"]);
    let rsa = plant_of(&fake, "rsa", Algorithm::RsaSignPkcs13072Sha256, ProtectionLevel::Hsm);
    refused(&rsa, &["RSA_SIGN_PKCS1_3072_SHA256", "EC_SIGN_P384_SHA384 is wanted"]);
    let p256 = plant_of(&fake, "p256", Algorithm::EcSignP256Sha256, ProtectionLevel::Hsm);
    refused(key_of(&p256), &["EC_SIGN_P256_SHA256", "EC_SIGN_P384_SHA384 is wanted"]);
    let soft = plant_of(&fake, "soft", Algorithm::EcSignP384Sha384, ProtectionLevel::Software);
    refused(&soft, &["SOFTWARE", "CATALYST_PKI_GCP_PROTECTION"]);

    let taken = plant(&fake, "services");
    let pki = Pki::initialized(launch_on(data_dir.path(), &fake).env(SERVICES, &key));
    assert_eq!(key_uris(&pki)[1], format!("gcpkms:{taken}"));
    pki.issue("node", "n1");
}

#[test]
fn a_key_ring_that_is_not_there_is_named_with_its_cure() {
    let fake = at_hand();
    let data_dir = TempDir::new().unwrap();
    let ring = "projects/p/locations/europe-west3/keyRings/nowhere";
    let mut service = launch_on(data_dir.path(), &fake).env(ROOT, ring).start().unwrap();
    let said = service.wait_for("Token key not open — no token can be made").unwrap();
    for part in [ring, "gcloud kms keyrings create"] {
        assert!(said.raw.contains(part), "'{part}' is not in: {}", said.raw);
    }
    fake.ring(ring).unwrap();
    service.wait_for("System Admin Token").unwrap();
    let lines = done(&service, &["backend", "retry"]);
    assert!(lines.contains(&format!("gcpkms:{ring}/cryptoKeys/token-1-")), "{lines}");
}
