//! What KMS is asked to sign, and which answers are taken.

use super::*;
use aws_lc_rs::{
    digest::{SHA256, SHA384, digest},
    encoding::AsDer,
    signature::{KeyPair, ML_DSA_65_SIGNING, PqdsaKeyPair},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use catalyst_signing::{Refusal, SignError};
use tokio::task::JoinSet;

/// MessageType, SigningAlgorithm and the octets of Message.
async fn asked(pin: &KeyPin, message: &[u8]) -> (String, String, Vec<u8>) {
    let fake = Fake::start(well).await;
    let key = backend(config(&fake)).open(pin).await.unwrap();
    assert_eq!(key.sign(message).await.unwrap(), b"signature");
    let calls = fake.take();
    assert_eq!(calls.len(), 1, "a signature is one call");
    let text = |name: &str| calls[0].body[name].as_str().unwrap().to_owned();
    assert_eq!(text("KeyId"), arn(HOME));
    (text("MessageType"), text("SigningAlgorithm"), BASE64_STANDARD.decode(text("Message")).unwrap())
}

#[tokio::test]
async fn ecdsa_and_rsa_are_asked_for_by_digest() {
    use SignatureAlgorithm as A;
    let long = vec![7; 5000];
    for (algorithm, name, hash) in [
        (A::EcP384, "ECDSA_SHA_384", &SHA384),
        (A::EcP256, "ECDSA_SHA_256", &SHA256),
        (A::Rsa3072, "RSASSA_PKCS1_V1_5_SHA_256", &SHA256),
        (A::Rsa4096, "RSASSA_PKCS1_V1_5_SHA_256", &SHA256),
        (A::Rsa3072Pss, "RSASSA_PSS_SHA_256", &SHA256),
        (A::Rsa4096Pss, "RSASSA_PSS_SHA_256", &SHA256),
    ] {
        for message in [&b"short"[..], &long] {
            let expected = digest(hash, message).as_ref().to_vec();
            assert_eq!(asked(&pin(algorithm), message).await, ("DIGEST".into(), name.into(), expected));
        }
    }
}

#[tokio::test]
async fn ed25519_goes_as_it_is_and_no_further_than_4096_octets() {
    let longest = vec![7; 4096];
    let raw = ("RAW".into(), "ED25519_SHA_512".into(), longest.clone());
    assert_eq!(asked(&pin(SignatureAlgorithm::Ed25519), &longest).await, raw);

    let fake = Fake::start(well).await;
    let key = backend(config(&fake)).open(&pin(SignatureAlgorithm::Ed25519)).await.unwrap();
    let refused = key.sign(&vec![7; 4097]).await.unwrap_err();
    assert!(matches!(&refused, SignError::Refused { kind: Refusal::Unsupported, .. }), "{refused}");
    assert!(fake.take().is_empty());
}

#[tokio::test]
async fn ml_dsa_goes_as_it_is_and_as_mu_beyond_4096_octets() {
    let key = PqdsaKeyPair::generate(&ML_DSA_65_SIGNING).unwrap();
    let spki = key.public_key().as_der().unwrap().as_ref().to_vec();
    let pin = KeyPin { spki, ..pin(SignatureAlgorithm::MlDsa65) };
    let (kind, algorithm, octets) = asked(&pin, &[7; 4096]).await;
    assert_eq!((kind.as_str(), algorithm.as_str()), ("RAW", "ML_DSA_SHAKE_256"));
    assert_eq!(octets, [7; 4096]);
    let (kind, algorithm, octets) = asked(&pin, &[7; 4097]).await;
    assert_eq!((kind.as_str(), algorithm.as_str()), ("EXTERNAL_MU", "ML_DSA_SHAKE_256"));
    assert_eq!(octets.len(), 64);
}

async fn answered(answer: serde_json::Value) -> SignError {
    let fake = Fake::start(move |_| Reply::json(200, &answer)).await;
    open(config(&fake)).await.sign(b"message").await.unwrap_err()
}

#[tokio::test]
async fn an_answer_for_another_key_or_algorithm_is_false() {
    let other = arn(HOME).replace("1234abcd", "9999abcd");
    let error =
        answered(json!({ "KeyId": other, "SigningAlgorithm": "ECDSA_SHA_384", "Signature": "c2lnbmF0dXJl" }))
            .await;
    let text = error.to_string();
    assert!(matches!(error, SignError::Integrity { .. }), "{text}");
    assert!(text.contains(&arn(HOME)) && text.contains(&other) && !text.contains("c2ln"), "{text}");

    let error = answered(
        json!({ "KeyId": arn(HOME), "SigningAlgorithm": "ECDSA_SHA_256", "Signature": "c2lnbmF0dXJl" }),
    )
    .await;
    let text = error.to_string();
    assert!(matches!(error, SignError::Integrity { .. }), "{text}");
    assert!(text.contains("ECDSA_SHA_384") && text.contains("ECDSA_SHA_256"), "{text}");
}

#[tokio::test]
async fn an_answer_without_a_signature_or_with_an_endless_one_is_false() {
    let good = json!({ "KeyId": arn(HOME), "SigningAlgorithm": "ECDSA_SHA_384" });
    for signature in [None, Some(String::new()), Some(BASE64_STANDARD.encode(vec![0; 4628]))] {
        let mut answer = good.clone();
        if let Some(signature) = &signature {
            answer["Signature"] = signature.as_str().into();
        }
        let error = answered(answer).await;
        assert!(matches!(error, SignError::Integrity { .. }), "{error}");
    }
    assert!(matches!(answered(json!({})).await, SignError::Integrity { .. }));
}

#[tokio::test]
async fn many_at_once_are_one_call_each() {
    let fake = Fake::start(well).await;
    let key = open(config(&fake)).await;
    let mut signing = JoinSet::new();
    for _ in 0..128 {
        let key = key.clone();
        signing.spawn(async move { key.sign(b"message").await });
    }
    while let Some(signed) = signing.join_next().await {
        signed.unwrap().unwrap();
    }
    assert_eq!(fake.take().len(), 128);
}

#[tokio::test]
async fn a_call_that_is_given_up_leaves_the_key_usable() {
    let fake = Fake::start(|_| Reply::Hang).await;
    let key = open(config(&fake)).await;
    let hanging = tokio::spawn({
        let key = key.clone();
        async move { key.sign(b"message").await }
    });
    while fake.take().is_empty() {
        tokio::task::yield_now().await;
    }
    hanging.abort();
    assert!(hanging.await.unwrap_err().is_cancelled());
    fake.now(well);
    key.sign(b"message").await.unwrap();
}

#[tokio::test]
async fn a_public_key_that_may_not_be_read_is_none() {
    let fake = Fake::start(|request| denied(&request.operation)).await;
    let key = open(config(&fake)).await;
    assert_eq!(key.public_key().await.unwrap(), None);
    fake.now(well);
    assert_eq!(key.public_key().await.unwrap().unwrap(), b"the pinned key");
}

#[tokio::test]
async fn imported_material_is_a_caution() {
    let imported = json!({ "KeyMetadata": { "KeyId": ID, "KeyState": "Enabled", "Origin": "EXTERNAL" } });
    let fake = Fake::start(move |request| match request.operation.as_str() {
        "DescribeKey" => Reply::json(200, &imported),
        _ => well(request),
    })
    .await;
    let key = open(config(&fake)).await;
    assert_eq!(key.caution(), None);
    key.public_key().await.unwrap();
    assert!(key.caution().unwrap().contains("imported"));
}
