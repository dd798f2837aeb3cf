//! Looking for a key among all of an account, and for one that does not show yet.

use super::{backend, config, intent, over, plant, proxy, refusal};
use crate::AwsKmsConfig;
use catalyst_rigs::aws::{Fault, When};
use catalyst_signing::{KeyIntent, KeyLifecycle as _, Refusal, SignError, SignatureAlgorithm as Algorithm};
use serde_json::json;
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

#[tokio::test]
async fn a_new_key_is_waited_for_until_it_shows() {
    let proxy = proxy();
    let intent = intent(Algorithm::EcP384);
    proxy.hide_new_keys(Some(4));
    let pin = backend(&proxy).create(&intent).await.unwrap();
    assert_eq!(proxy.count("CreateKey"), 1);
    proxy.release();
    assert_eq!(backend(&proxy).find(&intent).await, Ok(Some(pin)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_whose_answer_was_lost_is_looked_for_until_it_shows() {
    let proxy = proxy();
    let backend = over(AwsKmsConfig { settle: Duration::from_secs(300), ..config(&proxy) });
    let (backend, intent) = (Arc::new(backend), intent(Algorithm::EcP384));
    proxy.hide_new_keys(None);
    proxy.script(When::calling("CreateKey").nth(1), Fault::AnswerLost);
    assert!(backend.create(&intent).await.is_err_and(|error| error.is_transient()));
    let again = tokio::spawn({
        let (backend, intent) = (backend.clone(), intent.clone());
        async move { backend.create(&intent).await }
    });
    proxy.called("ListKeys", 3).await;
    proxy.release();
    again.await.unwrap().unwrap();
    assert_eq!(proxy.count("CreateKey"), 1);
    assert_eq!(plant::carrying(&proxy, &intent.nonce).len(), 1);
}

#[tokio::test]
async fn who_can_wait_no_longer_is_told_how_long_it_takes() {
    let proxy = proxy();
    let backend = over(AwsKmsConfig { settle: Duration::from_secs(300), ..config(&proxy) });
    let intent = intent(Algorithm::EcP384);
    proxy.script(When::calling("CreateKey"), Fault::Reset);
    assert!(backend.create(&intent).await.is_err_and(|error| error.is_transient()));
    let Err(SignError::Transient { reason, retry_after: Some(left), .. }) = backend.create(&intent).await
    else {
        panic!("made, or not told when");
    };
    assert!(left > Duration::from_secs(100) && left < Duration::from_secs(300), "{left:?}");
    assert!(reason.contains("services key of generation 1"), "{reason}");
    assert_eq!(proxy.count("CreateKey"), 1);
}

#[tokio::test]
async fn a_key_that_never_came_about_is_made_when_the_time_is_over() {
    let proxy = proxy();
    let (backend, intent) = (backend(&proxy), intent(Algorithm::EcP384));
    proxy.script(When::calling("CreateKey").nth(1), Fault::Reset);
    assert!(backend.create(&intent).await.is_err_and(|error| error.is_transient()));
    backend.create(&intent).await.unwrap();
    assert!(proxy.count("ListKeys") >= 2);
    assert_eq!(plant::carrying(&proxy, &intent.nonce).len(), 1);
}

#[tokio::test]
async fn a_look_at_many_keys_survives_what_passes() {
    let proxy = proxy();
    let intent = intent(Algorithm::EcP384);
    let pin = backend(&proxy).create(&intent).await.unwrap();
    for _ in 0..30 {
        plant::key(&proxy, &[]);
    }
    proxy.script(When::calling("ListKeys").nth(1), Fault::Internal);
    proxy.script(When::calling("ListResourceTags").nth(3), Fault::Throttled(None));
    proxy.script(When::calling("ListResourceTags").after(10).first(4), Fault::Unavailable);
    proxy.script(When::calling("DescribeKey").nth(1), Fault::Reset);
    let restarted = backend(&proxy);
    assert_eq!(restarted.find(&intent).await, Ok(Some(pin.clone())));
    proxy.heal();
    let listed = restarted.list(&intent.deployment).await.unwrap();
    let [found] = &listed[..] else { panic!("{listed:?}") };
    assert_eq!((&found.uri, found.nonce, found.generation), (&pin.uri, intent.nonce, 1));
    assert!(found.made_at.is_some());
    assert_eq!(restarted.list("0000000000000000").await, Ok(Vec::new()));
}

#[tokio::test]
async fn a_key_that_may_not_be_read_stops_the_look_unless_it_is_its_own_policy_that_denies() {
    let proxy = proxy();
    let intent = intent(Algorithm::EcP384);
    let pin = backend(&proxy).create(&intent).await.unwrap();
    let theirs = plant::key(&proxy, &[("Description", json!("somebody else's"))]);

    let rule = proxy.script(When::calling("ListResourceTags").of_key(&theirs), Fault::DeniedByKeyPolicy);
    assert_eq!(backend(&proxy).find(&intent).await, Ok(Some(pin.clone())));
    proxy.lift(rule);

    let rule = proxy.script(When::calling("ListResourceTags").of_key(&theirs), Fault::Denied);
    let told = refusal(backend(&proxy).find(&intent).await, Refusal::Denied);
    assert!(told.contains("kms:ListResourceTags") && told.contains(&theirs), "{told}");
    proxy.lift(rule);

    // Gone since it was listed.
    proxy.script(When::calling("ListResourceTags").of_key(&theirs), Fault::NotFound);
    assert_eq!(backend(&proxy).find(&intent).await, Ok(Some(pin)));
}

#[tokio::test]
async fn a_key_that_was_made_and_is_not_to_be_seen_is_not_made_again() {
    let proxy = proxy();
    let backend = backend(&proxy);
    let day = Duration::from_secs(86_400);
    let intent = KeyIntent { created_at: SystemTime::now() - day, ..intent(Algorithm::EcP384) };
    let pin = backend.create(&intent).await.unwrap();
    let rule = proxy.script(When::calling("ListResourceTags"), Fault::NotFound);
    assert!(backend.find(&intent).await.is_err_and(|error| error.is_transient()));
    assert!(backend.create(&intent).await.is_err_and(|error| error.is_transient()));
    proxy.lift(rule);
    assert_eq!(backend.create(&intent).await, Ok(pin));
    assert_eq!(proxy.count("CreateKey"), 1);
}
