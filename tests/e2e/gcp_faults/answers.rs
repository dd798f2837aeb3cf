//! False answers about public keys, when keys are opened and when they are made.

use super::*;
use catalyst_rigs::gcp::{
    Tamper, Wrong,
    api::{Algorithm, ProtectionLevel},
};

/// What is wrong in an answer of GetPublicKey, the code of the error, and words of it.
fn false_ones(another: &str) -> Vec<(Tamper, &'static str, String)> {
    let software = ProtectionLevel::Software;
    let cases = [
        (Tamper::Checksum(Wrong::Other), "key_integrity", "another checksum (CRC32C)"),
        (Tamper::Checksum(Wrong::Zero), "key_integrity", "another checksum (CRC32C)"),
        (Tamper::Checksum(Wrong::Missing), "key_integrity", "without its checksum (CRC32C)"),
        (Tamper::FlippedBit, "key_integrity", "another checksum (CRC32C)"),
        (Tamper::Name(another.to_owned()), "key_integrity", another),
        (Tamper::NoName, "key_integrity", "answered for the version ''"),
        (Tamper::OtherKey, "key_integrity", "holds another key than"),
        (Tamper::Algorithm(Algorithm::EcSignP256Sha256), "key_refused_wrong_type", "EC_SIGN_P256_SHA256"),
        (Tamper::ProtectionLevel(software), "key_refused_wrong_type", "protection level SOFTWARE"),
        (Tamper::NoProtectionLevel, "key_integrity", "did not say at which protection level"),
    ];
    cases.map(|(tamper, code, words)| (tamper, code, words.to_owned())).into()
}

#[test]
fn a_ca_whose_public_key_is_answered_falsely_stays_down_and_others_go_on() {
    let mut cloud = Cloud::new();
    for (tamper, code, words) in false_ones(&cloud.transport.clone()) {
        let signs = cloud.signs();
        cloud.services(Method::GetPublicKey, When::Always, Effect::Tamper(tamper.clone()));
        cloud = cloud.restarted(|launch| launch);
        let sentence = eventually("a look at the key", || {
            let (status, said, sentence) = refusal(&ask(&cloud.pki, "node", "n1"));
            ((status, said.as_str()) == (500, code)).then_some(sentence)
        });
        assert!(sentence.contains(&words) && sentence.contains(&cloud.services), "{tamper:?}: {sentence}");
        assert_eq!(cloud.status(), (1, "degraded"), "{tamper:?}");
        eventually("the other CA", || (ask(&cloud.pki, "envoy/app", "n1").status == 200).then_some(()));
        assert_eq!(cloud.signs(), signs, "{tamper:?}: the key was asked to sign");

        cloud.heal();
        let (exit, stdout, stderr) = cloud.retry();
        assert_eq!(exit, 0, "{tamper:?}: {stdout}{stderr}");
        cloud.recovers();
    }
}

#[test]
fn a_false_public_key_of_a_new_key_makes_no_ca_and_the_next_attempt_takes_the_key() {
    let another = format!("{RING}/cryptoKeys/k/cryptoKeyVersions/1");
    for (tamper, _, words) in false_ones(&another) {
        // Of a key that nobody knows yet, another's under a right checksum is only seen when it signs.
        if tamper == Tamper::OtherKey {
            continue;
        }
        let (fake, data_dir) = (fake(), TempDir::new().unwrap());
        let pki = Pki::start(launch(data_dir.path(), &fake).env("CATALYST_PKI_KEY_BACKEND_TOKENS", "local"));
        fake.add(calling(Method::GetPublicKey), When::Always, Effect::Tamper(tamper.clone())).unwrap();
        let answer = pki.post("/pki/initialize", &json!({}));
        assert!(answer.status == 500 && answer.text().contains(&words), "{tamper:?}: {}", answer.text());
        assert_eq!(fake.count(Method::CreateCryptoKey).unwrap(), 1, "{tamper:?}");
        fake.clear().unwrap();
        ok(&pki.post("/pki/initialize", &json!({})));
        assert_eq!(fake.count(Method::CreateCryptoKey).unwrap(), 3, "{tamper:?}: root, services, transport");
        pki.ready().issue("node", "n1");
    }
}
