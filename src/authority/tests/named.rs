//! Existing keys that settings name, and what is said of keys that are used.

use super::*;
use catalyst_signing::{KeyIntent, KeyLifecycle, KeyRole, Nonce};
use std::time::SystemTime;

async fn existing(keys: &Flaky, role: KeyRole) -> String {
    let intent = KeyIntent {
        nonce: Nonce::random().unwrap(),
        deployment: "0123456789abcdef".into(),
        role,
        generation: 50,
        algorithm: SignatureAlgorithm::EcP384,
        created_at: SystemTime::now(),
    };
    keys.create(&intent).await.unwrap().uri.to_string()
}

fn named(setting: &str, reference: &str) -> Option<NamedKey> {
    Some(NamedKey { reference: reference.into(), setting: Some(setting.into()) })
}

fn further() -> IntermediateRequest {
    IntermediateRequest { common_name: "Services CA 2".into(), ..IntermediateRequest::default() }
}

async fn uri(store: &Arc<dyn Store>, role: crate::store::KeyRole, generation: u32) -> String {
    let keys = store.hierarchy().await.unwrap().keys;
    let row =
        keys.into_iter().find(|row| (row.intention.role, row.intention.generation) == (role, generation));
    row.unwrap().made.unwrap().uri
}

#[tokio::test]
async fn keys_that_settings_name_are_taken_once() {
    let (store, keys) = (store(), Flaky::default());
    let [root, services, token] = [
        existing(&keys, KeyRole::Root).await,
        existing(&keys, KeyRole::Services).await,
        existing(&keys, KeyRole::Token).await,
    ];
    let references = KeyReferences {
        root: named("KEY", &root),
        services: named("KEY_SERVICES", &services),
        transport: None,
        tokens: named("KEY_TOKENS", &token),
    };
    let ca = configured_authority(&store, &keys, |config| config.key_references = references.clone()).await;
    ca.initialize(InitRequest::default(), Actor::Service).await.unwrap();
    ca.token_key().await.unwrap();
    use crate::store::KeyRole::{Ca, Token};
    assert_eq!(uri(&store, Ca(CaRole::Root), 1).await, root);
    assert_eq!(uri(&store, Ca(CaRole::Services), 1).await, services);
    assert_eq!(uri(&store, Ca(CaRole::Transport), 1).await, "local:transport-1");
    assert_eq!(uri(&store, Token, 1).await, token);
    assert_eq!(ca.status().await.unwrap().notes, [""; 0]);

    let again = ca.create_intermediate(further(), Actor::Service).await.unwrap_err();
    assert!(matches!(again, AuthorityError::Conflict(_)), "{again}");
    assert!(again.to_string().contains("name another one in KEY_SERVICES, or unset it"), "{again}");
    let rotated = ca.next_token_key(Actor::Service).await.unwrap_err();
    assert!(rotated.to_string().contains("KEY_TOKENS"), "{rotated}");

    // What a request names outranks the setting, and a key store of another name has no use for it.
    let other = existing(&keys, KeyRole::Probe).await;
    let request = IntermediateRequest { key_reference: Some(other.clone()), ..further() };
    ca.create_intermediate(request, Actor::Service).await.unwrap();
    assert_eq!(uri(&store, Ca(CaRole::Services), 2).await, other);
    let notes = ca.status().await.unwrap().notes;
    let wanted = format!(
        "KEY_SERVICES names {services}, the services CA's key is {other}: the pin rules; unset it or make a new generation"
    );
    assert!(notes.contains(&wanted), "{notes:?}");
}

#[tokio::test]
async fn what_cannot_be_taken_is_found_before_anything_is_planned() {
    let (store, keys) = (store(), Flaky::default());
    let one = existing(&keys, KeyRole::Root).await;
    for (services, sentence) in [
        (one.as_str(), "KEY and KEY_SERVICES name one key"),
        ("local:services-9", "which KEY_SERVICES names, cannot be taken"),
    ] {
        let references = KeyReferences {
            root: named("KEY", &one),
            services: named("KEY_SERVICES", services),
            ..KeyReferences::default()
        };
        let ca = configured_authority(&store, &keys, |config| config.key_references = references).await;
        let error = ca.initialize(InitRequest::default(), Actor::Service).await.unwrap_err().to_string();
        assert!(error.contains(sentence), "{error}");
        assert!(store.hierarchy().await.unwrap().plan.is_none());
    }
    let ca = authority(&store, &keys).await;
    ca.initialize(InitRequest::default(), Actor::Service).await.unwrap();
}

#[tokio::test]
async fn a_setting_of_later_changes_no_key_and_is_told() {
    let (store, keys) = (store(), Flaky::default());
    authority(&store, &keys).await.initialize(InitRequest::default(), Actor::Service).await.unwrap();
    let references =
        KeyReferences { transport: named("KEY_TRANSPORT", "a label"), ..KeyReferences::default() };
    let ca = configured_authority(&store, &keys, |config| config.key_references = references).await;
    ca.issue_with_new_key(workload(&ca, "n1"), None, None, Actor::Service).await.unwrap();
    let status = ca.status().await.unwrap();
    assert_eq!(
        status.notes,
        [
            "KEY_TRANSPORT names a label, the transport CA's key is local:transport-1: the pin rules; unset it or make a new generation"
        ]
    );
    assert_eq!(status.health, Health::Healthy, "{:?}", status.warnings);
}

#[tokio::test]
async fn a_caution_is_told_as_long_as_the_key_is_used() {
    let (store, keys) = (store(), Flaky::default());
    keys.caution(Some("its key may leave the token"));
    let ca = authority(&store, &keys).await;
    ca.initialize(InitRequest::default(), Actor::Service).await.unwrap();
    ca.token_key().await.unwrap();
    let status = ca.status().await.unwrap();
    assert_eq!(status.health, Health::Healthy, "{:?}", status.warnings);
    for name in ["Catalyst Root CA", "Catalyst Services CA", "Catalyst Transport CA", "token key"] {
        assert!(status.notes.contains(&format!("{name}: its key may leave the token")), "{:?}", status.notes);
    }
    // Another process, another time: somebody has put it right.
    keys.caution(None);
    let ca = authority(&store, &keys).await;
    ca.issue_with_new_key(workload(&ca, "n1"), None, None, Actor::Service).await.unwrap();
    assert_eq!(ca.status().await.unwrap().notes, [""; 0]);
}
