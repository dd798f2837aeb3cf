//! What an operator wrote, and the pin that comes of it.

use super::*;
use aws_lc_rs::{
    encoding::AsDer,
    signature::{ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use catalyst_signing::{Refusal, SignError};
use serde_json::Value;

fn spki() -> Vec<u8> {
    let key = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).unwrap();
    key.public_key().as_der().unwrap().as_ref().to_vec()
}

/// A key of KMS as DescribeKey shows it, with changes.
fn described(changes: &Value) -> Value {
    let mut key = json!({
        "KeyId": ID, "Arn": arn(HOME), "KeyState": "Enabled", "KeyUsage": "SIGN_VERIFY",
        "KeySpec": "ECC_NIST_P384", "Origin": "AWS_KMS",
    });
    for (name, value) in changes.as_object().unwrap() {
        key[name] = value.clone();
    }
    json!({ "KeyMetadata": key })
}

fn answers(spki: &[u8], described: Option<Value>) -> impl Fn(&Request) -> Reply + Send + Sync + 'static {
    let public = json!({ "KeyId": arn(HOME), "PublicKey": BASE64_STANDARD.encode(spki) });
    move |request| match (request.operation.as_str(), &described) {
        ("GetPublicKey", _) => Reply::json(200, &public),
        ("DescribeKey", Some(described)) => Reply::json(200, described),
        (operation, _) => denied(operation),
    }
}

#[tokio::test]
async fn all_four_spellings_give_the_full_arn_and_go_as_they_were_typed() {
    let spki = spki();
    let public = BASE64_STANDARD.encode(&spki);
    let fake = Fake::start(move |request| match request.operation.as_str() {
        "GetPublicKey" => Reply::json(200, &json!({ "KeyId": arn(&request.region), "PublicKey": public })),
        operation => denied(operation),
    })
    .await;
    let alias = format!("arn:aws:kms:{WEST}:999900001111:alias/Catalyst/CA");
    for (typed, region) in [
        (arn(WEST).as_str(), WEST),
        (ID, HOME),
        ("alias/Catalyst-CA_1", HOME),
        (alias.as_str(), WEST),
        (&format!("awskms:{}", arn(HOME)), HOME),
    ] {
        let pin = backend(config(&fake)).resolve(typed, SignatureAlgorithm::EcP384).await.unwrap();
        assert_eq!(pin.uri.as_str(), format!("awskms:{}", arn(region)));
        assert_eq!(pin.spki, spki);
        for request in fake.take() {
            assert_eq!(request.body["KeyId"], typed.trim_start_matches("awskms:"));
            assert_eq!(request.region, region);
        }
    }
}

#[tokio::test]
async fn what_was_described_is_what_is_pinned() {
    let spki = spki();
    for changes in [json!({}), json!({ "Origin": "EXTERNAL" })] {
        let fake = Fake::start(answers(&spki, Some(described(&changes)))).await;
        backend(config(&fake)).resolve("alias/ca", SignatureAlgorithm::EcP384).await.unwrap();
        let asked = fake.take();
        assert_eq!(asked[0].body["KeyId"], "alias/ca");
        assert_eq!(asked[1].body["KeyId"], arn(HOME).as_str());
    }
}

#[tokio::test]
async fn a_key_that_does_not_fit_is_refused_with_its_reason() {
    let spki = spki();
    for (changes, kind, word) in [
        (json!({ "KeyUsage": "ENCRYPT_DECRYPT" }), Refusal::WrongType, "ENCRYPT_DECRYPT"),
        (json!({ "KeySpec": "ECC_NIST_P256" }), Refusal::WrongType, "ECC_NIST_P256"),
        (json!({ "KeyState": "Disabled" }), Refusal::Disabled, "enable-key"),
        (json!({ "KeyState": "PendingDeletion" }), Refusal::Disabled, "cancel-key-deletion"),
        (json!({ "KeyState": "PendingImport" }), Refusal::Disabled, "import"),
    ] {
        let fake = Fake::start(answers(&spki, Some(described(&changes)))).await;
        let error = backend(config(&fake)).resolve("alias/ca", SignatureAlgorithm::EcP384).await.unwrap_err();
        assert!(matches!(&error, SignError::Refused { kind: is, .. } if *is == kind), "{error}");
        assert!(error.to_string().contains(word), "{error}");
    }
    let fake = Fake::start(answers(&spki, Some(described(&json!({ "KeyState": "Creating" }))))).await;
    let error = backend(config(&fake)).resolve("alias/ca", SignatureAlgorithm::EcP384).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
}

#[tokio::test]
async fn a_public_key_of_another_algorithm_is_refused() {
    let fake = Fake::start(answers(&spki(), None)).await;
    let error = backend(config(&fake)).resolve("alias/ca", SignatureAlgorithm::EcP256).await.unwrap_err();
    assert!(matches!(&error, SignError::Refused { kind: Refusal::WrongType, .. }), "{error}");
}

#[tokio::test]
async fn what_names_no_key_is_refused_before_anything_is_asked() {
    let fake = Fake::start(well).await;
    for typed in ["", "alias/", "alias/a b", "arn:aws:s3:::bucket", "key 1", "pkcs11:serial=1;id=%01"] {
        let error = backend(config(&fake)).resolve(typed, SignatureAlgorithm::EcP384).await.unwrap_err();
        assert!(
            matches!(&error, SignError::Refused { kind: Refusal::Configuration, .. }),
            "{typed}: {error}"
        );
    }
    assert!(fake.take().is_empty());
}

#[tokio::test]
async fn what_is_named_in_full_is_that_key_or_none() {
    let spki = spki();
    let (other, id) = (arn(WEST), "1234abcd-12ab-34cd-56ef-1234567890ab");
    for described in [None, Some(described(&json!({})))] {
        for asked in [other.as_str(), id] {
            let fake = Fake::start(answers(&spki, described.clone())).await;
            let error = backend(config(&fake)).resolve(asked, SignatureAlgorithm::EcP384).await.unwrap_err();
            assert!(matches!(error, SignError::Integrity { .. }), "{error}");
        }
    }
    let changed = described(&json!({ "Arn": arn(HOME).replace("1234", "9999") }));
    let fake = Fake::start(answers(&spki, Some(changed))).await;
    let error = backend(config(&fake)).resolve("alias/ca", SignatureAlgorithm::EcP384).await.unwrap_err();
    assert!(matches!(error, SignError::Integrity { .. }), "{error}");
}
