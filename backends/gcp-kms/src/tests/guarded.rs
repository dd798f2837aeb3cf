//! Behind the guard: how often a wrong answer is tried again, and that no wrong signature comes out.

use super::*;
use catalyst_rigs::gcp::{Tamper, Wrong};
use catalyst_signing::{Guard, GuardedKey, KeyPolicy, NoObserver, Purpose, Result, SignError, Verified};
use tokio::time::Instant;

fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

async fn guarded(rig: &Rig) -> Result<GuardedKey> {
    let policy = KeyPolicy {
        name: "services CA".into(),
        deployment: "0123456789abcdef".into(),
        purposes: &[Purpose::Certificate, Purpose::Crl],
        concurrency: 4,
        probe: false,
    };
    let guard = Guard::new(Arc::new(NoObserver));
    guard.open(rig.backend.clone(), rig.pin.clone(), policy, deadline()).await
}

async fn sign(key: &GuardedKey) -> Result<Verified> {
    key.sign(Purpose::Certificate, b"a certificate".to_vec(), deadline()).await
}

fn tampers(kind: Kind) -> Vec<Effect> {
    let tampers = [
        Tamper::Checksum(Wrong::Other),
        Tamper::Verified(Wrong::Missing),
        Tamper::Name(VERSION.replace("/1", "/2")),
        Tamper::ProtectionLevel(kind.other_level()),
        Tamper::FlippedBit,
        Tamper::FlippedBitWithChecksum,
        Tamper::OtherKey,
    ];
    tampers.into_iter().map(Effect::Tamper).chain([Effect::DamageRequest]).collect()
}

#[tokio::test]
async fn a_wrong_answer_is_tried_again_twice_and_then_the_key_is_latched() {
    for kind in [P384, ED25519, ML_DSA] {
        let rig = Rig::of(kind).await;
        let key = guarded(&rig).await.unwrap();
        for effect in tampers(kind) {
            let before = rig.signatures();
            rig.wrong(Method::AsymmetricSign, effect.clone());
            for _ in 0..2 {
                let error = sign(&key).await.unwrap_err();
                assert!(matches!(error, SignError::Integrity { .. }), "{effect:?} of {kind:?}: {error}");
            }
            assert_eq!(rig.signatures() - before, 3, "{effect:?} of {kind:?}");
            rig.fake.clear().unwrap();
            key.retry();
            sign(&key).await.unwrap();
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_wrong_once_or_twice_is_overcome() {
    let rig = Rig::of(P384).await;
    let key = guarded(&rig).await.unwrap();
    for effect in tampers(P384) {
        let on = || On { method: Some(Method::AsymmetricSign), ..On::default() };
        rig.fake.clear().unwrap();
        rig.fake.add(on(), When::First(2), effect).unwrap();
        sign(&key).await.unwrap();
    }
}

#[tokio::test]
async fn a_key_that_shows_another_public_key_is_not_opened() {
    for kind in [P384, ED25519, ML_DSA] {
        let rig = Rig::of(kind).await;
        for tamper in [Tamper::OtherKey, Tamper::FlippedBitWithChecksum, Tamper::FlippedBit] {
            rig.wrong(Method::GetPublicKey, Effect::Tamper(tamper.clone()));
            let error = guarded(&rig).await.unwrap_err();
            assert!(matches!(error, SignError::Integrity { .. }), "{tamper:?} of {kind:?}: {error}");
        }
    }
}

/// One of DER's values: tag, length, content.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let length = &length[content.len().leading_zeros() as usize / 8..];
    let head = if content.len() < 128 {
        vec![tag, content.len() as u8]
    } else {
        [&[tag, 0x80 | length.len() as u8], length].concat()
    };
    [&head[..], content].concat()
}

/// The TBSCertList (RFC 5280, section 5.1) of so many certificates, for ML-DSA-65.
fn long_crl(entries: u64) -> Vec<u8> {
    let now = der(0x17, b"261123080000Z");
    let serial = |n: u64| der(0x02, &[&[1; 8][..], &n.to_be_bytes()].concat());
    let entry = |n| der(0x30, &[serial(n), now.clone()].concat());
    let version = der(0x02, &[1]);
    let algorithm = SignatureAlgorithm::MlDsa65.identifier_der().to_vec();
    let (issuer, entries) = (der(0x30, &[]), der(0x30, &(0..entries).flat_map(entry).collect::<Vec<_>>()));
    der(0x30, &[version, algorithm, issuer, now.clone(), now.clone(), entries].concat())
}

/// What is longer than AsymmetricSign takes goes out as µ, in one call, and the signature is that of the whole.
#[tokio::test]
async fn a_crl_of_ml_dsa_beyond_64_kib_is_signed() {
    let rig = Rig::of(ML_DSA).await;
    let key = guarded(&rig).await.unwrap();
    let crl = long_crl(2_000);
    assert!(crl.len() > 65_536, "{}", crl.len());
    let before = rig.signatures();
    let Verified { message, signature, .. } = key.sign(Purpose::Crl, crl.clone(), deadline()).await.unwrap();
    assert_eq!(rig.signatures() - before, 1);
    assert_eq!(message, crl);
    assert!(rig.pin.algorithm.verify(&rig.pin.spki, &crl, &signature));
    let mut other = crl;
    *other.last_mut().unwrap() ^= 1;
    assert!(!rig.pin.algorithm.verify(&rig.pin.spki, &other, &signature));
}
