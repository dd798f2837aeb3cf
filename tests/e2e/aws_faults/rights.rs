//! AccessDenied, operation by operation; signing itself is in `latching`.

use super::*;
use catalyst_rigs::aws::Foreign;

/// The service with every key in KMS, and one operation denied before the hierarchy is made.
fn without(operation: &str) -> (Pki, FaultProxy, TempDir) {
    let (proxy, data_dir) = (FaultProxy::at_hand().unwrap(), TempDir::new().unwrap());
    // Tokens are made without KMS, so that the service can be asked.
    let pki = Pki::start(launch(data_dir.path(), &proxy).env("CATALYST_PKI_KEY_BACKEND_TOKENS", "local"));
    proxy.script(When::calling(operation), Fault::Denied);
    (pki, proxy, data_dir)
}

#[test]
fn without_what_only_tells_of_keys_everything_works() {
    for operation in ["GetPublicKey", "DescribeKey"] {
        let cloud = Cloud::new();
        cloud.proxy.script(When::calling(operation), Fault::Denied);
        cloud.proxy.forget_calls();
        let mut cloud = cloud.restarted(|launch| launch);
        cloud.pki = cloud.pki.ready();
        for number in 0..2 {
            cloud.issues("node", &format!("n{number}"));
            cloud.issues("envoy/app", &format!("n{number}"));
        }
        assert!(cloud.proxy.count(operation) > 0);
        assert_eq!(cloud.warnings(), [""; 0], "{operation}");
        // Where the public key cannot be compared, a signature proves it.
        let proofs = if operation == "GetPublicKey" { 1 } else { 0 };
        assert_eq!(cloud.signs(), 2 + proofs, "{operation}");
    }
}

#[test]
fn a_key_that_another_took_the_place_of_is_found_out_without_reading_it() {
    let cloud = Cloud::new();
    cloud.proxy.script(When::calling("GetPublicKey"), Fault::Denied);
    cloud.signing(Fault::OfAnotherKey(Foreign::Concealed));
    let cloud = cloud.restarted(|launch| launch);
    let sentence = eventually("a look at the key", || {
        let (status, code, sentence) = refusal(&ask(&cloud.pki, "node", "n1"));
        ((status, code.as_str()) == (500, "key_integrity")).then_some(sentence)
    });
    assert!(sentence.contains("does not verify"), "{sentence}");
    cloud.issues("envoy/app", "unharmed");
}

#[test]
fn without_create_key_nothing_is_made_and_the_permission_is_named() {
    let (pki, proxy, _data_dir) = without("CreateKey");
    let initialize = || pki.post("/pki/initialize", &json!({}));
    let sentence = refused(&initialize(), 500, "key_refused_denied");
    assert!(sentence.contains("kms:CreateKey") && sentence.contains("kms:TagResource"), "{sentence}");
    assert_eq!(proxy.count("CreateKey"), 1);
    proxy.heal();
    ok(&initialize());
    assert_eq!(proxy.count("CreateKey"), 4, "one was refused");
    pki.ready().issue("node", "n1");
}

#[test]
fn without_create_alias_keys_are_made_and_the_log_says_what_to_allow() {
    let (pki, proxy, _data_dir) = without("CreateAlias");
    ok(&pki.post("/pki/initialize", &json!({})));
    assert_eq!(proxy.count("CreateKey"), 3);
    let lines = pki.service.log_lines();
    let told = lines.iter().filter(|line| line.level == "warn" && line.raw.contains("kms:CreateAlias"));
    assert_eq!(told.count(), 3, "{}", pki.service.log());
    let pki = pki.ready();
    let issued = pki.issue("node", "n1");
    verifies(&pki.bundle(), issued.answer["certificatePem"].as_str().unwrap());
}

#[test]
fn what_finds_keys_again_is_missed_when_an_answer_was_lost_and_not_before() {
    for operation in ["ListKeys", "ListResourceTags"] {
        let (pki, proxy, _data_dir) = without(operation);
        let initialize = || pki.post("/pki/initialize", &json!({}));
        let lost = proxy.script(When::calling("CreateKey").first(1), Fault::AnswerLost);
        refused(&initialize(), 503, "key_store_unavailable");
        proxy.lift(lost);
        // A second key would leave the first one to nobody.
        let sentence = refused(&initialize(), 500, "key_refused_denied");
        assert!(sentence.contains(&format!("kms:{operation}")), "{sentence}");
        assert_eq!(proxy.count("CreateKey"), 1, "{operation}");
        proxy.heal();
        eventually("the hierarchy", || (initialize().status == 200).then_some(()));
        assert_eq!(proxy.count("CreateKey"), 3, "{operation}");
    }
}
