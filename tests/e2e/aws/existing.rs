//! Keys that were in the account before the service was (`CATALYST_PKI_KMS_KEY_ARN` and its companions).

use super::{REGION, beside, id, key_uris, keys, launch_on, refusal, warnings};
use crate::{
    auth_cli::done,
    pki::{Pki, eventually, ok},
};
use catalyst_rigs::aws::{Caller, FaultProxy};
use serde_json::json;
use tempfile::TempDir;

const ROOT: &str = "CATALYST_PKI_KMS_KEY_ARN";
const SERVICES: &str = "CATALYST_PKI_KMS_KEY_ARN_SERVICES";
const TRANSPORT: &str = "CATALYST_PKI_KMS_KEY_ARN_TRANSPORT";
const TOKENS: &str = "CATALYST_PKI_KMS_KEY_ARN_TOKENS";

/// The ARN of a new key.
fn make(caller: &Caller, key_spec: &str, usage: &str) -> String {
    let made = caller.ask("CreateKey", &json!({"KeySpec": key_spec, "KeyUsage": usage})).unwrap();
    made["KeyMetadata"]["Arn"].as_str().unwrap().to_owned()
}

fn p384(caller: &Caller) -> String {
    make(caller, "ECC_NIST_P384", "SIGN_VERIFY")
}

fn name(caller: &Caller, alias: &str, key: &str) {
    caller.ask("CreateAlias", &json!({"AliasName": alias, "TargetKeyId": id(key)})).unwrap();
}

fn point(caller: &Caller, alias: &str, key: &str) {
    caller.ask("UpdateAlias", &json!({"AliasName": alias, "TargetKeyId": id(key)})).unwrap();
}

#[test]
fn existing_keys_are_named_by_arn_id_and_alias_and_none_is_made() {
    let proxy = FaultProxy::at_hand().unwrap();
    let caller = beside(&proxy);
    let [root, services, transport, tokens] = [(); 4].map(|()| p384(&caller));
    name(&caller, "alias/Our/Transport-CA", &transport);
    name(&caller, "alias/our-tokens", &tokens);
    let alias = tokens.replace(&format!("key/{}", id(&tokens)), "alias/our-tokens");
    let data_dir = TempDir::new().unwrap();
    let launch = || {
        launch_on(data_dir.path(), &proxy)
            .env(ROOT, &root)
            .env(SERVICES, &id(&services))
            .env(TRANSPORT, "alias/Our/Transport-CA")
            .env(TOKENS, &alias)
    };
    let mut pki = Pki::initialized(launch());
    let uris = [&root, &services, &transport].map(|arn| format!("awskms:{arn}"));
    assert_eq!(key_uris(&pki), uris);
    pki.issue("node", "n1");
    pki.issue("envoy/app", "n1");
    assert_eq!((proxy.count("CreateKey"), keys(&proxy).len()), (0, 4));
    let signs =
        |key: &str| proxy.calls().iter().any(|call| call.operation == "Sign" && call.key == Some(id(key)));
    assert!(signs(&tokens), "the token key is the one that was named");
    assert_eq!(warnings(&pki), [""; 0]);
    assert!(pki.service.stop().unwrap().success(), "{}", pki.service.log());

    // The alias is moved: the pin rules, and status names both keys.
    let other = p384(&caller);
    point(&caller, "alias/Our/Transport-CA", &other);
    let mut moved = Pki::start(launch()).ready();
    assert_eq!(key_uris(&moved), uris);
    moved.issue("envoy/app", "n2");
    let note = eventually("a note", || warnings(&moved).pop());
    let wanted = format!(
        "alias/Our/Transport-CA names awskms:{other} now, the key of Catalyst Transport CA is {}: the pin rules",
        uris[2]
    );
    assert!(note.contains(&wanted), "{note}");
    assert!(!signs(&other));
    assert!(moved.service.stop().unwrap().success(), "{}", moved.service.log());

    // It is moved back, and a setting changes.
    point(&caller, "alias/Our/Transport-CA", &transport);
    let mut later = Pki::start(launch().env(SERVICES, &other)).ready();
    assert_eq!(key_uris(&later), uris);
    later.issue("node", "n3");
    let wanted = format!("{SERVICES} names {other}, the services CA's key is {}: the pin rules", uris[1]);
    let said = warnings(&later);
    assert!(matches!(&said[..], [one] if one.contains(&wanted)), "{said:?}");
    assert!(later.service.stop().unwrap().success(), "{}", later.service.log());
    // Another name of the same key changes nothing.
    name(&caller, "alias/our-services", &services);
    let last = Pki::start(launch().env(SERVICES, "alias/our-services")).ready();
    eventually("no warning", || warnings(&last).is_empty().then_some(()));
    assert_eq!((proxy.count("CreateKey"), keys(&proxy).len()), (0, 5));
}

#[test]
fn a_key_that_cannot_be_the_cas_is_refused_and_another_is_taken_once_it_is_there() {
    let proxy = FaultProxy::at_hand().unwrap();
    let caller = beside(&proxy);
    let data_dir = TempDir::new().unwrap();
    let alias = "alias/services";
    let mut pki = Pki::start(launch_on(data_dir.path(), &proxy).env(SERVICES, alias));
    let before = keys(&proxy).len();
    let refused = |pki: &Pki, parts: &[&str]| {
        let (status, code, sentence) = refusal(&pki.post("/pki/initialize", &json!({})));
        assert_eq!((status, code.as_str()), (422, "invalid_request"), "{sentence}");
        for part in parts {
            assert!(sentence.contains(part), "'{part}' is not in: {sentence}");
        }
        assert_eq!(ok(&pki.get("/pki/status"))["status"], "uninitialized");
        assert_eq!(ok(&pki.get("/pki/ca")), json!([]));
        assert_eq!(ok(&pki.get("/pki/keys/unclaimed")), json!({"keys": [], "unread": []}));
    };
    refused(&pki, &[alias, SERVICES, "NotFoundException"]);

    let key = p384(&caller);
    name(&caller, alias, &make(&caller, "RSA_4096", "ENCRYPT_DECRYPT"));
    refused(&pki, &[alias, SERVICES, "ENCRYPT_DECRYPT", "must be for SIGN_VERIFY"]);
    point(&caller, alias, &make(&caller, "RSA_3072", "SIGN_VERIFY"));
    refused(&pki, &[alias, SERVICES, "RSA_3072", "ECC_NIST_P384 is wanted"]);
    point(&caller, alias, &make(&caller, "ECC_NIST_P256", "SIGN_VERIFY"));
    refused(&pki, &[alias, "ECC_NIST_P256", "ECC_NIST_P384 is wanted"]);
    point(&caller, alias, &key);
    caller.ask("DisableKey", &json!({"KeyId": key})).unwrap();
    refused(&pki, &[alias, SERVICES, "is disabled", "aws kms enable-key"]);
    caller.ask("ScheduleKeyDeletion", &json!({"KeyId": key, "PendingWindowInDays": 7})).unwrap();
    refused(&pki, &[alias, SERVICES, "will be destroyed", "aws kms cancel-key-deletion"]);
    assert_eq!(keys(&proxy).len(), before + 4, "no key was made");
    assert!(pki.service.stop().unwrap().success(), "{}", pki.service.log());

    // An id without its Region, where it is another one's.
    let elsewhere = p384(&proxy.localstack().caller("eu-west-1"));
    let mut pki = Pki::start(launch_on(data_dir.path(), &proxy).env(SERVICES, &id(&elsewhere)));
    refused(&pki, &[&id(&elsewhere), SERVICES, REGION]);
    assert!(pki.service.stop().unwrap().success(), "{}", pki.service.log());
    let mut pki = Pki::start(launch_on(data_dir.path(), &proxy).env(SERVICES, alias));
    refused(&pki, &[alias, "will be destroyed"]);

    // The key is brought back, as the sentence says, and the same service goes on.
    caller.ask("CancelKeyDeletion", &json!({"KeyId": key})).unwrap();
    refused(&pki, &[alias, "is disabled"]);
    caller.ask("EnableKey", &json!({"KeyId": key})).unwrap();
    ok(&pki.post("/pki/initialize", &json!({})));
    pki = pki.ready();
    assert_eq!(key_uris(&pki)[1], format!("awskms:{key}"));
    pki.issue("node", "n1");
    pki.issue("envoy/app", "n1");
}

#[test]
fn a_key_in_another_region_is_taken_by_its_arn_and_one_key_serves_no_two_cas() {
    let proxy = FaultProxy::at_hand().unwrap();
    let data_dir = TempDir::new().unwrap();
    let elsewhere = p384(&proxy.localstack().caller("eu-west-1"));
    let launch = |transport: &str| {
        launch_on(data_dir.path(), &proxy).env(SERVICES, &elsewhere).env(TRANSPORT, transport)
    };
    let mut pki = Pki::start(launch(&elsewhere));
    let (status, code, sentence) = refusal(&pki.post("/pki/initialize", &json!({})));
    assert_eq!((status, code.as_str()), (409, "conflict"), "{sentence}");
    assert!(sentence.contains(SERVICES) && sentence.contains(TRANSPORT), "{sentence}");
    assert!(pki.service.stop().unwrap().success(), "{}", pki.service.log());

    let pki = Pki::initialized(launch(&p384(&beside(&proxy))));
    assert_eq!(key_uris(&pki)[1], format!("awskms:{elsewhere}"));
    proxy.forget_calls();
    pki.issue("node", "n1");
    let signed = proxy.calls().into_iter().find(|call| call.operation == "Sign").unwrap();
    assert_eq!((signed.region.as_str(), signed.key), ("eu-west-1", Some(id(&elsewhere))));
}

#[test]
fn an_alias_that_was_moved_leads_the_next_generation_to_the_next_key() {
    let proxy = FaultProxy::at_hand().unwrap();
    let caller = beside(&proxy);
    let (first, second) = (p384(&caller), p384(&caller));
    name(&caller, "alias/services", &first);
    let data_dir = TempDir::new().unwrap();
    let launch = || launch_on(data_dir.path(), &proxy).env(SERVICES, "alias/services");
    let mut pki = Pki::initialized(launch());
    let make = |pki: &Pki| pki.post("/pki/intermediary", &json!({"commonName": "Catalyst Services CA v2"}));
    let (status, code, sentence) = refusal(&make(&pki));
    assert_eq!((status, code.as_str()), (409, "conflict"), "{sentence}");
    assert!(sentence.contains(SERVICES) && sentence.contains("two CAs never share a key"), "{sentence}");

    point(&caller, "alias/services", &second);
    let new = ok(&make(&pki));
    ok(&pki.post(&format!("/pki/ca/{}/activate", new["ski"].as_str().unwrap()), &json!({"now": true})));
    assert_eq!(key_uris(&pki)[1], format!("awskms:{second}"));
    assert_eq!(pki.issue("node", "n1").certificate.issuer_name(), "Catalyst Services CA v2");
    assert!(pki.service.stop().unwrap().success(), "{}", pki.service.log());
    let again = Pki::start(launch()).ready();
    again.issue("node", "n2");
    assert_eq!(warnings(&again), [""; 0], "the alias leads where the newest generation is");
}

#[test]
fn a_token_key_of_another_kind_is_named_and_another_is_taken_once_it_is_there() {
    let proxy = FaultProxy::at_hand().unwrap();
    let caller = beside(&proxy);
    name(&caller, "alias/tokens", &make(&caller, "RSA_3072", "SIGN_VERIFY"));
    let data_dir = TempDir::new().unwrap();
    let mut service = launch_on(data_dir.path(), &proxy).env(TOKENS, "alias/tokens").start().unwrap();
    let said = service.wait_for("Token key not open — no token can be made").unwrap();
    for part in ["alias/tokens", TOKENS, "RSA_3072, and ECC_NIST_P384 is wanted"] {
        assert!(said.raw.contains(part), "'{part}' is not in: {}", said.raw);
    }
    assert_eq!(service.http().get("/health").unwrap().status, 200);
    assert_eq!(keys(&proxy).len(), 1, "no key was made");

    let key = p384(&caller);
    point(&caller, "alias/tokens", &key);
    service.wait_for("System Admin Token").unwrap();
    let status = done(&service, &["backend", "retry"]);
    assert!(status.contains(&format!("awskms:{key}\tready")), "{status}");
    let token = std::fs::read_to_string(data_dir.path().join("system-token")).unwrap();
    let status = service.http().with_token(token.trim()).get("/pki/status").unwrap();
    assert_eq!(ok(&status)["warnings"], json!([]));
}
