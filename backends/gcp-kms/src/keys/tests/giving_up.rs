//! Giving keys up.

use super::{backend, fake, intent, plant, refusal, transient};
use catalyst_rigs::gcp::{
    Alteration, Effect, Generation, On, Refusal as Refused, Settings, When,
    api::{Code, Method, State},
};
use catalyst_signing::{
    KeyIntent, KeyLifecycle as _, KeyPin, KeyState, KeyUri, Nonce, Refusal, SignatureAlgorithm::EcP384,
    SigningBackend as _,
};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn on(method: Method) -> On {
    On { method: Some(method), ..On::default() }
}

#[tokio::test]
async fn a_key_is_destroyed_in_thirty_days_and_asking_again_changes_nothing() {
    let fake = fake();
    let backend = backend(&fake);
    let pin = backend.create(&intent(EcP384)).await.unwrap();
    let state = || plant::described(&fake, pin.uri.rest())["state"].take();
    backend.schedule_destruction(&pin).await.unwrap();
    assert_eq!(state(), "DESTROY_SCHEDULED");
    assert_eq!(backend.open(&pin).await.unwrap().state().await, Ok(KeyState::DestructionScheduled));
    backend.schedule_destruction(&pin).await.unwrap();
    fake.advance(29 * DAY).unwrap();
    assert_eq!(state(), "DESTROY_SCHEDULED");
    fake.advance(2 * DAY).unwrap();
    assert_eq!(state(), "DESTROYED");
    backend.schedule_destruction(&pin).await.unwrap();
    assert_eq!(fake.count(Method::DestroyCryptoKeyVersion).unwrap(), 1);
}

#[tokio::test]
async fn nothing_but_the_pinned_key_is_touched() {
    let fake = fake();
    let backend = backend(&fake);
    let first = intent(EcP384);
    let pin = backend.create(&first).await.unwrap();
    let other = backend.create(&KeyIntent { nonce: Nonce::random().unwrap(), ..first }).await.unwrap();
    let wrong = KeyPin { spki: other.spki.clone(), ..pin.clone() };
    let told = refusal(backend.schedule_destruction(&wrong).await, Refusal::Ambiguous);
    assert!(told.contains(pin.uri.rest()) && told.contains("nothing was changed"), "{told}");
    let elsewhere = KeyPin { uri: KeyUri::parse("local:services-1").unwrap(), ..pin.clone() };
    refusal(backend.schedule_destruction(&elsewhere).await, Refusal::Configuration);
    assert_eq!(fake.count(Method::DestroyCryptoKeyVersion).unwrap(), 0);

    // Nor the other versions of the same key.
    let key = pin.uri.rest().strip_suffix("/cryptoKeyVersions/1").unwrap();
    let second = plant::another_version(&fake, key);
    while plant::described(&fake, &second)["state"] == "PENDING_GENERATION" {}
    backend.schedule_destruction(&pin).await.unwrap();
    for version in [second.as_str(), other.uri.rest()] {
        assert_eq!(plant::described(&fake, version)["state"], "ENABLED");
    }
}

#[tokio::test]
async fn what_is_lost_on_the_way_is_asked_again() {
    for effect in [
        Effect::LoseAnswer,
        Effect::TruncateAnswer,
        Effect::Reset,
        Effect::Refuse(Refused::from(Code::Unavailable)),
        Effect::RefuseAfterwards(Refused::from(Code::Internal)),
    ] {
        let fake = fake();
        let backend = backend(&fake);
        let pin = backend.create(&intent(EcP384)).await.unwrap();
        fake.add(on(Method::DestroyCryptoKeyVersion), When::First(1), effect).unwrap();
        backend.schedule_destruction(&pin).await.unwrap();
        assert_eq!(plant::described(&fake, pin.uri.rest())["state"], "DESTROY_SCHEDULED");
        assert_eq!(fake.count(Method::DestroyCryptoKeyVersion).unwrap(), 2);
    }
}

#[tokio::test]
async fn a_disabled_key_is_given_up_too_and_one_that_is_being_made_is_waited_for() {
    let fake = fake();
    let backend = backend(&fake);
    let pin = backend.create(&intent(EcP384)).await.unwrap();
    let becomes = |state| Alteration { state: Some(state), ..Alteration::default() };
    fake.alter(pin.uri.rest(), &becomes(State::PendingGeneration)).unwrap();
    fake.set(&Settings { generation: Generation::Held, ..Settings::default() }).unwrap();
    transient(backend.schedule_destruction(&pin).await);
    fake.alter(pin.uri.rest(), &becomes(State::Disabled)).unwrap();
    backend.schedule_destruction(&pin).await.unwrap();
    assert_eq!(plant::described(&fake, pin.uri.rest())["state"], "DESTROY_SCHEDULED");
}

#[tokio::test]
async fn who_may_not_look_may_still_give_up_and_who_may_not_is_told_what_to_grant() {
    let fake = fake();
    let backend = backend(&fake);
    let pin = backend.create(&intent(EcP384)).await.unwrap();
    let deny = |method| {
        let denied = Effect::Refuse(Refused::from(Code::PermissionDenied));
        fake.add(on(method), When::Always, denied).unwrap();
    };
    deny(Method::GetCryptoKeyVersion);
    // What is not known to be given up already is compared all the same.
    let other = backend.create(&intent(EcP384)).await.unwrap();
    let wrong = KeyPin { spki: other.spki, ..pin.clone() };
    let told = refusal(backend.schedule_destruction(&wrong).await, Refusal::Ambiguous);
    assert!(told.contains("nothing was changed"), "{told}");
    assert_eq!(fake.count(Method::DestroyCryptoKeyVersion).unwrap(), 0);
    deny(Method::GetPublicKey);
    let denied = Effect::Refuse(Refused::from(Code::PermissionDenied));
    fake.add(on(Method::DestroyCryptoKeyVersion), When::First(1), denied).unwrap();
    let told = refusal(backend.schedule_destruction(&pin).await, Refusal::Denied);
    assert!(told.contains("grant cloudkms.cryptoKeyVersions.destroy on"), "{told}");
    backend.schedule_destruction(&pin).await.unwrap();
}

#[tokio::test]
async fn a_key_that_is_not_there_is_named() {
    let fake = fake();
    let backend = backend(&fake);
    let pin = backend.create(&intent(EcP384)).await.unwrap();
    let uri = KeyUri::parse(&pin.uri.to_string().replace("Versions/1", "Versions/7")).unwrap();
    let told = refusal(backend.schedule_destruction(&KeyPin { uri, ..pin }).await, Refusal::Missing);
    assert!(told.contains("cryptoKeyVersions/7"), "{told}");
}
