//! Answers in which something is wrong, field by field.

use super::*;
use base64::{Engine, prelude::BASE64_STANDARD};
use catalyst_rigs::gcp::{
    Tamper, Wrong, ZERO_CHECKSUM_OF_SHA256, ZERO_CHECKSUM_OF_SHA384, crc32c, with_zero_checksum,
};
use catalyst_signing::{Refusal, SignError};

/// What is wrong in a field that both answers have.
fn in_both(kind: Kind) -> Vec<Tamper> {
    vec![
        Tamper::Checksum(Wrong::Other),
        Tamper::Checksum(Wrong::Zero),
        Tamper::Checksum(Wrong::Missing),
        Tamper::Name(VERSION.replace("/1", "/2")),
        Tamper::Name(VERSION.replace("projects/p/", "projects/P/")),
        Tamper::NoName,
        Tamper::ProtectionLevel(kind.other_level()),
        Tamper::NoProtectionLevel,
        Tamper::FlippedBit,
    ]
}

fn check_integrity(error: &SignError, what: &Tamper, kind: Kind) {
    assert!(matches!(error, SignError::Integrity { .. }), "{what:?} of {kind:?}: {error}");
    assert!(error.to_string().contains(VERSION), "{error}");
}

#[tokio::test]
async fn nothing_wrong_in_a_signatures_answer_is_taken() {
    for kind in [P256, P384, ED25519, ML_DSA] {
        let rig = Rig::of(kind).await;
        let key = rig.open().await;
        let good = key.sign(b"message").await.unwrap();
        let unconfirmed = [Wrong::Other, Wrong::Zero, Wrong::Missing].map(Tamper::Verified);
        for tamper in in_both(kind).into_iter().chain(unconfirmed) {
            rig.wrong(Method::AsymmetricSign, Effect::Tamper(tamper.clone()));
            let error = key.sign(b"message").await.unwrap_err();
            check_integrity(&error, &tamper, kind);
            // Of Ed25519 and of the fake's ML-DSA the signature is the same each time.
            let start = BASE64_STANDARD.encode(&good[..9]);
            assert!(!format!("{error} {error:?}").contains(&start), "{error}");
        }
        rig.fake.clear().unwrap();
        key.sign(b"message").await.unwrap();
    }
}

#[tokio::test]
async fn nothing_wrong_in_a_public_keys_answer_is_taken() {
    for kind in [P384, ED25519, ML_DSA] {
        let rig = Rig::of(kind).await;
        let key = rig.open().await;
        assert_eq!(key.public_key().await.unwrap().unwrap(), rig.pin.spki);
        for tamper in in_both(kind) {
            rig.wrong(Method::GetPublicKey, Effect::Tamper(tamper.clone()));
            check_integrity(&key.public_key().await.unwrap_err(), &tamper, kind);
        }
        rig.wrong(Method::GetPublicKey, Effect::Tamper(Tamper::Algorithm(Algorithm::RsaSignPss3072Sha256)));
        let error = key.public_key().await.unwrap_err();
        assert!(matches!(&error, SignError::Refused { kind: Refusal::WrongType, .. }), "{error}");
        rig.fake.clear().unwrap();
        assert_eq!(key.public_key().await.unwrap().unwrap(), rig.pin.spki);
    }
}

/// Another version's state is none of this one's.
#[tokio::test]
async fn what_is_said_of_another_version_is_not_taken() {
    let rig = Rig::of(P384).await;
    let key = rig.open().await;
    for tamper in [Tamper::Name(VERSION.replace("/1", "/2")), Tamper::NoName] {
        rig.wrong(Method::GetCryptoKeyVersion, Effect::Tamper(tamper.clone()));
        check_integrity(&key.state().await.unwrap_err(), &tamper, P384);
        check_integrity(&rig.backend.resolve(VERSION, P384.ours).await.unwrap_err(), &tamper, P384);
    }
}

/// What an adapter cannot see the guard does: see `guarded`.
#[tokio::test]
async fn a_public_key_with_the_right_checksum_is_compared_by_others() {
    let rig = Rig::of(P384).await;
    let key = rig.open().await;
    rig.wrong(Method::GetPublicKey, Effect::Tamper(Tamper::OtherKey));
    assert_ne!(key.public_key().await.unwrap().unwrap(), rig.pin.spki);
    rig.wrong(Method::GetPublicKey, Effect::Tamper(Tamper::FlippedBitWithChecksum));
    let error = rig.backend.resolve(VERSION, P384.ours).await.unwrap_err();
    assert!(matches!(error, SignError::Integrity { .. }), "{error}");
}

#[tokio::test]
async fn a_key_that_is_held_in_software_is_not_taken_where_hsm_is_wanted() {
    let rig = Rig::of(P384).await;
    let software = Effect::Tamper(Tamper::ProtectionLevel(ProtectionLevel::Software));
    rig.wrong(Method::AsymmetricSign, software);
    let key = rig.open().await;
    // No answer before said otherwise.
    let error = key.sign(b"message").await.unwrap_err();
    assert!(matches!(&error, SignError::Refused { kind: Refusal::WrongType, .. }), "{error}");
    assert!(error.to_string().contains("CATALYST_PKI_GCP_PROTECTION=software"), "{error}");
}

#[tokio::test]
async fn zero_is_a_checksum_like_any_other() {
    for (kind, message) in [
        (P256, ZERO_CHECKSUM_OF_SHA256.to_vec()),
        (P384, ZERO_CHECKSUM_OF_SHA384.to_vec()),
        (ED25519, with_zero_checksum(b"a message")),
    ] {
        let rig = Rig::of(kind).await;
        let key = rig.open().await;
        key.sign(&message).await.unwrap();
        rig.wrong(Method::AsymmetricSign, Effect::Tamper(Tamper::Verified(Wrong::Missing)));
        check_integrity(&key.sign(&message).await.unwrap_err(), &Tamper::Verified(Wrong::Missing), kind);
    }
}

/// The fake makes no such signature: this one is none, which the adapter cannot see.
#[tokio::test]
async fn a_signature_whose_checksum_is_zero_is_taken() {
    let answer = |signature: &[u8], checksum: Option<u32>| {
        let mut answer = serde_json::json!({
            "name": VERSION,
            "signature": BASE64_STANDARD.encode(signature),
            "verifiedDigestCrc32c": true,
            "protectionLevel": "HSM",
        });
        if let Some(checksum) = checksum {
            answer["signatureCrc32c"] = checksum.to_string().into();
        }
        answer
    };
    let signature = with_zero_checksum(b"a signature");
    assert_eq!(crc32c(&signature), 0);
    let server = wire::Server::always(wire::Reply::json(200, &answer(&signature, Some(0)))).await;
    let key = open(&server.endpoint(), Duration::from_secs(10)).await;
    assert_eq!(key.sign(b"message").await.unwrap(), signature);
    let longest = vec![7; 4627];
    server.now(wire::Reply::json(200, &answer(&longest, Some(crc32c(&longest)))));
    assert_eq!(key.sign(b"message").await.unwrap(), longest);
    for (signature, checksum) in [
        (signature, None),
        (b"a signature".to_vec(), Some(0)),
        (Vec::new(), Some(0)),
        (Vec::new(), None),
        (vec![7; 4628], Some(crc32c(&[7; 4628]))),
    ] {
        server.now(wire::Reply::json(200, &answer(&signature, checksum)));
        let error = key.sign(b"message").await.unwrap_err();
        assert!(matches!(error, SignError::Integrity { .. }), "{error}");
    }
    for nothing in [serde_json::json!({}), serde_json::json!({ "name": VERSION })] {
        server.now(wire::Reply::json(200, &nothing));
        let error = key.sign(b"message").await.unwrap_err();
        assert!(matches!(error, SignError::Integrity { .. }), "{error}");
    }
}

/// Every call has its checksum, so that Google can see that a request was damaged on its way.
#[tokio::test]
async fn a_request_that_was_damaged_on_its_way_is_an_integrity_error() {
    for kind in [P384, ED25519, ML_DSA] {
        let rig = Rig::of(kind).await;
        let key = rig.open().await;
        rig.wrong(Method::AsymmetricSign, Effect::DamageRequest);
        check_integrity(&key.sign(b"message").await.unwrap_err(), &Tamper::NoName, kind);
    }
}
