//! The proxy before a real LocalStack.

use super::{Fault, FaultProxy, Foreign, Says, When};
use crate::{aws::Caller, http::Client};
use aws_lc_rs::{
    digest::{SHA384, digest},
    signature::{ECDSA_P384_SHA384_ASN1, ED25519, ParsedPublicKey},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use std::time::Duration;

const HOME: &str = "eu-central-1";

fn proxy() -> (FaultProxy, Caller) {
    let proxy = FaultProxy::at_hand().unwrap();
    let caller = proxy.caller(HOME);
    (proxy, caller)
}

fn make(caller: &Caller, key_spec: &str) -> String {
    let body = json!({"KeySpec": key_spec, "KeyUsage": "SIGN_VERIFY"});
    let made = caller.ask("CreateKey", &body).unwrap();
    assert_eq!(made["KeyMetadata"]["KeySpec"], key_spec);
    made["KeyMetadata"]["Arn"].as_str().unwrap().to_owned()
}

fn signing(key: &str) -> Value {
    let message = STANDARD.encode(digest(&SHA384, b"message"));
    json!({"KeyId": key, "Message": message, "MessageType": "DIGEST", "SigningAlgorithm": "ECDSA_SHA_384"})
}

fn octets(answer: &Value, field: &str) -> Vec<u8> {
    STANDARD.decode(answer[field].as_str().unwrap()).unwrap()
}

fn verifies(caller: &Caller, key: &str) -> bool {
    let spki = octets(&caller.ask("GetPublicKey", &json!({"KeyId": key})).unwrap(), "PublicKey");
    let signature = octets(&caller.ask("Sign", &signing(key)).unwrap(), "Signature");
    let spki = ParsedPublicKey::new(&ECDSA_P384_SHA384_ASN1, spki).unwrap();
    spki.verify_sig(b"message", &signature).is_ok()
}

#[test]
fn calls_pass_and_are_counted() {
    let (proxy, caller) = proxy();
    let key = make(&caller, "ECC_NIST_P384");
    assert!(verifies(&caller, &key));
    let calls = proxy.calls();
    let operations: Vec<&str> = calls.iter().map(|call| call.operation.as_str()).collect();
    assert_eq!(operations, ["CreateKey", "GetPublicKey", "Sign"]);
    assert_eq!(calls[2].region, HOME);
    assert!(key.ends_with(calls[2].key.as_deref().unwrap()));
    proxy.forget_calls();
    assert_eq!(proxy.count("Sign"), 0);
}

#[test]
fn faults_come_as_they_are_scripted() {
    let (proxy, caller) = proxy();
    let key = make(&caller, "ECC_NIST_P384");
    let sign = signing(&key);
    for (fault, status, code) in [
        (Fault::Throttled(Some(2)), 400, "ThrottlingException"),
        (Fault::Internal, 500, "KMSInternalException"),
        (Fault::ExpiredCredentials, 400, "ExpiredTokenException"),
        (Fault::ClockSkew(Duration::from_secs(900)), 400, "InvalidSignatureException"),
        (Fault::Denied, 400, "AccessDeniedException"),
        (Fault::DeniedByKeyPolicy, 400, "AccessDeniedException"),
        (Fault::Says(Says::Disabled), 400, "DisabledException"),
        (Fault::Says(Says::Creating), 400, "KMSInvalidStateException"),
    ] {
        proxy.script(When::calling("Sign").of_key(&key).first(1), fault.clone());
        let answer = caller.answer("Sign", &sign).unwrap();
        assert_eq!((answer.status, answer.json().unwrap()["__type"].as_str()), (status, Some(code)));
        match fault {
            Fault::Throttled(_) => assert_eq!(answer.header("retry-after"), Some("2")),
            Fault::ClockSkew(_) => assert!(answer.header("date").unwrap().ends_with("GMT")),
            _ => {}
        }
        assert!(verifies(&caller, &key), "{fault:?}");
    }
    for (fault, status) in [(Fault::Unavailable, Some(503)), (Fault::Page, Some(200)), (Fault::Reset, None)] {
        proxy.script(When::calling("Sign").first(1), fault);
        assert_eq!(caller.answer("Sign", &sign).ok().map(|answer| answer.status), status);
    }
}

#[test]
fn a_lost_answer_leaves_the_key_behind() {
    let (proxy, caller) = proxy();
    for (fault, made) in [(Fault::Reset, 0), (Fault::AnswerLost, 1), (Fault::Truncated, 2)] {
        proxy.script(When::calling("CreateKey").first(1), fault);
        let body = json!({"KeySpec": "ECC_NIST_P384", "KeyUsage": "SIGN_VERIFY"});
        assert!(caller.ask("CreateKey", &body).is_err());
        assert_eq!(caller.ask("ListKeys", &json!({})).unwrap()["Keys"].as_array().unwrap().len(), made);
    }
}

#[test]
fn a_false_signature_does_not_verify() {
    let (proxy, caller) = proxy();
    let key = make(&caller, "ECC_NIST_P384");
    for fault in [Fault::FlippedBit, Fault::OfAnotherKey(Foreign::Concealed)] {
        proxy.script(When::calling("Sign").first(1), fault.clone());
        assert!(!verifies(&caller, &key), "{fault:?}");
        assert!(verifies(&caller, &key));
    }
    proxy.script(When::calling("Sign").first(1), Fault::OfAnotherKey(Foreign::Admitted));
    let answer = caller.ask("Sign", &signing(&key)).unwrap();
    assert!(answer["KeyId"].as_str().unwrap().starts_with("arn:aws:kms:eu-central-1:"), "{answer}");
    assert_ne!(answer["KeyId"], key);
    proxy.script(When::calling("Sign").first(1), Fault::AnotherAlgorithm("ECDSA_SHA_256"));
    assert_eq!(caller.ask("Sign", &signing(&key)).unwrap()["SigningAlgorithm"], "ECDSA_SHA_256");
    assert_eq!(caller.ask("ListKeys", &json!({})).unwrap()["Keys"].as_array().unwrap().len(), 1);
}

#[test]
fn a_hidden_key_is_nowhere() {
    let (proxy, caller) = proxy();
    proxy.hide_new_keys(None);
    let key = make(&caller, "ECC_NIST_P384");
    assert_eq!(caller.refusal("Sign", &signing(&key)).unwrap(), "NotFoundException");
    assert_eq!(caller.ask("ListKeys", &json!({})).unwrap()["Keys"], json!([]));
    let alias = json!({"AliasName": "alias/a", "TargetKeyId": key});
    assert_eq!(caller.refusal("CreateAlias", &alias).unwrap(), "");
    assert_eq!(caller.refusal("DescribeKey", &json!({"KeyId": "alias/a"})).unwrap(), "NotFoundException");
    proxy.release();
    assert!(verifies(&caller, &key));
}

#[test]
fn what_is_said_of_a_key_is_said_consistently() {
    let (proxy, caller) = proxy();
    let key = make(&caller, "ECC_NIST_P384");
    let describe = || caller.ask("DescribeKey", &json!({"KeyId": key})).unwrap()["KeyMetadata"].clone();
    let made = describe()["CreationDate"].as_f64().unwrap();
    proxy.script(When::any().of_key(&key), Fault::Says(Says::MadeEarlier(Duration::from_secs(600))));
    proxy.script(When::any().of_key(&key), Fault::Says(Says::Imported));
    proxy.script(When::any().of_key(&key), Fault::Says(Says::PendingDeletion));
    let said = describe();
    assert!((made - said["CreationDate"].as_f64().unwrap() - 600.0).abs() < 1.0);
    assert_eq!((&said["Origin"], &said["KeyState"]), (&json!("EXTERNAL"), &json!("PendingDeletion")));
    assert_eq!(caller.refusal("Sign", &signing(&key)).unwrap(), "KMSInvalidStateException");
    proxy.heal();
    assert_eq!(describe()["KeyState"], "Enabled");
}

#[test]
fn keys_that_localstack_has_not_sign_and_obey_their_state() {
    let (_proxy, caller) = proxy();
    let key = make(&caller, "ECC_NIST_EDWARDS25519");
    let message = json!({
        "KeyId": key, "Message": STANDARD.encode("message"), "MessageType": "RAW",
        "SigningAlgorithm": "ED25519_SHA_512",
    });
    let answer = caller.ask("Sign", &message).unwrap();
    assert_eq!((&answer["KeyId"], &answer["SigningAlgorithm"]), (&json!(key), &json!("ED25519_SHA_512")));
    let public = caller.ask("GetPublicKey", &json!({"KeyId": key})).unwrap();
    assert_eq!(public["KeySpec"], "ECC_NIST_EDWARDS25519");
    let spki = ParsedPublicKey::new(&ED25519, octets(&public, "PublicKey")).unwrap();
    spki.verify_sig(b"message", &octets(&answer, "Signature")).unwrap();
    caller.ask("DisableKey", &json!({"KeyId": key})).unwrap();
    assert_eq!(caller.refusal("Sign", &message).unwrap(), "DisabledException");
}

#[test]
fn ml_dsa_signs_a_message_and_its_mu_alike() {
    let (_proxy, caller) = proxy();
    for key_spec in ["ML_DSA_65", "ML_DSA_87"] {
        let key = make(&caller, key_spec);
        let ask = |message_type: &str, message: &[u8]| {
            let body = json!({
                "KeyId": key, "Message": STANDARD.encode(message), "MessageType": message_type,
                "SigningAlgorithm": "ML_DSA_SHAKE_256",
            });
            caller.refusal("Sign", &body).unwrap()
        };
        assert_eq!(ask("RAW", &[7; 4096]), "");
        assert_eq!(ask("RAW", &[7; 4097]), "ValidationException");
        assert_eq!(ask("EXTERNAL_MU", &[7; 64]), "");
        assert_eq!(ask("DIGEST", &[7; 64]), "ValidationException");
    }
}

#[test]
fn a_replica_signs_in_its_own_region_with_the_same_key() {
    let (proxy, caller) = proxy();
    for key_spec in ["ECC_NIST_P384", "ECC_NIST_EDWARDS25519"] {
        let body = json!({"KeySpec": key_spec, "KeyUsage": "SIGN_VERIFY", "MultiRegion": true});
        let made = caller.ask("CreateKey", &body).unwrap()["KeyMetadata"].clone();
        let id = made["KeyId"].as_str().unwrap();
        let replicate = json!({"KeyId": id, "ReplicaRegion": "eu-west-1"});
        let replica = caller.ask("ReplicateKey", &replicate).unwrap()["ReplicaKeyMetadata"].clone();
        assert_eq!((&replica["KeySpec"], &replica["KeyId"]), (&json!(key_spec), &json!(id)));
        let public = |region: &str| {
            proxy.caller(region).ask("GetPublicKey", &json!({"KeyId": id})).unwrap()["PublicKey"].clone()
        };
        assert_eq!(public(HOME), public("eu-west-1"));
        let primary = json!({"KeyId": made["Arn"]});
        assert_eq!(proxy.caller("eu-west-1").refusal("GetPublicKey", &primary).unwrap(), "NotFoundException");
    }
}

#[test]
fn a_key_with_replicas_waits_for_their_end() {
    let (proxy, caller) = proxy();
    let body = json!({"KeySpec": "ECC_NIST_P384", "KeyUsage": "SIGN_VERIFY", "MultiRegion": true});
    let key = json!({"KeyId": caller.ask("CreateKey", &body).unwrap()["KeyMetadata"]["KeyId"]});
    for region in ["eu-west-1", "eu-west-3"] {
        let tags = json!([{"TagKey": "role", "TagValue": region}]);
        let replicate = json!({"KeyId": key["KeyId"], "ReplicaRegion": region, "Tags": tags});
        caller.ask("ReplicateKey", &replicate).unwrap();
        assert_eq!(proxy.caller(region).ask("ListResourceTags", &key).unwrap()["Tags"], tags);
    }
    let describe = |caller: &Caller| caller.ask("DescribeKey", &key).unwrap()["KeyMetadata"].clone();
    let replicas = |of: &Value| of["MultiRegionConfiguration"]["ReplicaKeys"].as_array().unwrap().len();
    assert_eq!(replicas(&describe(&proxy.caller("eu-west-1"))), 2);
    assert_eq!(caller.ask("ScheduleKeyDeletion", &key).unwrap()["KeyState"], "PendingReplicaDeletion");
    assert_eq!(describe(&caller)["KeyState"], "PendingReplicaDeletion");
    assert_eq!(describe(&proxy.caller("eu-west-3"))["KeyState"], "Enabled");
}

#[test]
fn what_is_not_signed_for_kms_is_refused() {
    let (proxy, _) = proxy();
    let address = proxy.address;
    let ask = |authorization: Option<&str>, target: &str| {
        let mut client = Client::new(address).with_header("x-amz-target", target);
        if let Some(authorization) = authorization {
            client = client.with_header("authorization", authorization);
        }
        let answer = client.post("/", &json!({})).unwrap();
        (answer.status, answer.json().unwrap()["__type"].as_str().unwrap().to_owned())
    };
    let signed = |service: &str| {
        format!(
            "AWS4-HMAC-SHA256 Credential=a/20260101/eu-west-1/{service}/aws4_request, SignedHeaders=x-amz-target, \
             Signature={}",
            "0".repeat(64)
        )
    };
    let refused = |code: &str| (400, code.to_owned());
    assert_eq!(ask(None, "TrentService.ListKeys"), refused("MissingAuthenticationTokenException"));
    assert_eq!(ask(Some(&signed("sts")), "TrentService.ListKeys"), refused("InvalidSignatureException"));
    assert_eq!(ask(Some(&signed("kms")), "ListKeys"), refused("UnknownOperationException"));
}

#[test]
fn a_policy_holds_for_its_caller() {
    let (proxy, caller) = proxy();
    let policy = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "kms:CreateKey", "Resource": "*",
         "Condition": {"StringEquals": {"aws:RequestTag/role": "services"}}},
        {"Effect": "Allow", "Action": "kms:TagResource", "Resource": "arn:aws:kms:*:*:key/*"},
        {"Effect": "Allow", "Action": "kms:Sign", "Resource": "*",
         "Condition": {"StringEquals": {"aws:ResourceTag/role": "services", "kms:SigningAlgorithm": "ECDSA_SHA_384"}}},
    ]});
    proxy.enforce("signer", &policy.to_string()).unwrap();
    let signer = caller.clone().with_access_key_id("signer");
    let create = |role: &str| {
        json!({"KeySpec": "ECC_NIST_P384", "KeyUsage": "SIGN_VERIFY",
               "Tags": [{"TagKey": "role", "TagValue": role}]})
    };
    assert_eq!(signer.refusal("CreateKey", &create("root")).unwrap(), "AccessDeniedException");
    let own = signer.ask("CreateKey", &create("services")).unwrap()["KeyMetadata"]["Arn"].clone();
    let other = caller.ask("CreateKey", &create("root")).unwrap()["KeyMetadata"]["Arn"].clone();
    assert_eq!(signer.refusal("Sign", &signing(own.as_str().unwrap())).unwrap(), "");
    let denied = signer.answer("Sign", &signing(other.as_str().unwrap())).unwrap();
    assert!(denied.text().contains("because no identity-based policy allows the kms:Sign action"));
    assert_eq!(signer.refusal("GetPublicKey", &json!({"KeyId": own})).unwrap(), "AccessDeniedException");
}

#[test]
fn alone_it_signs_without_localstack() {
    let (proxy, caller) = proxy();
    proxy.sign_alone();
    let key = make(&caller, "ECC_NIST_P384");
    assert!(verifies(&caller, &key));
}
