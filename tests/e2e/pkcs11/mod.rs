//! Keys behind PKCS#11, and the whole service: on SoftHSM, on Kryoptic, and on modules that fail as devices do.

mod apart;
mod check;
mod creation;
mod existing;
mod faults;
mod hanging;
mod hierarchy;
mod mishaps;
mod moving;
mod pin;
mod readme;

use crate::pki::{Pki, eventually, launch_in, ok};
use catalyst_rigs::{Launch, catalyst, http::Response, pkcs11::TestToken};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The same with these variables.
pub(crate) fn with(launch: Launch, variables: &[(String, String)]) -> Launch {
    variables.iter().fold(launch, |launch, (name, value)| launch.env(name, value))
}

/// `catalyst serve` in this directory with every key on this token.
fn launch_on(data_dir: &Path, token: &TestToken) -> Launch {
    with(Launch::new(&catalyst().unwrap(), data_dir), &token.variables())
}

/// `catalyst serve` in this directory with the keys of the services CA on this token, and all others in files.
fn launch_services_on(data_dir: &Path, token: &TestToken) -> Launch {
    with(launch_in(data_dir), &token.variables())
        .env("CATALYST_PKI_KEY_BACKEND", "local")
        .env("CATALYST_PKI_KEY_BACKEND_SERVICES", "pkcs11")
}

/// The directory of this token among SoftHSM's.
fn directory_of(token: &TestToken) -> PathBuf {
    let (_, configuration) = token.environment.iter().find(|(name, _)| name == "SOFTHSM2_CONF").unwrap();
    let tokens = Path::new(configuration).with_file_name("tokens");
    let label = token.label.as_bytes();
    // SoftHSM writes the file anew where it stands: for a moment it is empty.
    eventually("the token's file", || {
        fs::read_dir(&tokens).unwrap().map(|entry| entry.unwrap().path()).find(|path| {
            let own = fs::read(path.join("token.object")).unwrap_or_default();
            own.windows(label.len()).any(|window| window == label)
        })
    })
}

/// The objects on a token of SoftHSM, as they lie in its directory.
fn objects(token: &TestToken) -> Vec<Vec<u8>> {
    let files = fs::read_dir(directory_of(token)).unwrap().map(|entry| entry.unwrap().path());
    let objects = files.filter(|path| {
        path.extension().is_some_and(|extension| extension == "object") && !path.ends_with("token.object")
    });
    objects.map(|path| fs::read(path).unwrap()).collect()
}

/// How many private keys are on a token of SoftHSM: CKA_CLASS (0) of kind 2, a number, which is CKO_PRIVATE_KEY (3).
fn private_keys(token: &TestToken) -> usize {
    let class: Vec<u8> = [0, 2, 3].into_iter().flat_map(u64::to_be_bytes).collect();
    let is_private = |object: &Vec<u8>| object.windows(class.len()).any(|window| window == class);
    objects(token).iter().filter(|object| is_private(object)).count()
}

/// Where the keys of root, services and transport are.
pub(crate) fn key_uris(pki: &Pki) -> [String; 3] {
    let status = ok(&pki.get("/pki/status"));
    ["rootCa", "servicesCa", "transportCa"].map(|ca| status[ca]["keyUri"].as_str().unwrap().to_owned())
}

/// What an operator is told in the status.
pub(crate) fn warnings(pki: &Pki) -> Vec<String> {
    let status = ok(&pki.get("/pki/status"));
    let warnings = status["warnings"].as_array().unwrap().iter();
    warnings.map(|warning| warning.as_str().unwrap().to_owned()).collect()
}

pub(crate) fn warned(pki: &Pki, part: &str) -> bool {
    warnings(pki).iter().any(|warning| warning.contains(part))
}

/// A request for a certificate with a key of its own.
pub(crate) fn ask(pki: &Pki, service_type: &str, instance: &str) -> Response {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let csr = crate::csr::of(&key, &[&crate::pki::spiffe_id(service_type, instance)], &[]);
    pki.sign(service_type, instance, &csr)
}

/// An answer that refuses: its code and its sentence.
#[track_caller]
pub(crate) fn refusal(answer: &Response) -> (u16, String, String) {
    let body: Value = answer.json().unwrap();
    let text = |name: &str| body[name].as_str().unwrap().to_owned();
    assert_ne!(answer.status, 200, "{body}");
    (answer.status, text("code"), text("error"))
}
