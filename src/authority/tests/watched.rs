//! What is learned of keys that are used, and of those that wait to be.

use super::*;
use catalyst_signing::{KeyIntent, KeyLifecycle, KeyState, Nonce};
use std::time::SystemTime;

async fn made(keys: &Flaky, generation: u32) -> String {
    let intent = KeyIntent {
        nonce: Nonce::random().unwrap(),
        deployment: "0123456789abcdef".into(),
        role: catalyst_signing::KeyRole::Services,
        generation,
        algorithm: SignatureAlgorithm::EcP384,
        created_at: SystemTime::now(),
    };
    keys.create(&intent).await.unwrap().uri.to_string()
}

async fn initialized(store: &Arc<dyn Store>, keys: &Flaky, references: KeyReferences) -> Arc<Authority> {
    let ca = configured_authority(store, keys, |config| config.key_references = references).await;
    ca.initialize(InitRequest::default(), Actor::Service).await.unwrap();
    ca.sign_due_crls().await;
    ca
}

fn services(reference: &str) -> KeyReferences {
    let named = NamedKey { reference: reference.into(), setting: Some("KEY_SERVICES".into()) };
    KeyReferences { services: Some(named), ..KeyReferences::default() }
}

#[tokio::test]
async fn a_root_that_will_be_destroyed_shows_although_nobody_opens_it() {
    let (store, keys) = (store(), Flaky::default());
    let ca = initialized(&store, &keys, KeyReferences::default()).await;
    ca.ask_key_stores().await;
    assert_eq!(ca.status().await.unwrap().health, Health::Healthy);

    keys.state(KeyState::DestructionScheduled);
    ca.ask_key_stores().await;
    let status = ca.status().await.unwrap();
    assert_eq!(status.health, Health::Degraded);
    let wanted =
        "Catalyst Root CA: its key local:root-1 will be destroyed by its key store: cancel that there";
    assert!(status.warnings.iter().any(|warning| warning.starts_with(wanted)), "{:?}", status.warnings);
    let gauges = ca.gauges().await.unwrap();
    let root = gauges.keys.iter().find(|key| key.name == "Catalyst Root CA").unwrap();
    assert_eq!((root.state, root.condition), (KeyState::DestructionScheduled, KeyCondition::Closed));

    // An answer that is missing takes nothing back; one that says otherwise does.
    keys.fail_all();
    ca.ask_key_stores().await;
    assert!(ca.status().await.unwrap().warnings.iter().any(|warning| warning.starts_with(wanted)));
    keys.fail_none();
    keys.state(KeyState::Usable);
    ca.ask_key_stores().await;
    let warnings = ca.status().await.unwrap().warnings;
    assert!(!warnings.iter().any(|warning| warning.starts_with(wanted)), "{warnings:?}");
}

#[tokio::test]
async fn what_its_key_store_says_of_an_open_key_shows_while_it_still_signs() {
    for (state, wanted) in [
        (KeyState::Disabled, "is disabled in its key store and signs nothing: enable it there"),
        (KeyState::Gone, "is no longer in its key store"),
    ] {
        let (store, keys) = (store(), Flaky::default());
        keys.state(state);
        let ca = initialized(&store, &keys, KeyReferences::default()).await;
        ca.token_key().await.unwrap();
        let name = "Catalyst Services CA: its key local:services-1 ";
        loop {
            let status = ca.status().await.unwrap();
            if status.warnings.iter().any(|warning| warning.starts_with(&format!("{name}{wanted}"))) {
                assert_eq!(status.health, Health::Degraded);
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        ca.issue_with_new_key(workload(&ca, "n1"), None, None, Actor::Service).await.unwrap();
    }
}

#[tokio::test]
async fn a_key_that_signs_elsewhere_is_told_as_long_as_it_does() {
    let (store, keys) = (store(), Flaky::default());
    let ca = initialized(&store, &keys, KeyReferences::default()).await;
    let elsewhere = async || {
        let gauges = ca.gauges().await.unwrap();
        let of_services = gauges.keys.into_iter().find(|key| key.name == "Catalyst Services CA");
        of_services.unwrap().elsewhere
    };
    assert_eq!(elsewhere().await, None);
    keys.elsewhere(Some("eu-west-1"));
    keys.caution(Some("it signs in eu-west-1"));
    assert_eq!(elsewhere().await.as_deref(), Some("eu-west-1"));
    let notes = ca.status().await.unwrap().notes;
    assert!(notes.contains(&"Catalyst Services CA: it signs in eu-west-1".to_owned()), "{notes:?}");
    assert!(!notes.iter().any(|note| note.starts_with("Catalyst Root CA")), "it is not open: {notes:?}");
    keys.elsewhere(None);
    keys.caution(None);
    assert_eq!(elsewhere().await, None);
    assert_eq!(ca.status().await.unwrap().notes, [""; 0]);
}

#[tokio::test]
async fn a_name_that_leads_to_another_key_is_noticed_and_the_pin_rules() {
    let (store, keys) = (store(), Flaky::default());
    let (first, second) = (made(&keys, 50).await, made(&keys, 51).await);
    keys.alias("alias/Services", &first);
    let ca = initialized(&store, &keys, services("alias/Services")).await;
    ca.ask_key_stores().await;
    assert_eq!(ca.status().await.unwrap().notes, [""; 0]);

    keys.alias("alias/Services", &second);
    ca.ask_key_stores().await;
    let status = ca.status().await.unwrap();
    assert_eq!(
        status.notes,
        [format!(
            "alias/Services names {second} now, the key of Catalyst Services CA is {first}: the pin rules; point it back, or make a new generation"
        )]
    );
    assert_eq!(status.health, Health::Healthy, "{:?}", status.warnings);
    ca.issue_with_new_key(workload(&ca, "n1"), None, None, Actor::Service).await.unwrap();

    keys.alias("alias/Services", &first);
    ca.ask_key_stores().await;
    assert_eq!(ca.status().await.unwrap().notes, [""; 0]);
}

#[tokio::test]
async fn a_name_that_was_moved_before_its_key_was_taken_is_no_news() {
    let (store, keys) = (store(), Flaky::default());
    let (first, second) = (made(&keys, 50).await, made(&keys, 51).await);
    keys.alias("alias/Services", &first);
    let references = services("alias/Services");
    let ca = configured_authority(&store, &keys, |config| config.key_references = references).await;
    ca.ask_key_stores().await;
    keys.alias("alias/Services", &second);
    ca.initialize(InitRequest::default(), Actor::Service).await.unwrap();
    assert_eq!(ca.status().await.unwrap().notes, [""; 0]);
}

#[tokio::test]
async fn a_name_that_was_moved_is_no_news_once_a_generation_was_made_for_it() {
    let (store, keys) = (store(), Flaky::default());
    let (first, second) = (made(&keys, 50).await, made(&keys, 51).await);
    keys.alias("alias/Services", &first);
    let ca = initialized(&store, &keys, services("alias/Services")).await;
    keys.alias("alias/Services", &second);
    ca.ask_key_stores().await;
    let said = async || {
        let mut notes = ca.status().await.unwrap().notes;
        notes.retain(|note| note.starts_with("alias/Services names "));
        notes
    };
    assert_eq!(said().await.len(), 1);
    let request = IntermediateRequest { common_name: "Catalyst Services CA v2".into(), ..Default::default() };
    ca.create_intermediate(request, Actor::Service).await.unwrap();
    assert_eq!(said().await, [""; 0]);

    keys.alias("alias/Services", &first);
    ca.ask_key_stores().await;
    let wanted =
        format!("alias/Services names {first} now, the key of Catalyst Services CA v2 is {second}: ");
    let notes = said().await;
    assert!(matches!(&notes[..], [note] if note.starts_with(&wanted)), "{notes:?}");
}

/// Another name for the key that is used is no other key.
#[tokio::test]
async fn a_setting_that_names_the_same_key_otherwise_is_no_news() {
    let (store, keys) = (store(), Flaky::default());
    let first = made(&keys, 50).await;
    initialized(&store, &keys, services(&first)).await;
    keys.alias("alias/Services", &first);
    let references = services("alias/Services");
    let ca = configured_authority(&store, &keys, |config| config.key_references = references).await;
    ca.ask_key_stores().await;
    assert_eq!(ca.status().await.unwrap().notes, [""; 0]);
}
