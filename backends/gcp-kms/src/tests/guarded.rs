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
        purposes: &[Purpose::Certificate],
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
