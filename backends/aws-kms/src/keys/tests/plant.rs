//! Keys as others would put them into an account, and what is there.

use super::REGION;
use catalyst_rigs::aws::FaultProxy;
use catalyst_signing::{KeyIntent, Nonce};
use serde_json::{Value, json};

/// The tags of an intent's key.
pub(super) fn tags(intent: &KeyIntent) -> Value {
    json!([
        {"TagKey": "catalyst-pki:deployment", "TagValue": intent.deployment},
        {"TagKey": "catalyst-pki:role", "TagValue": intent.role.to_string()},
        {"TagKey": "catalyst-pki:generation", "TagValue": intent.generation.to_string()},
        {"TagKey": "catalyst-pki:nonce", "TagValue": intent.nonce.to_string()},
    ])
}

/// Makes a key and gives its ARN.
pub(super) fn key(proxy: &FaultProxy, more: &[(&str, Value)]) -> String {
    let mut body = json!({"KeySpec": "ECC_NIST_P384", "KeyUsage": "SIGN_VERIFY"});
    for (name, value) in more {
        body[*name] = value.clone();
    }
    let made = proxy.caller(REGION).ask("CreateKey", &body).unwrap();
    made["KeyMetadata"]["Arn"].as_str().unwrap().to_owned()
}

pub(super) fn metadata(proxy: &FaultProxy, region: &str, key: &str) -> Value {
    proxy.caller(region).ask("DescribeKey", &json!({"KeyId": key})).unwrap()["KeyMetadata"].clone()
}

/// The names of a key's aliases.
pub(super) fn aliases(proxy: &FaultProxy, key: &str) -> Vec<String> {
    let answer = proxy.caller(REGION).ask("ListAliases", &json!({"KeyId": key})).unwrap();
    let names = answer["Aliases"].as_array().unwrap().iter();
    names.map(|alias| alias["AliasName"].as_str().unwrap().to_owned()).collect()
}

/// The ids of all keys in a Region.
pub(super) fn keys(proxy: &FaultProxy, region: &str) -> Vec<String> {
    let listed = proxy.caller(region).ask("ListKeys", &json!({"Limit": 1000})).unwrap();
    let ids = listed["Keys"].as_array().unwrap().iter();
    ids.map(|key| key["KeyId"].as_str().unwrap().to_owned()).collect()
}

/// The ids of the keys whose tags carry the nonce, whatever has become of them.
pub(super) fn carrying(proxy: &FaultProxy, nonce: &Nonce) -> Vec<String> {
    let caller = proxy.caller(REGION);
    let carries = |id: &String| {
        let tags = caller.ask("ListResourceTags", &json!({"KeyId": id})).unwrap();
        tags["Tags"].as_array().unwrap().iter().any(|tag| tag["TagValue"] == nonce.to_string())
    };
    keys(proxy, REGION).into_iter().filter(carries).collect()
}
