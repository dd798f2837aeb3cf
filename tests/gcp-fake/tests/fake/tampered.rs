//! Answers in which something is wrong.

use crate::program::{get, post, sign, status, when_signing, with_key};
use aws_lc_rs::{
    digest::{SHA256, SHA384, digest},
    signature::{ED25519, ParsedPublicKey},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use catalyst_rigs::gcp::{
    Effect, FakeKms, On, Tamper, When, Wrong, ZERO_CHECKSUM_OF_SHA256, ZERO_CHECKSUM_OF_SHA384,
    api::{Algorithm, Method, ProtectionLevel, State},
    with_zero_checksum,
};
use serde_json::{Value, json};

/// Signs once as it should be and once tampered with; gives both answers.
fn signed(tamper: Tamper) -> (FakeKms, String, Value, Value) {
    let (fake, version) = with_key(Algorithm::EcSignEd25519);
    when_signing(&fake, When::Nth(2), Effect::Tamper(tamper));
    let [right, wrong] = [(); 2].map(|()| sign(&fake, &version).unwrap().json().unwrap());
    (fake, version, right, wrong)
}

/// The names of the fields in which the answers differ.
fn differences(right: &Value, wrong: &Value) -> Vec<String> {
    let names = right.as_object().unwrap().keys();
    names.filter(|name| right[*name] != wrong[*name]).cloned().collect()
}

/// Whether an answer's signature is the version's.
fn verifies(fake: &FakeKms, version: &str, answer: &Value) -> bool {
    let pem = get(fake, &format!("{version}/publicKey")).json().unwrap()["pem"].take();
    let base64: String = pem.as_str().unwrap().lines().filter(|line| !line.starts_with('-')).collect();
    let key = ParsedPublicKey::new(&ED25519, BASE64_STANDARD.decode(base64).unwrap()).unwrap();
    let signature = BASE64_STANDARD.decode(answer["signature"].as_str().unwrap()).unwrap();
    key.verify_sig(b"data", &signature).is_ok()
}

#[test]
fn a_checksum_is_wrong_in_each_way() {
    for wrong in [Wrong::Other, Wrong::Zero, Wrong::Missing] {
        let (.., right, wrong) = signed(Tamper::Checksum(wrong));
        assert_eq!(differences(&right, &wrong), ["signatureCrc32c"]);
    }
    let (.., zero) = signed(Tamper::Checksum(Wrong::Zero));
    assert_eq!(zero["signatureCrc32c"], "0");
}

#[test]
fn a_flipped_bit_is_under_a_wrong_or_a_right_checksum() {
    let (fake, version, right, wrong) = signed(Tamper::FlippedBit);
    assert_eq!(differences(&right, &wrong), ["signature"]);
    assert!(verifies(&fake, &version, &right) && !verifies(&fake, &version, &wrong));
    let (fake, version, right, wrong) = signed(Tamper::FlippedBitWithChecksum);
    assert_eq!(differences(&right, &wrong), ["signature", "signatureCrc32c"]);
    assert!(!verifies(&fake, &version, &wrong));
}

#[test]
fn a_signature_is_another_keys() {
    let (fake, version, right, wrong) = signed(Tamper::OtherKey);
    assert_eq!(differences(&right, &wrong), ["signature", "signatureCrc32c"]);
    assert!(verifies(&fake, &version, &right) && !verifies(&fake, &version, &wrong));
}

#[test]
fn name_and_protection_level_are_others_or_missing() {
    let (.., right, wrong) = signed(Tamper::Name("another".into()));
    assert_eq!((differences(&right, &wrong), &wrong["name"]), (vec!["name".into()], &json!("another")));
    let (.., right, wrong) = signed(Tamper::NoName);
    assert_eq!((differences(&right, &wrong), &wrong["name"]), (vec!["name".into()], &Value::Null));
    let (.., right, wrong) = signed(Tamper::ProtectionLevel(ProtectionLevel::Hsm));
    assert_eq!(differences(&right, &wrong), ["protectionLevel"]);
    let (.., right, wrong) = signed(Tamper::NoProtectionLevel);
    assert_eq!(
        (differences(&right, &wrong), &wrong["protectionLevel"]),
        (vec!["protectionLevel".into()], &Value::Null)
    );
}

#[test]
fn a_checksum_that_arrived_is_not_confirmed() {
    let (fake, version) = with_key(Algorithm::EcSignEd25519);
    when_signing(&fake, When::Nth(2), Effect::Tamper(Tamper::Verified(Wrong::Zero)));
    when_signing(&fake, When::Nth(3), Effect::Tamper(Tamper::Verified(Wrong::Missing)));
    // The checksum of nine octets, as RFC 3720's makers have it.
    let request = json!({"data": BASE64_STANDARD.encode("123456789"), "dataCrc32c": "3808858755"});
    let confirmed = [(); 3].map(|()| {
        let answer = post(&fake, &format!("{version}:asymmetricSign"), &request).unwrap().json().unwrap();
        answer["verifiedDataCrc32c"].clone()
    });
    assert_eq!(confirmed, [json!(true), json!(false), Value::Null]);
}

#[test]
fn a_checksum_of_zero_is_confirmed_like_any_other() {
    let (fake, version) = with_key(Algorithm::EcSignEd25519);
    let data = BASE64_STANDARD.encode(with_zero_checksum(b"data"));
    let sign = |request| post(&fake, &format!("{version}:asymmetricSign"), &request).unwrap().json().unwrap();
    assert_eq!(sign(json!({"data": data, "dataCrc32c": "0"}))["verifiedDataCrc32c"], true);
    assert_eq!(sign(json!({"data": data}))["verifiedDataCrc32c"], Value::Null);

    for (algorithm, name, hash, message) in [
        (Algorithm::EcSignP256Sha256, "sha256", &SHA256, ZERO_CHECKSUM_OF_SHA256),
        (Algorithm::EcSignP384Sha384, "sha384", &SHA384, ZERO_CHECKSUM_OF_SHA384),
    ] {
        let (fake, version) = with_key(algorithm);
        let digest = BASE64_STANDARD.encode(digest(hash, message));
        let request = json!({"digest": {name: digest}, "digestCrc32c": "0"});
        let answer = post(&fake, &format!("{version}:asymmetricSign"), &request).unwrap().json().unwrap();
        assert_eq!(answer["verifiedDigestCrc32c"], true);
    }
}

#[test]
fn a_request_is_damaged_on_its_way() {
    let (fake, version) = with_key(Algorithm::EcSignEd25519);
    when_signing(&fake, When::Always, Effect::DamageRequest);
    let request = json!({"data": BASE64_STANDARD.encode("123456789"), "dataCrc32c": "3808858755"});
    let answer = post(&fake, &format!("{version}:asymmetricSign"), &request).unwrap();
    assert_eq!(status(&answer), "INVALID_ARGUMENT");
    assert!(answer.text().contains("data_crc32c"), "{}", answer.text());
    // Without a checksum, what arrived is signed.
    let answer = sign(&fake, &version).unwrap().json().unwrap();
    assert!(!verifies(&fake, &version, &answer));
}

#[test]
fn public_keys_are_tampered_with_in_either_form() {
    for (algorithm, format, octets, checksum) in [
        (Algorithm::EcSignP384Sha384, "", "/pem", "/pemCrc32c"),
        (
            Algorithm::PqSignMlDsa65,
            "?publicKeyFormat=NIST_PQC",
            "/publicKey/data",
            "/publicKey/crc32cChecksum",
        ),
    ] {
        for (tamper, changed) in [
            (Tamper::Checksum(Wrong::Other), [false, true]),
            (Tamper::FlippedBit, [true, false]),
            (Tamper::FlippedBitWithChecksum, [true, true]),
            (Tamper::OtherKey, [true, true]),
        ] {
            let (fake, version) = with_key(algorithm);
            fake.add(On::default(), When::Nth(2), Effect::Tamper(tamper)).unwrap();
            let path = format!("{version}/publicKey{format}");
            let [right, wrong] = [(); 2].map(|()| get(&fake, &path).json().unwrap());
            let differs = [octets, checksum].map(|field| right.pointer(field) != wrong.pointer(field));
            assert_eq!(differs, changed, "{wrong}");
        }
    }
    let (fake, version) = with_key(Algorithm::EcSignP384Sha384);
    fake.add(On::default(), When::Always, Effect::Tamper(Tamper::Algorithm(Algorithm::EcSignP256Sha256)))
        .unwrap();
    let answer = get(&fake, &format!("{version}/publicKey?$alt=json;enum-encoding=int")).json().unwrap();
    assert_eq!(answer["algorithm"], 12);
}

#[test]
fn a_version_is_shown_in_a_state_that_has_not_reached_it() {
    let (fake, version) = with_key(Algorithm::EcSignEd25519);
    let on = On { method: Some(Method::GetCryptoKeyVersion), ..On::default() };
    fake.add(on, When::Always, Effect::Tamper(Tamper::State(State::Disabled))).unwrap();
    assert_eq!(get(&fake, &version).json().unwrap()["state"], "DISABLED");
    assert_eq!(sign(&fake, &version).unwrap().status, 200);
}
