//! What is taken for the key of an intent, and what is not.

use super::{OTHER_REGION, REGION, backend, config, intent, over, plant, proxy, refusal, replicating};
use crate::AwsKmsConfig;
use catalyst_rigs::aws::{Fault, FaultProxy, Says, When};
use catalyst_signing::{KeyIntent, KeyLifecycle as _, Refusal, SignatureAlgorithm as Algorithm};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

/// What `find` and `create` say of a key that stands in the way: the same.
async fn told(proxy: &FaultProxy, intent: &KeyIntent, kind: Refusal) -> String {
    let backend = backend(proxy);
    let told = refusal(backend.find(intent).await, kind);
    assert_eq!(refusal(backend.create(intent).await, kind), told);
    told
}

fn planted(proxy: &FaultProxy, intent: &KeyIntent, more: &[(&str, Value)]) -> String {
    plant::key(proxy, &[&[("Tags", plant::tags(intent))], more].concat())
}

#[tokio::test]
async fn a_key_with_the_very_tags_is_adopted_and_completed() {
    let proxy = proxy();
    let intent = intent(Algorithm::EcP384);
    let arn = planted(&proxy, &intent, &[]);
    let made = proxy.count("CreateKey");
    let pin = backend(&proxy).create(&intent).await.unwrap();
    assert_eq!((pin.uri.rest(), proxy.count("CreateKey")), (arn.as_str(), made));
    assert_eq!(plant::aliases(&proxy, &arn), ["alias/catalyst-pki/0123456789abcdef/services-1"]);
}

#[tokio::test]
async fn what_speaks_against_a_key_is_named() {
    let proxy = proxy();

    let older = intent(Algorithm::EcP384);
    let arn = planted(&proxy, &older, &[]);
    let earlier = Says::MadeEarlier(Duration::from_secs(301));
    let rule = proxy.script(When::any().of_key(&arn), Fault::Says(earlier));
    let words = told(&proxy, &older, Refusal::Ambiguous).await;
    assert!(words.contains(&arn) && words.contains("before it was wanted"), "{words}");
    proxy.lift(rule);
    // A clock may be off by as much as this.
    let earlier = Says::MadeEarlier(Duration::from_secs(290));
    proxy.script(When::any().of_key(&arn), Fault::Says(earlier));
    backend(&proxy).find(&older).await.unwrap().unwrap();

    let imported = intent(Algorithm::EcP384);
    let arn = planted(&proxy, &imported, &[("Origin", json!("EXTERNAL"))]);
    let words = told(&proxy, &imported, Refusal::Ambiguous).await;
    assert!(words.contains(&arn) && words.contains("its origin is EXTERNAL"), "{words}");

    let renamed = intent(Algorithm::EcP384);
    let arn = planted(&proxy, &KeyIntent { generation: 2, ..renamed.clone() }, &[]);
    let words = told(&proxy, &renamed, Refusal::Ambiguous).await;
    assert!(words.contains(&arn) && words.contains("its tags are not those of services 1"), "{words}");

    let another = intent(Algorithm::EcP384);
    let arn = planted(&proxy, &another, &[("KeySpec", json!("ECC_NIST_P256"))]);
    let words = told(&proxy, &another, Refusal::WrongType).await;
    assert!(words.contains(&arn) && words.contains("ECC_NIST_P256"), "{words}");

    let twice = intent(Algorithm::EcP384);
    let twins = [planted(&proxy, &twice, &[]), planted(&proxy, &twice, &[])];
    let words = told(&proxy, &twice, Refusal::Ambiguous).await;
    assert!(twins.iter().all(|arn| words.contains(arn)), "{words}");

    let disabled = intent(Algorithm::EcP384);
    let arn = planted(&proxy, &disabled, &[]);
    proxy.caller(REGION).ask("DisableKey", &json!({"KeyId": arn})).unwrap();
    let words = told(&proxy, &disabled, Refusal::Disabled).await;
    assert!(words.contains(&arn) && words.contains("enable-key"), "{words}");
}

#[tokio::test]
async fn a_key_that_was_given_up_counts_for_nothing() {
    let proxy = proxy();
    let intent = intent(Algorithm::EcP384);
    let given_up = planted(&proxy, &intent, &[]);
    proxy.caller(REGION).ask("ScheduleKeyDeletion", &json!({"KeyId": given_up})).unwrap();
    let restarted = backend(&proxy);
    assert_eq!(restarted.find(&intent).await, Ok(None));
    assert_eq!(restarted.list(&intent.deployment).await, Ok(Vec::new()));
    let pin = restarted.create(&intent).await.unwrap();
    assert_ne!(pin.uri.rest(), given_up);
    assert_eq!(backend(&proxy).find(&intent).await, Ok(Some(pin)));
}

#[tokio::test]
async fn a_replica_is_not_taken_for_the_key() {
    let proxy = proxy();
    let intent = intent(Algorithm::EcP384);
    let pin = replicating(&proxy).create(&intent).await.unwrap();
    let moved = over(AwsKmsConfig { region: Some(OTHER_REGION.to_owned()), ..config(&proxy) });
    let words = refusal(moved.find(&intent).await, Refusal::Ambiguous);
    assert!(words.contains(&format!("it is a replica of {}", pin.uri.rest())), "{words}");
    assert_eq!(moved.list(&intent.deployment).await, Ok(Vec::new()));
}

#[tokio::test]
async fn an_intent_of_an_earlier_process_is_found_however_old_it_is() {
    let proxy = proxy();
    let intent = KeyIntent {
        created_at: SystemTime::now() - Duration::from_secs(86_400),
        ..intent(Algorithm::EcP384)
    };
    let pin = backend(&proxy).create(&intent).await.unwrap();
    assert_eq!(backend(&proxy).create(&intent).await, Ok(pin));
    assert_eq!(proxy.count("CreateKey"), 1);
}
