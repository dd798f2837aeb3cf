//! Troubles that stay: the key is not asked again until an operator says so.

use super::*;
use crate::cloud_faults::latches;
use catalyst_rigs::aws::{Foreign, Says};

fn ready() -> Cloud {
    // What is new may not show yet; this key is to look older.
    let cloud = Cloud::new();
    let age = Fault::Says(Says::MadeEarlier(Duration::from_secs(3600)));
    cloud.proxy.script(When::calling("DescribeKey"), age);
    let mut cloud = cloud.restarted(|launch| launch);
    cloud.pki = cloud.pki.ready();
    cloud.shows(&Cloud::key_state(SERVICES_CA), Some(1.0));
    cloud
}

#[test]
fn a_false_signature_goes_to_nobody() {
    let cloud = ready();
    for times in [1, 2] {
        cloud.proxy.script(cloud.services("Sign").first(times), Fault::FlippedBit);
        cloud.proxy.forget_calls();
        cloud.issues("node", &format!("after-{times}"));
        assert_eq!(cloud.signs(), times + 1);
    }
    assert_eq!(cloud.ended("integrity"), 3.0);
    let arn = cloud.services_key().to_owned();
    latches(&cloud, Fault::FlippedBit, 3, "key_integrity", &["does not verify", &arn]);
}

#[test]
fn another_keys_answer_goes_to_nobody() {
    let cloud = ready();
    let arn = cloud.services_key().to_owned();
    for (foreign, words) in [(Foreign::Admitted, "answered for"), (Foreign::Concealed, "does not verify")] {
        latches(&cloud, Fault::OfAnotherKey(foreign), 3, "key_integrity", &[words, &arn]);
    }
    let other = Fault::AnotherAlgorithm("ECDSA_SHA_256");
    latches(&cloud, other, 3, "key_integrity", &["ECDSA_SHA_384", "ECDSA_SHA_256"]);
}

#[test]
fn what_is_refused_is_asked_once_and_names_what_is_missing() {
    let cloud = ready();
    let arn = cloud.services_key().to_owned();
    let arn = arn.as_str();
    let cases = [
        (Fault::NotFound, "key_refused_missing", ["NotFoundException", arn]),
        (Fault::Denied, "key_refused_denied", ["kms:Sign", arn]),
        (Fault::DeniedByKeyPolicy, "key_refused_denied", ["kms:Sign", arn]),
        (Fault::Says(Says::Disabled), "key_refused_disabled", ["aws kms enable-key", arn]),
        (Fault::Says(Says::PendingDeletion), "key_refused_disabled", ["aws kms cancel-key-deletion", arn]),
        (
            Fault::Refused("InvalidKeyUsageException", "the key is for encryption"),
            "key_refused_wrong_type",
            ["SIGN_VERIFY", arn],
        ),
        (
            Fault::Refused(
                "UnrecognizedClientException",
                "The security token included in the request is invalid.",
            ),
            "key_refused_denied",
            ["access key", arn],
        ),
    ];
    for (fault, code, words) in cases {
        latches(&cloud, fault, 1, code, &words);
    }
}

#[test]
fn the_root_and_the_key_of_tokens_keep_down_nothing_but_their_own() {
    let (proxy, data_dir) = (FaultProxy::at_hand().unwrap(), TempDir::new().unwrap());
    let pki = initialized(launch(data_dir.path(), &proxy));
    let issuers = key_uris(&pki);
    let [root, ..] = &issuers;
    proxy.script(When::calling("Sign").of_key(root), Fault::Denied);
    proxy.forget_calls();
    let make = || pki.post("/pki/intermediary", &json!({"commonName": "Catalyst Services CA v2"}));
    let sentence = refused(&make(), 500, "key_refused_denied");
    assert!(
        sentence.contains("kms:Sign") && sentence.contains(root.trim_start_matches("awskms:")),
        "{sentence}"
    );
    assert_eq!(proxy.count("Sign"), 1);
    pki.issue("node", "n1");
    // The root is opened for each operation, so nothing of it latches.
    proxy.heal();
    ok(&make());

    // Whatever is no CA's is the token key.
    let entity = json!({"id": "n", "name": "n", "type": "service"});
    let mint = || pki.post("/auth/tokens", &json!({"subject": "n", "principal": "NODE", "entity": entity}));
    proxy.forget_calls();
    ok(&mint());
    let tokens = proxy.calls().into_iter().find(|call| call.operation == "Sign").and_then(|call| call.key);
    let tokens = tokens.unwrap();
    assert!(issuers.iter().all(|uri| !uri.ends_with(&tokens)), "{tokens}");
    proxy.script(When::calling("Sign").of_key(&tokens), Fault::Denied);
    let answer = mint();
    assert!(
        answer.status == 500 && answer.text().contains("kms:Sign"),
        "{}: {}",
        answer.status,
        answer.text()
    );
    pki.issue("node", "n2");
    proxy.heal();
    let (exit, stdout, stderr) = run(&pki.service, &["backend", "retry"]);
    assert_eq!(exit, 0, "{stdout}{stderr}");
    ok(&mint());
}
