//! Troubles that stay: the key is not asked again until an operator says so.

use super::*;
use crate::cloud_faults::latches;
use catalyst_rigs::gcp::{Tamper, Wrong, api::ProtectionLevel};

fn ready() -> Cloud {
    let cloud = Cloud::new();
    cloud.shows(&Cloud::key_state(SERVICES_CA), Some(1.0));
    cloud
}

/// What is false in an answer, or on the way to it: asked again twice, and then no more.
fn is_false(cloud: &Cloud, effect: Effect, words: &str) {
    latches(cloud, effect, 3, "key_integrity", &[words, &cloud.services]);
}

#[test]
fn a_false_answer_once_or_twice_is_asked_again() {
    let cloud = ready();
    for times in [1, 2] {
        let signs = cloud.signs();
        let flipped = Effect::Tamper(Tamper::FlippedBit);
        cloud.services(Method::AsymmetricSign, When::First(times), flipped);
        cloud.issues("node", &format!("after-{times}"));
        assert_eq!(cloud.signs() - signs, usize::try_from(times).unwrap() + 1);
        cloud.heal();
    }
    assert_eq!(cloud.ended("integrity"), 3.0);
    assert_eq!(cloud.latched().len(), 0, "{:?}", cloud.latched());
}

#[test]
fn a_wrong_checksum_goes_to_nobody_in_whatever_field() {
    let cloud = ready();
    for (tamper, words) in [
        (Tamper::Checksum(Wrong::Other), "another checksum (CRC32C)"),
        (Tamper::Checksum(Wrong::Zero), "another checksum (CRC32C)"),
        (Tamper::Checksum(Wrong::Missing), "without its checksum (CRC32C)"),
        (Tamper::Verified(Wrong::Zero), "did not confirm the checksum"),
        (Tamper::Verified(Wrong::Missing), "did not confirm the checksum"),
        (Tamper::FlippedBit, "another checksum (CRC32C)"),
    ] {
        is_false(&cloud, Effect::Tamper(tamper), words);
    }
}

#[test]
fn what_was_damaged_on_its_way_to_google_is_not_signed() {
    let cloud = ready();
    is_false(&cloud, Effect::DamageRequest, "digest_crc32c");
}

#[test]
fn a_false_signature_under_a_right_checksum_goes_to_nobody() {
    let cloud = ready();
    for tamper in [Tamper::FlippedBitWithChecksum, Tamper::OtherKey] {
        is_false(&cloud, Effect::Tamper(tamper), "does not verify");
    }
}

#[test]
fn an_answer_for_another_version_or_from_elsewhere_goes_to_nobody() {
    let cloud = ready();
    let next = format!("{}2", cloud.services.strip_suffix('1').unwrap());
    let software = Tamper::ProtectionLevel(ProtectionLevel::Software);
    for (tamper, words) in [
        (Tamper::Name(next.clone()), next.as_str()),
        (Tamper::Name(cloud.transport.clone()), &cloud.transport),
        (Tamper::NoName, "answered for the version ''"),
        (software, "protection level HSM, and Google Cloud KMS answered for SOFTWARE"),
        (Tamper::NoProtectionLevel, "did not say at which protection level the key is held"),
    ] {
        is_false(&cloud, Effect::Tamper(tamper), words);
    }
}

#[test]
fn what_is_refused_is_asked_once_and_names_what_is_missing() {
    let cloud = ready();
    let version = cloud.services.as_str();
    let cases = [
        (Code::NotFound, "key_refused_missing", "NOT_FOUND"),
        (Code::PermissionDenied, "key_refused_denied", "cloudkms.cryptoKeyVersions.useToSign"),
        (Code::FailedPrecondition, "key_refused_disabled", "gcloud kms keys versions enable"),
        (Code::InvalidArgument, "key_refused_configuration", "INVALID_ARGUMENT"),
    ];
    for (code, said, words) in cases {
        latches(&cloud, refusing(code), 1, said, &[words, version]);
    }
}

#[test]
fn what_cannot_be_done_there_is_refused_each_time_and_says_nothing_of_the_key() {
    let cloud = ready();
    let signs = cloud.signs();
    cloud.signing(refusing(Code::Unimplemented));
    for number in 1..3 {
        let sentence = refused(&ask(&cloud.pki, "node", "refused"), 500, "key_refused_unsupported");
        assert!(sentence.contains(&cloud.services), "{sentence}");
        assert_eq!(cloud.signs() - signs, number);
    }
    assert_eq!(cloud.latched().len(), 0, "{:?}", cloud.latched());
    cloud.heal();
    cloud.recovers();
}

#[test]
fn the_root_and_the_key_of_tokens_keep_down_nothing_but_their_own() {
    let (fake, data_dir) = (fake(), TempDir::new().unwrap());
    let pki = initialized(launch(data_dir.path(), &fake));
    let issuers = key_uris(&pki).map(|uri| version(&uri).to_owned());
    let [root, ..] = &issuers;
    let deny = |key: &str| {
        let on = On { resource: Some(key.to_owned()), ..calling(Method::AsymmetricSign) };
        fake.add(on, When::Always, refusing(Code::PermissionDenied)).unwrap();
    };
    deny(root);
    let signed = signs(&fake, root);
    let make = || pki.post("/pki/intermediary", &json!({"commonName": "Catalyst Services CA v2"}));
    let sentence = refused(&make(), 500, "key_refused_denied");
    assert!(
        sentence.contains("cloudkms.cryptoKeyVersions.useToSign") && sentence.contains(root),
        "{sentence}"
    );
    assert_eq!(signs(&fake, root) - signed, 1);
    pki.issue("node", "n1");
    // The root is opened for each operation, so nothing of it latches.
    fake.clear().unwrap();
    ok(&make());

    let entity = json!({"id": "n", "name": "n", "type": "service"});
    let mint = || pki.post("/auth/tokens", &json!({"subject": "n", "principal": "NODE", "entity": entity}));
    let before = fake.calls().unwrap().len();
    ok(&mint());
    let calls = fake.calls().unwrap().split_off(before);
    let mut keys = calls.into_iter().filter(|call| call.method == Method::AsymmetricSign);
    let tokens = keys.find(|call| call.resource.contains("/cryptoKeys/token-")).unwrap().resource;
    deny(&tokens);
    let answer = mint();
    assert!(
        answer.status == 500 && answer.text().contains("cloudkms.cryptoKeyVersions.useToSign"),
        "{}: {}",
        answer.status,
        answer.text()
    );
    pki.issue("node", "n2");
    fake.clear().unwrap();
    let (exit, stdout, stderr) = run(&pki.service, &["backend", "retry"]);
    assert_eq!(exit, 0, "{stdout}{stderr}");
    ok(&mint());
}
