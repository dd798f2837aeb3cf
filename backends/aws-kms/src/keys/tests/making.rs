//! What is asked of KMS for a new key, and what its refusals come to.

use super::{OTHER_REGION, REGION, backend, config, intent, over, plant, proxy, refusal, replicating};
use crate::AwsKmsConfig;
use catalyst_rigs::aws::{Fault, FaultProxy, When};
use catalyst_signing::{KeyIntent, KeyLifecycle as _, Nonce, Refusal, SignatureAlgorithm as Algorithm};
use serde_json::json;
use std::{fs, path::Path, sync::Arc};
use tokio::task::JoinSet;

fn operations(proxy: &FaultProxy) -> Vec<String> {
    proxy.calls().into_iter().map(|call| call.operation).collect()
}

#[tokio::test]
async fn a_key_is_made_with_its_intent_and_nobody_elses_keys_are_read() {
    let proxy = proxy();
    let backend = backend(&proxy);
    // Committed after the account was taken: nobody can have acted on it.
    let intent = intent(Algorithm::EcP384);
    let pin = backend.create(&intent).await.unwrap();
    let asked = operations(&proxy);
    assert_eq!(asked.first().map(String::as_str), Some("CreateKey"));
    assert_eq!(asked.last().map(String::as_str), Some("CreateAlias"));
    assert_eq!((proxy.count("CreateKey"), proxy.count("ListKeys")), (1, 0), "{asked:?}");

    let arn = pin.uri.rest();
    let made = plant::metadata(&proxy, REGION, arn);
    assert_eq!(made["KeySpec"], "ECC_NIST_P384");
    assert_eq!(made["KeyUsage"], "SIGN_VERIFY");
    assert_eq!(made["MultiRegion"], false);
    assert_eq!(made["Description"], "Catalyst PKI services 1 of deployment 0123456789abcdef");
    assert_eq!(plant::carrying(&proxy, &intent.nonce), [made["KeyId"].as_str().unwrap()]);
    assert_eq!(plant::aliases(&proxy, arn), ["alias/catalyst-pki/0123456789abcdef/services-1"]);
    assert!(Algorithm::EcP384.verifier(&pin.spki).is_some());
}

#[tokio::test]
async fn with_failover_regions_a_key_is_there_too() {
    let proxy = proxy();
    let intent = intent(Algorithm::EcP384);
    let backend = replicating(&proxy);
    let pin = backend.create(&intent).await.unwrap();
    let id = pin.uri.rest().rsplit('/').next().unwrap();
    assert!(id.starts_with("mrk-"));
    assert_eq!(plant::keys(&proxy, OTHER_REGION), [id]);
    assert_eq!(
        plant::metadata(&proxy, OTHER_REGION, id)["MultiRegionConfiguration"]["MultiRegionKeyType"],
        "REPLICA"
    );
    // And a second call changes nothing.
    assert_eq!(backend.create(&intent).await, Ok(pin));
    assert_eq!(proxy.count("CreateKey"), 1);
}

#[tokio::test]
async fn without_alias_or_replica_a_key_is_still_one_and_gets_them_later() {
    let proxy = proxy();
    let intent = intent(Algorithm::EcP384);
    let backend = replicating(&proxy);
    proxy.script(When::calling("CreateAlias"), Fault::Denied);
    proxy.script(When::calling("ReplicateKey"), Fault::Denied);
    let pin = backend.create(&intent).await.unwrap();
    assert!(plant::aliases(&proxy, pin.uri.rest()).is_empty());
    proxy.heal();
    assert_eq!(backend.create(&intent).await.as_ref(), Ok(&pin));
    assert_eq!(plant::aliases(&proxy, pin.uri.rest()).len(), 1);
    assert_eq!(plant::keys(&proxy, OTHER_REGION).len(), 1);
    assert_eq!(proxy.count("CreateKey"), 1);
}

#[tokio::test]
async fn an_alias_is_never_taken_from_another_key() {
    let proxy = proxy();
    let backend = backend(&proxy);
    let first = intent(Algorithm::EcP384);
    let second = KeyIntent { nonce: Nonce::random().unwrap(), ..first.clone() };
    let theirs = backend.create(&first).await.unwrap();
    let ours = backend.create(&second).await.unwrap();
    assert_eq!(plant::aliases(&proxy, theirs.uri.rest()).len(), 1);
    assert!(plant::aliases(&proxy, ours.uri.rest()).is_empty());
    assert_eq!(proxy.count("CreateAlias"), 2);
}

#[tokio::test]
async fn what_kms_refuses_to_make_is_told_and_costs_no_wait() {
    let wrong_spec =
        "1 validation error detected: Value 'ML_DSA_65' at 'keySpec' failed to satisfy constraint";
    for (fault, kind, words) in [
        (Fault::Denied, Refusal::Denied, "kms:CreateKey and kms:TagResource"),
        (Fault::Refused("UnsupportedOperationException", "x"), Refusal::Unsupported, "makes no EC-P384 keys"),
        (
            Fault::Refused("ValidationException", wrong_spec),
            Refusal::Unsupported,
            "choose another algorithm or Region",
        ),
        (Fault::Refused("LimitExceededException", "x"), Refusal::Configuration, "Service Quotas"),
        (
            Fault::Refused("MalformedPolicyDocumentException", "x"),
            Refusal::Configuration,
            "CATALYST_PKI_AWS_KEY_POLICY",
        ),
    ] {
        let proxy = proxy();
        let (backend, intent) = (backend(&proxy), intent(Algorithm::EcP384));
        proxy.script(When::calling("CreateKey").first(1), fault);
        let told = refusal(backend.create(&intent).await, kind);
        assert!(told.contains(words), "{told}");
        backend.create(&intent).await.unwrap();
        assert_eq!(proxy.count("ListKeys"), 0);
        assert_eq!(plant::carrying(&proxy, &intent.nonce).len(), 1);
    }
}

#[tokio::test]
async fn a_key_policy_is_read_before_anything_is_made() {
    let proxy = proxy();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("policy.json");
    let with = |file: &Path| over(AwsKmsConfig { key_policy: Some(file.to_owned()), ..config(&proxy) });
    let backend = with(&file);
    let intent = intent(Algorithm::EcP384);
    let long = format!("{{{}}}", " ".repeat(32 * 1024));
    for content in [None, Some("Version: 2012-10-17"), Some("[]"), Some(&long)] {
        if let Some(content) = content {
            fs::write(&file, content).unwrap();
        }
        let told = refusal(backend.create(&intent).await, Refusal::Configuration);
        assert!(told.contains("CATALYST_PKI_AWS_KEY_POLICY") && told.contains("policy.json"), "{told}");
    }
    assert_eq!(proxy.calls(), []);
    let policy = json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Sid": "ours",
            "Effect": "Allow",
            "Principal": {"AWS": "arn:aws:iam::000000000000:root"},
            "Action": "kms:*",
            "Resource": "*",
        }],
    });
    fs::write(&file, policy.to_string()).unwrap();
    let pin = backend.create(&intent).await.unwrap();
    let body = json!({"KeyId": pin.uri.rest(), "PolicyName": "default"});
    let given = proxy.caller(REGION).ask("GetKeyPolicy", &body).unwrap();
    assert!(given["Policy"].as_str().unwrap().contains("ours"), "{given}");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_for_one_intent_make_one_key() {
    let proxy = proxy();
    let backend = Arc::new(backend(&proxy));
    let intent = intent(Algorithm::EcP384);
    let mut calls = JoinSet::new();
    for _ in 0..8 {
        let (backend, intent) = (backend.clone(), intent.clone());
        calls.spawn(async move { backend.create(&intent).await.unwrap() });
    }
    let made = calls.join_all().await;
    assert!(made.iter().all(|pin| *pin == made[0]));
    assert_eq!(proxy.count("CreateKey"), 1);
}
