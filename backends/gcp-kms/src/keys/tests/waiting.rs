//! Keys that are being made, do not show yet, or came to nothing.

use super::{backend, clients, config, fake, intent, plant, transient};
use crate::keys::create::create_within;
use catalyst_rigs::gcp::{Effect, FakeKms, Generation, On, Settings, When, api::Method};
use catalyst_signing::{
    KeyIntent, KeyLifecycle as _, KeyPin, KeyState, Result, SignError, SignatureAlgorithm::EcP384,
    SigningBackend as _,
};
use std::time::Duration;

fn generating(fake: &FakeKms, generation: Generation) {
    fake.set(&Settings { generation, ..Settings::default() }).unwrap();
}

fn hiding(fake: &FakeKms, invisible_for: u32) {
    fake.set(&Settings { invisible_for, ..Settings::default() }).unwrap();
}

/// A creation of a new process that waits for nothing.
async fn hurried(fake: &FakeKms, intent: &KeyIntent) -> Result<KeyPin> {
    create_within(Duration::ZERO, &clients(config(fake)), intent).await
}

fn losing(fake: &FakeKms, method: Method) {
    let on = On { method: Some(method), ..On::default() };
    fake.add(on, When::First(1), Effect::LoseAnswer).unwrap();
}

fn is_one(fake: &FakeKms, intent: &KeyIntent) {
    assert_eq!(plant::keys(fake).len(), 1);
    assert_eq!(plant::live(fake, &plant::name(intent)), 1);
}

#[tokio::test]
async fn a_version_that_takes_long_is_waited_for() {
    let fake = fake();
    generating(&fake, Generation::AfterCalls(3));
    let intent = intent(EcP384);
    backend(&fake).create(&intent).await.unwrap();
    is_one(&fake, &intent);
}

#[tokio::test]
async fn who_can_wait_no_longer_is_told_and_the_next_call_goes_on() {
    let fake = fake();
    generating(&fake, Generation::Held);
    let intent = intent(EcP384);
    for _ in 0..2 {
        let Err(SignError::Transient { reason, retry_after: Some(_), .. }) = hurried(&fake, &intent).await
        else {
            panic!("made, or not told when to ask again");
        };
        assert!(reason.contains("is still making") && reason.contains(&plant::name(&intent)), "{reason}");
    }
    let told = transient(backend(&fake).find(&intent).await);
    assert!(told.contains("is making"), "{told}");
    // It is somebody's: no orphan while it is being made.
    let listed = backend(&fake).list(&intent.deployment).await.unwrap();
    assert_eq!(listed.iter().map(|found| found.nonce).collect::<Vec<_>>(), [intent.nonce]);

    generating(&fake, Generation::AfterCalls(0));
    let pin = backend(&fake).create(&intent).await.unwrap();
    is_one(&fake, &intent);
    assert_eq!(backend(&fake).state_of(&pin).await, Ok(KeyState::Usable));
    assert_eq!(fake.count(Method::CreateCryptoKey).unwrap(), 1);
}

#[tokio::test]
async fn a_new_key_is_waited_for_until_it_shows() {
    let fake = fake();
    hiding(&fake, 3);
    let intent = intent(EcP384);
    let pin = backend(&fake).create(&intent).await.unwrap();
    assert_eq!(fake.count(Method::CreateCryptoKey).unwrap(), 1);
    is_one(&fake, &intent);
    assert_eq!(backend(&fake).find(&intent).await, Ok(Some(pin)));
}

#[tokio::test]
async fn a_key_whose_answer_was_lost_and_that_does_not_show_is_not_made_again() {
    let fake = fake();
    hiding(&fake, 4);
    losing(&fake, Method::CreateCryptoKey);
    let intent = intent(EcP384);
    transient(hurried(&fake, &intent).await);
    // Its name is taken, which is all that can be known of it.
    let told = transient(hurried(&fake, &intent).await);
    assert!(told.contains("does not show") && told.contains(&plant::name(&intent)), "{told}");
    backend(&fake).create(&intent).await.unwrap();
    is_one(&fake, &intent);
    assert_eq!(plant::versions(&fake, &plant::name(&intent)), ["1"]);
}

#[tokio::test]
async fn a_key_that_came_to_nothing_gets_another_version() {
    let fake = fake();
    generating(&fake, Generation::Failing);
    let intent = intent(EcP384);
    let told = transient(hurried(&fake, &intent).await);
    assert!(told.contains("came to nothing either") && told.contains(&plant::name(&intent)), "{told}");
    assert_eq!(plant::versions(&fake, &plant::name(&intent)), ["1", "2"]);
    assert_eq!(backend(&fake).find(&intent).await, Ok(None));

    generating(&fake, Generation::AfterCalls(1));
    let pin = backend(&fake).create(&intent).await.unwrap();
    assert!(pin.uri.rest().ends_with("/cryptoKeyVersions/3"), "{}", pin.uri);
    is_one(&fake, &intent);
    assert_eq!(fake.count(Method::CreateCryptoKey).unwrap(), 1);
}

#[tokio::test]
async fn another_version_whose_answer_was_lost_is_found() {
    let fake = fake();
    generating(&fake, Generation::Failing);
    let intent = intent(EcP384);
    transient(hurried(&fake, &intent).await);
    generating(&fake, Generation::AfterCalls(1));
    losing(&fake, Method::CreateCryptoKeyVersion);
    transient(backend(&fake).create(&intent).await);
    let pin = backend(&fake).create(&intent).await.unwrap();
    assert!(pin.uri.rest().ends_with("/cryptoKeyVersions/3"), "{}", pin.uri);
    is_one(&fake, &intent);
}

#[tokio::test]
async fn another_version_is_waited_for_until_it_shows() {
    let fake = fake();
    generating(&fake, Generation::Failing);
    let intent = intent(EcP384);
    transient(hurried(&fake, &intent).await);
    hiding(&fake, 2);
    let pin = backend(&fake).create(&intent).await.unwrap();
    assert!(pin.uri.rest().ends_with("/cryptoKeyVersions/3"), "{}", pin.uri);
    is_one(&fake, &intent);
}

#[tokio::test]
async fn a_key_without_any_version_is_not_given_one_unasked() {
    let fake = fake();
    let intent = intent(EcP384);
    plant::bare(&fake, &intent);
    for told in [transient(hurried(&fake, &intent).await), transient(backend(&fake).find(&intent).await)] {
        assert!(
            told.contains("shows no version of") && told.contains("gcloud kms keys versions create"),
            "{told}"
        );
    }
    assert_eq!(fake.count(Method::CreateCryptoKeyVersion).unwrap(), 0);
    let version = plant::another_version(&fake, &plant::name(&intent));
    assert_eq!(backend(&fake).create(&intent).await.unwrap().uri.rest(), version);
}

#[tokio::test]
async fn what_passes_does_not_end_a_look() {
    let fake = fake();
    let intent = intent(EcP384);
    let pin = backend(&fake).create(&intent).await.unwrap();
    for method in [Method::GetCryptoKey, Method::ListCryptoKeyVersions] {
        for (nth, effect) in [(1, Effect::Reset), (2, Effect::TruncateAnswer), (3, Effect::ProxyPage(502))] {
            fake.add(On { method: Some(method), ..On::default() }, When::Nth(nth), effect).unwrap();
        }
    }
    assert_eq!(backend(&fake).find(&intent).await, Ok(Some(pin)));
}
