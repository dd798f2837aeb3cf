//! Keys in Google Cloud KMS, and the whole service: on the fake of `tests/gcp-fake`, which is its machine's metadata server
//! too.

mod algorithms;
mod apart;
mod existing;
mod hierarchy;
mod moving;
mod relay;
mod several;

use crate::pki::{Pki, ok};
use catalyst_rigs::{
    Launch, catalyst,
    gcp::{
        Call, FakeKms, Plant,
        api::{Algorithm, Method, ProtectionLevel},
    },
    http::{Client, Response},
};
use serde_json::Value;
use std::{collections::BTreeMap, path::Path};

/// The key ring that operators of these tests have made.
const RING: &str = "projects/p/locations/europe-west3/keyRings/pki";

/// A fake with that key ring.
fn at_hand() -> FakeKms {
    let fake = FakeKms::start().unwrap();
    fake.ring(RING).unwrap();
    fake
}

/// What tells a program of this KMS, and nothing of the machine's own.
fn variables(fake: &FakeKms) -> [(&'static str, String); 3] {
    [
        ("CATALYST_PKI_GCP_ENDPOINT", fake.endpoint()),
        ("CATALYST_PKI_KMS_KEY_NAME", RING.to_owned()),
        ("GCE_METADATA_HOST", fake.address().to_string()),
    ]
}

fn in_project(launch: Launch, fake: &FakeKms) -> Launch {
    // gcloud's file would be found there.
    let home = launch.data_dir().to_str().unwrap().to_owned();
    let launch = launch.env("HOME", &home);
    variables(fake).iter().fold(launch, |launch, (name, value)| launch.env(name, value))
}

/// `catalyst serve` in this directory with every key in KMS.
fn launch_on(data_dir: &Path, fake: &FakeKms) -> Launch {
    in_project(Launch::new(&catalyst().unwrap(), data_dir), fake).env("CATALYST_PKI_KEY_BACKEND", "gcp-kms")
}

/// Somebody in the project who comes without a token.
fn beside(fake: &FakeKms, path: &str) -> Value {
    let answer = Client::new(fake.address()).get(&format!("/v1/{path}")).unwrap();
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json().unwrap()
}

/// All CryptoKeys of the key ring, as KMS describes them.
fn keys(fake: &FakeKms) -> Vec<Value> {
    let listed = beside(fake, &format!("{RING}/cryptoKeys?pageSize=1000"));
    listed["cryptoKeys"].as_array().cloned().unwrap_or_default()
}

/// Puts an EC-P384 key of an HSM into the key ring; gives the name of its version.
fn plant(fake: &FakeKms, id: &str) -> String {
    plant_of(fake, id, Algorithm::EcSignP384Sha384, ProtectionLevel::Hsm)
}

fn plant_of(fake: &FakeKms, id: &str, algorithm: Algorithm, protection_level: ProtectionLevel) -> String {
    let (key, labels) = (format!("{RING}/cryptoKeys/{id}"), BTreeMap::new());
    fake.plant(&Plant { key, algorithm, protection_level, labels }).unwrap()
}

/// The calls of the service, from the `first`th call that the fake got.
fn calls_from(fake: &FakeKms, first: usize) -> Vec<Call> {
    fake.calls().unwrap().into_iter().skip(first).filter(|call| call.caller.is_some()).collect()
}

/// How many calls there were so far.
fn so_far(fake: &FakeKms) -> usize {
    fake.calls().unwrap().len()
}

/// How often the service asked for this.
fn count(fake: &FakeKms, method: Method) -> usize {
    calls_from(fake, 0).iter().filter(|call| call.method == method).count()
}

/// Where the keys of root, services and transport are.
fn key_uris(pki: &Pki) -> [String; 3] {
    let status = ok(&pki.get("/pki/status"));
    ["rootCa", "servicesCa", "transportCa"].map(|ca| status[ca]["keyUri"].as_str().unwrap().to_owned())
}

/// What stands after `gcpkms:` in a key's URI: what a [`Call`] names.
fn version(uri: &str) -> String {
    uri.strip_prefix("gcpkms:").unwrap().to_owned()
}

/// What an operator is told in the status.
fn warnings(pki: &Pki) -> Vec<String> {
    let status = ok(&pki.get("/pki/status"));
    let warnings = status["warnings"].as_array().unwrap().iter();
    warnings.map(|warning| warning.as_str().unwrap().to_owned()).collect()
}

/// An answer that refuses: its status, its code and its sentence.
#[track_caller]
fn refusal(answer: &Response) -> (u16, String, String) {
    let body: Value = answer.json().unwrap();
    let text = |name: &str| body[name].as_str().unwrap().to_owned();
    assert_ne!(answer.status, 200, "{body}");
    (answer.status, text("code"), text("error"))
}
