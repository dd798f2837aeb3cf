//! Keys in AWS KMS, and the whole service: on LocalStack, behind a proxy that counts the calls, and refuses what AWS
//! refuses.

mod algorithms;
mod apart;
mod existing;
mod hierarchy;
mod killed;
mod moving;
mod readme;

use crate::pki::{Pki, ok};
use catalyst_rigs::{
    Launch,
    aws::{Call, Caller, FaultProxy},
    catalyst,
    http::Response,
};
use serde_json::{Value, json};
use std::path::Path;

const REGION: &str = "eu-central-1";

/// What tells the service of this KMS, and nothing of the machine's own.
fn in_account(launch: Launch, proxy: &FaultProxy) -> Launch {
    let launch = launch
        .env("CATALYST_PKI_AWS_ENDPOINT", &proxy.endpoint())
        .env("CATALYST_PKI_AWS_REGION", REGION)
        .env("CATALYST_PKI_AWS_SETTLE", "2")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    let credentials = proxy.localstack().credentials();
    credentials.iter().fold(launch, |launch, (name, value)| launch.env(name, value))
}

/// `catalyst serve` in this directory with every key in KMS.
fn launch_on(data_dir: &Path, proxy: &FaultProxy) -> Launch {
    in_account(Launch::new(&catalyst().unwrap(), data_dir), proxy).env("CATALYST_PKI_KEY_BACKEND", "aws-kms")
}

/// Somebody in the account who asks LocalStack itself: the proxy's count is the service's alone.
fn beside(proxy: &FaultProxy) -> Caller {
    proxy.localstack().caller(REGION)
}

/// The ARNs of all keys of the account.
fn keys(proxy: &FaultProxy) -> Vec<String> {
    let listed = beside(proxy).ask("ListKeys", &json!({"Limit": 1000})).unwrap();
    let keys = listed["Keys"].as_array().unwrap().iter();
    keys.map(|key| key["KeyArn"].as_str().unwrap().to_owned()).collect()
}

/// The operations of these calls, in their order.
fn operations(calls: &[Call]) -> Vec<&str> {
    calls.iter().map(|call| call.operation.as_str()).collect()
}

/// What stands after `key/` in the URI or ARN of a key: what a [`Call`] names.
fn id(key: &str) -> String {
    key.rsplit_once(":key/").unwrap().1.to_owned()
}

/// Where the keys of root, services and transport are.
fn key_uris(pki: &Pki) -> [String; 3] {
    let status = ok(&pki.get("/pki/status"));
    ["rootCa", "servicesCa", "transportCa"].map(|ca| status[ca]["keyUri"].as_str().unwrap().to_owned())
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
