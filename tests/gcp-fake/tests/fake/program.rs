//! The program, and a caller without a client library.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use catalyst_rigs::{
    gcp::{
        Effect, FakeKms, On, Plant, When,
        api::{Algorithm, Method, ProtectionLevel},
    },
    http::{Client, Response},
};
use serde_json::{Value, json};
use std::path::Path;

/// A key ring.
pub(crate) const RING: &str = "projects/p/locations/global/keyRings/r";

/// A new fake.
pub(crate) fn start() -> FakeKms {
    FakeKms::of(Path::new(env!("CARGO_BIN_EXE_gcp-fake"))).unwrap()
}

/// A fake with one version, whose name it gives.
pub(crate) fn with_key(algorithm: Algorithm) -> (FakeKms, String) {
    let fake = start();
    let version = plant(&fake, "k", algorithm).unwrap();
    (fake, version)
}

/// Plants a key in software.
pub(crate) fn plant(
    fake: &FakeKms,
    id: &str,
    algorithm: Algorithm,
) -> Result<String, catalyst_rigs::RigError> {
    let key = format!("{RING}/cryptoKeys/{id}");
    fake.plant(&Plant { key, algorithm, protection_level: ProtectionLevel::Software, labels: [].into() })
}

/// Everything that signs goes wrong like this.
pub(crate) fn when_signing(fake: &FakeKms, when: When, effect: Effect) {
    fake.add(On { method: Some(Method::AsymmetricSign), ..On::default() }, when, effect).unwrap();
}

/// POST to a method of the version.
pub(crate) fn post(fake: &FakeKms, path: &str, body: &Value) -> Result<Response, catalyst_rigs::RigError> {
    Client::new(fake.address()).post(&format!("/v1/{path}"), body)
}

/// GET.
pub(crate) fn get(fake: &FakeKms, path: &str) -> Response {
    Client::new(fake.address()).get(&format!("/v1/{path}")).unwrap()
}

/// Signs data without a checksum.
pub(crate) fn sign(fake: &FakeKms, version: &str) -> Result<Response, catalyst_rigs::RigError> {
    let data = BASE64_STANDARD.encode("data");
    post(fake, &format!("{version}:asymmetricSign"), &json!({ "data": data }))
}

/// The status in the body of an answer.
pub(crate) fn status(answer: &Response) -> String {
    answer.json().unwrap()["error"]["status"].as_str().unwrap_or("OK").to_owned()
}
