//! What KMS gives in pages is read to its end, and what it is told of a key is whole.

use super::*;
use aws_lc_rs::{
    encoding::AsDer,
    signature::{ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use catalyst_signing::{KeyIntent, KeyLifecycle};
use serde_json::Value;
use std::time::SystemTime;

fn tags(intent: &KeyIntent) -> Value {
    json!([
        { "TagKey": "catalyst-pki:deployment", "TagValue": intent.deployment },
        { "TagKey": "catalyst-pki:role", "TagValue": "services" },
        { "TagKey": "catalyst-pki:generation", "TagValue": "1" },
        { "TagKey": "catalyst-pki:nonce", "TagValue": intent.nonce.to_string() },
    ])
}

/// KMS with 20 pages of keys, the intent's on the last, and with two pages of its tags.
fn pages(intent: &KeyIntent) -> impl Fn(&Request) -> Reply + Send + Sync + 'static {
    let key = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).unwrap();
    let spki = BASE64_STANDARD.encode(key.public_key().as_der().unwrap().as_ref());
    let tags = tags(intent);
    let made = intent.created_at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    move |request| {
        let ours = request.body["KeyId"] == arn(HOME);
        let page: usize = request.body["Marker"].as_str().map_or(0, |marker| marker.parse().unwrap());
        let answer = match request.operation.as_str() {
            "ListKeys" if page == 19 => {
                json!({ "Keys": [{ "KeyId": ID, "KeyArn": arn(HOME) }], "Truncated": false })
            }
            "ListKeys" => {
                let other = format!("arn:aws:kms:{HOME}:111122223333:key/{page}");
                json!({ "Keys": [{ "KeyArn": other }], "Truncated": true, "NextMarker": (page + 1).to_string() })
            }
            "ListResourceTags" if !ours => json!({ "Tags": [], "Truncated": false }),
            "ListResourceTags" if page == 0 => {
                json!({ "Tags": tags.as_array().unwrap()[..2], "Truncated": true, "NextMarker": "1" })
            }
            "ListResourceTags" => json!({ "Tags": tags.as_array().unwrap()[2..], "Truncated": false }),
            "CreateKey" | "DescribeKey" => json!({ "KeyMetadata": {
                "KeyId": ID, "Arn": arn(HOME), "KeyState": "Enabled", "KeyUsage": "SIGN_VERIFY", "KeyManager": "CUSTOMER",
                "KeySpec": "ECC_NIST_P384", "Origin": "AWS_KMS", "CreationDate": made, "MultiRegion": true,
            } }),
            "GetPublicKey" => json!({ "KeyId": arn(HOME), "PublicKey": spki }),
            _ => json!({}),
        };
        Reply::json(200, &answer)
    }
}

#[tokio::test]
async fn a_key_is_found_on_the_last_page() {
    let intent = intent(Duration::from_secs(3600));
    let fake = Fake::start(pages(&intent)).await;
    let found = backend(config(&fake)).find(&intent).await.unwrap().unwrap();
    assert_eq!(found.uri.rest(), arn(HOME));
    let listed: Vec<_> = fake.take().into_iter().filter(|request| request.operation == "ListKeys").collect();
    assert!(listed.len() == 20 && listed.iter().all(|request| request.body["Limit"] == 1000));
}

#[tokio::test]
async fn key_and_replica_are_told_what_they_are_for() {
    let intent = intent(Duration::ZERO);
    let fake = Fake::start(pages(&intent)).await;
    let backend = backend(AwsKmsConfig { failover_regions: vec![WEST.into(), HOME.into()], ..config(&fake) });
    let intent = KeyIntent { created_at: SystemTime::now(), ..intent };
    backend.create(&intent).await.unwrap();
    let asked = fake.take();
    let told = |operation: &str| {
        let mut bodies =
            asked.iter().filter(|request| request.operation == operation).map(|r| r.body.clone());
        let body = bodies.next().unwrap();
        assert_eq!(bodies.next(), None, "{operation}");
        body
    };
    let description = "Catalyst PKI services 1 of deployment 0123456789abcdef";
    assert_eq!(
        told("CreateKey"),
        json!({
            "KeySpec": "ECC_NIST_P384", "KeyUsage": "SIGN_VERIFY", "Origin": "AWS_KMS", "MultiRegion": true,
            "Description": description, "Tags": tags(&intent),
        })
    );
    assert_eq!(
        told("ReplicateKey"),
        json!({ "KeyId": arn(HOME), "ReplicaRegion": WEST, "Description": description, "Tags": tags(&intent) })
    );
}

#[tokio::test]
async fn a_key_is_not_lost_to_an_alias_that_hangs() {
    let intent = intent(Duration::ZERO);
    let answers = pages(&intent);
    let fake = Fake::start(move |request| match request.operation.as_str() {
        "CreateAlias" => Reply::Hang,
        _ => answers(request),
    })
    .await;
    let backend = backend(AwsKmsConfig { call_timeout: Duration::from_secs(3600), ..config(&fake) });
    let intent = KeyIntent { created_at: SystemTime::now(), ..intent };
    let creating = tokio::spawn(async move { backend.create(&intent).await });
    while !fake.take().iter().any(|request| request.operation == "CreateAlias") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    pass(Duration::from_secs(60)).await;
    assert_eq!(creating.await.unwrap().unwrap().uri.rest(), arn(HOME));
}
