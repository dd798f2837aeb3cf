//! Giving keys up.

use super::{OTHER_REGION, REGION, backend, intent, plant, proxy, refusal, replicating};
use catalyst_rigs::aws::{Fault, When};
use catalyst_signing::{
    KeyIntent, KeyLifecycle as _, KeyPin, KeyState, Nonce, Refusal, SignatureAlgorithm as Algorithm,
    SigningBackend as _,
};

#[tokio::test]
async fn a_key_is_destroyed_in_thirty_days_and_asking_again_changes_nothing() {
    let proxy = proxy();
    let backend = backend(&proxy);
    let pin = backend.create(&intent(Algorithm::EcP384)).await.unwrap();
    backend.schedule_destruction(&pin).await.unwrap();
    let left = plant::metadata(&proxy, REGION, pin.uri.rest());
    assert_eq!(left["KeyState"], "PendingDeletion");
    assert_eq!(backend.open(&pin).await.unwrap().state().await, Ok(KeyState::DestructionScheduled));
    backend.schedule_destruction(&pin).await.unwrap();
    assert_eq!(proxy.count("ScheduleKeyDeletion"), 1);
    // It comes back with its name, should it be wanted again.
    assert_eq!(plant::aliases(&proxy, pin.uri.rest()).len(), 1);
}

#[tokio::test]
async fn a_primary_key_goes_with_its_replicas() {
    let proxy = proxy();
    let backend = replicating(&proxy);
    let pin = backend.create(&intent(Algorithm::EcP384)).await.unwrap();
    backend.schedule_destruction(&pin).await.unwrap();
    let id = pin.uri.rest().rsplit('/').next().unwrap();
    assert_eq!(plant::metadata(&proxy, OTHER_REGION, id)["KeyState"], "PendingDeletion");
    let regions: Vec<_> = proxy
        .calls()
        .into_iter()
        .filter(|call| call.operation == "ScheduleKeyDeletion")
        .map(|call| call.region)
        .collect();
    assert_eq!(regions, [OTHER_REGION, REGION]);
}

#[tokio::test]
async fn a_primary_key_without_replicas_goes_alone() {
    let proxy = proxy();
    let backend = replicating(&proxy);
    proxy.script(When::calling("ReplicateKey"), Fault::Denied);
    let pin = backend.create(&intent(Algorithm::EcP384)).await.unwrap();
    backend.schedule_destruction(&pin).await.unwrap();
}

#[tokio::test]
async fn nothing_but_the_pinned_key_is_touched() {
    let proxy = proxy();
    let backend = backend(&proxy);
    let first = intent(Algorithm::EcP384);
    let pin = backend.create(&first).await.unwrap();
    let other = backend.create(&KeyIntent { nonce: Nonce::random().unwrap(), ..first }).await.unwrap();
    let wrong = KeyPin { spki: other.spki, ..pin.clone() };
    let told = refusal(backend.schedule_destruction(&wrong).await, Refusal::Ambiguous);
    assert!(told.contains(pin.uri.rest()) && told.contains("nothing was changed"), "{told}");
    assert_eq!(proxy.count("ScheduleKeyDeletion"), 0);
}

#[tokio::test]
async fn who_may_not_look_may_still_give_up_and_who_may_not_is_told_what_to_allow() {
    let proxy = proxy();
    let backend = backend(&proxy);
    let pin = backend.create(&intent(Algorithm::EcP384)).await.unwrap();
    proxy.script(When::calling("DescribeKey"), Fault::Denied);
    proxy.script(When::calling("GetPublicKey"), Fault::Denied);
    let rule = proxy.script(When::calling("ScheduleKeyDeletion"), Fault::Denied);
    let told = refusal(backend.schedule_destruction(&pin).await, Refusal::Denied);
    assert!(told.contains("kms:ScheduleKeyDeletion"), "{told}");
    proxy.lift(rule);
    backend.schedule_destruction(&pin).await.unwrap();
}
