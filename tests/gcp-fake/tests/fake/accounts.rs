//! Tokens, and whose they are.

use crate::program::{sign, start, status, with_key};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use catalyst_rigs::{
    gcp::{Binding, FakeKms, Grant, MACHINE, api::Algorithm},
    http::Client,
};
use serde_json::json;

const METADATA: &str = "/computeMetadata/v1/instance/service-accounts/default";

/// A JWT that nobody verifies.
fn jwt(claims: &serde_json::Value) -> String {
    format!("e30.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(claims.to_string()))
}

fn allow(fake: &FakeKms, caller: &str, permission: &str, resource: &str) {
    let grant = Grant::Permissions(vec![permission.into()]);
    fake.bind(&Binding { caller: Some(caller.into()), grant, resource: resource.into() }).unwrap();
}

#[test]
fn the_metadata_server_wants_its_header() {
    let fake = start();
    let client = Client::new(fake.address());
    assert_eq!(client.get(&format!("{METADATA}/token")).unwrap().status, 403);
    let client = client.with_header("metadata-flavor", "Google");
    let token = client.get(&format!("{METADATA}/token")).unwrap();
    assert_eq!(token.header("metadata-flavor"), Some("Google"));
    assert_eq!(token.json().unwrap()["access_token"], MACHINE);
    assert_eq!(client.get(&format!("{METADATA}/email")).unwrap().text(), MACHINE);
    assert_eq!(client.get(&format!("{METADATA}/identity")).unwrap().status, 404);
}

#[test]
fn a_workload_becomes_the_subject_of_its_token() {
    let fake = start();
    let form = format!("grant_type=x&subject_token={}", jwt(&json!({"sub": "spiffe://td/ca", "iss": "k8s"})));
    let exchange =
        |form: &str| Client::new(fake.address()).request("POST", "/v1/token", &[], form.as_bytes()).unwrap();
    assert_eq!(exchange(&form).json().unwrap()["access_token"], "spiffe://td/ca");
    assert_eq!(status(&exchange("subject_token=none")), "INVALID_ARGUMENT");
}

#[test]
fn an_account_that_signs_its_token_calls_under_its_name() {
    let (fake, version) = with_key(Algorithm::EcSignP256Sha256);
    allow(&fake, "ca@p", "cloudkms.cryptoKeyVersions.get", "projects/p");
    let get =
        |token: &str| Client::new(fake.address()).with_token(token).get(&format!("/v1/{version}")).unwrap();
    assert_eq!(get(&jwt(&json!({"iss": "ca@p"}))).status, 200);
    assert_eq!(get(&jwt(&json!({"iss": "other@p"}))).status, 401);
    assert_eq!(status(&sign(&fake, &version).unwrap()), "UNAUTHENTICATED");
}

#[test]
fn impersonation_needs_its_permission() {
    let fake = start();
    let account = "projects/-/serviceAccounts/root@p";
    allow(&fake, MACHINE, "iam.serviceAccounts.getAccessToken", account);
    let impersonate = |account: &str| {
        let client = Client::new(fake.address()).with_token(MACHINE);
        client.post(&format!("/v1/{account}:generateAccessToken"), &json!({"scope": []})).unwrap()
    };
    let token = impersonate(account).json().unwrap();
    assert_eq!(token["accessToken"], "root@p");
    assert!(token["expireTime"].as_str().unwrap().ends_with('Z'));
    assert_eq!(status(&impersonate("projects/-/serviceAccounts/admin@p")), "PERMISSION_DENIED");
}
