//! Keys as others would put them there, and what is there.

use super::{RING, SECRET};
use crate::keys::labels;
use catalyst_rigs::{
    gcp::{
        FakeKms, Plant,
        api::{Algorithm, ProtectionLevel},
    },
    http::Client,
};
use catalyst_signing::{KeyIntent, KeyTags};
use serde_json::{Value, json};

/// The name of an intent's key.
pub(super) fn name(intent: &KeyIntent) -> String {
    format!("{RING}/cryptoKeys/{}", labels::id(intent))
}

/// What the key of an intent would be, for EC-P384 in an HSM.
pub(super) fn of(intent: &KeyIntent) -> Plant {
    Plant {
        key: name(intent),
        algorithm: Algorithm::EcSignP384Sha384,
        protection_level: ProtectionLevel::Hsm,
        labels: labels::write(&KeyTags::of(intent)).into_iter().collect(),
    }
}

/// A key of that id in the ring, which nobody labelled.
pub(super) fn plain(id: &str, algorithm: Algorithm) -> Plant {
    let protection_level = ProtectionLevel::Hsm;
    Plant { key: format!("{RING}/cryptoKeys/{id}"), algorithm, protection_level, labels: [].into() }
}

/// Makes the key of an intent without a version.
pub(super) fn bare(fake: &FakeKms, intent: &KeyIntent) {
    let Plant { key, labels, .. } = of(intent);
    let (_, id) = key.split_once("/cryptoKeys/").unwrap();
    let path = format!("{RING}/cryptoKeys?cryptoKeyId={id}&skipInitialVersionCreation=true");
    let template = json!({"algorithm": "EC_SIGN_P384_SHA384", "protectionLevel": "HSM"});
    let body = json!({"purpose": "ASYMMETRIC_SIGN", "labels": labels, "versionTemplate": template});
    ask(fake, "POST", &path, &body);
}

/// Makes another version of a key, and gives its name.
pub(super) fn another_version(fake: &FakeKms, key: &str) -> String {
    let made = ask(fake, "POST", &format!("{key}/cryptoKeyVersions"), &json!({}));
    made["name"].as_str().unwrap().to_owned()
}

/// What the fake says of a key or version.
pub(super) fn described(fake: &FakeKms, name: &str) -> Value {
    ask(fake, "GET", name, &Value::Null)
}

/// The ids of all keys in the ring.
pub(super) fn keys(fake: &FakeKms) -> Vec<String> {
    listed(fake, &format!("{RING}/cryptoKeys?pageSize=1000"), "cryptoKeys")
}

/// The numbers of the versions of a key, whatever has become of them.
pub(super) fn versions(fake: &FakeKms, key: &str) -> Vec<String> {
    listed(fake, &format!("{key}/cryptoKeyVersions"), "cryptoKeyVersions")
}

/// How many versions of a key sign, or will.
pub(super) fn live(fake: &FakeKms, key: &str) -> usize {
    let numbers = versions(fake, key);
    let state = |number| described(fake, &format!("{key}/cryptoKeyVersions/{number}"))["state"].take();
    numbers.iter().map(state).filter(|state| state == "ENABLED" || state == "PENDING_GENERATION").count()
}

fn listed(fake: &FakeKms, path: &str, field: &str) -> Vec<String> {
    let page = ask(fake, "GET", path, &Value::Null);
    let names = page[field].as_array().into_iter().flatten().map(|one| one["name"].as_str().unwrap());
    names.map(|name| name.rsplit('/').next().unwrap().to_owned()).collect()
}

fn ask(fake: &FakeKms, verb: &str, path: &str, body: &Value) -> Value {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let bearer = format!("Bearer {SECRET}");
    let headers = [("authorization", bearer.as_str())];
    let answer = Client::new(fake.address()).request(verb, &format!("/v1/{path}"), &headers, &body).unwrap();
    assert_eq!(answer.status, 200, "{verb} {path}: {}", answer.text());
    answer.json().unwrap()
}
