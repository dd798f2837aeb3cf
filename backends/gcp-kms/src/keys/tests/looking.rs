//! Listing all keys of a deployment.

use super::{RING, backend, config, fake, intent, over, plant, refusal, rings, transient};
use crate::{
    GcpKmsConfig, Rings,
    tests::wire::{Reply, Server},
};
use catalyst_rigs::gcp::{
    Alteration, Effect, On, Plant, Refusal as Refused, When,
    api::{Code, Method, State},
};
use catalyst_signing::{
    KeyIntent, KeyLifecycle as _, Refusal, SignError, SignatureAlgorithm::EcP384, SigningBackend as _,
};
use serde_json::json;

const DEPLOYMENT: &str = "0123456789abcdef";

fn on(method: Method) -> On {
    On { method: Some(method), ..On::default() }
}

#[tokio::test]
async fn every_key_of_the_deployment_is_listed_and_no_other() {
    let fake = fake();
    let first = intent(EcP384);
    let second = KeyIntent { generation: 2, ..intent(EcP384) };
    let pins = [backend(&fake).create(&first).await.unwrap(), backend(&fake).create(&second).await.unwrap()];
    let theirs = KeyIntent { deployment: "fedcba9876543210".to_owned(), ..intent(EcP384) };
    let their_pin = backend(&fake).create(&theirs).await.unwrap();
    // Without labels, with labels that are no intent, and given up.
    fake.plant(&plant::plain("plain", plant::of(&first).algorithm)).unwrap();
    let broken = intent(EcP384);
    let mut labels = plant::of(&broken).labels;
    labels.insert("catalyst_pki_generation".to_owned(), "first".to_owned());
    fake.plant(&Plant { labels, ..plant::of(&broken) }).unwrap();
    let given_up = backend(&fake).create(&intent(EcP384)).await.unwrap();
    backend(&fake).schedule_destruction(&given_up).await.unwrap();
    // Under a name of its own, with our labels: to be seen by who reconciles.
    let renamed = intent(EcP384);
    let key = format!("{RING}/cryptoKeys/renamed");
    let foreign = fake.plant(&Plant { key, ..plant::of(&renamed) }).unwrap();

    let listed = backend(&fake).list(DEPLOYMENT).await.unwrap();
    let mut found: Vec<_> = listed.iter().map(|found| (found.uri.rest(), found.nonce)).collect();
    let mut wanted = vec![
        (pins[0].uri.rest(), first.nonce),
        (pins[1].uri.rest(), second.nonce),
        (foreign.as_str(), renamed.nonce),
    ];
    found.sort_by_key(|one| one.0);
    wanted.sort_by_key(|one| one.0);
    assert_eq!(found, wanted);
    assert!(listed.iter().all(|found| found.made_at.is_some()));
    let generation = |nonce| listed.iter().find(|found| found.nonce == nonce).unwrap().generation;
    assert_eq!([generation(first.nonce), generation(second.nonce)], [1, 2]);

    let of_others = backend(&fake).list("fedcba9876543210").await.unwrap();
    assert_eq!(of_others.iter().map(|found| &found.uri).collect::<Vec<_>>(), [&their_pin.uri]);
    assert_eq!(backend(&fake).list("0000000000000000").await, Ok(Vec::new()));
}

#[tokio::test]
async fn a_disabled_key_is_listed_too() {
    let fake = fake();
    let intent = intent(EcP384);
    let version = fake.plant(&plant::of(&intent)).unwrap();
    fake.alter(&version, &Alteration { state: Some(State::Disabled), ..Alteration::default() }).unwrap();
    assert_eq!(backend(&fake).list(DEPLOYMENT).await.unwrap().len(), 1);
}

#[tokio::test]
async fn each_ring_is_read_once_whatever_roles_it_is_for() {
    let fake = fake();
    let other = RING.replace("/r", "/root");
    fake.ring(&other).unwrap();
    let store =
        over(GcpKmsConfig { rings: Rings { root: rings(&other).root, ..rings(RING) }, ..config(&fake) });
    let services = intent(EcP384);
    let root = KeyIntent { role: catalyst_signing::KeyRole::Root, ..intent(EcP384) };
    for intent in [&services, &root] {
        store.create(intent).await.unwrap();
    }
    let listed = store.list(DEPLOYMENT).await.unwrap();
    assert_eq!(listed.len(), 2);
    assert_eq!(fake.count(Method::ListCryptoKeys).unwrap(), 2);
    assert!(listed.iter().any(|found| found.uri.rest().starts_with(&other)));
}

#[tokio::test]
async fn many_keys_come_in_pages_and_survive_what_passes() {
    let fake = fake();
    let mut wanted = Vec::new();
    for _ in 0..230 {
        let intent = intent(EcP384);
        fake.plant(&Plant {
            algorithm: catalyst_rigs::gcp::api::Algorithm::EcSignP256Sha256,
            ..plant::of(&intent)
        })
        .unwrap();
        wanted.push(intent.nonce.to_string());
    }
    fake.add(on(Method::ListCryptoKeys), When::Nth(2), Effect::TruncateAnswer).unwrap();
    fake.add(on(Method::ListCryptoKeys), When::Nth(4), Effect::Reset).unwrap();
    let throttled = Refused { code: Code::ResourceExhausted, retry_delay: None };
    fake.add(on(Method::ListCryptoKeyVersions), When::Nth(7), Effect::Refuse(throttled)).unwrap();
    let listed = backend(&fake).list(DEPLOYMENT).await.unwrap();
    let mut found: Vec<String> = listed.iter().map(|found| found.nonce.to_string()).collect();
    found.sort();
    wanted.sort();
    assert_eq!(found, wanted);
    assert_eq!(fake.count(Method::ListCryptoKeys).unwrap(), 5);
}

#[tokio::test]
async fn a_list_that_cannot_be_read_whole_is_none() {
    let fake = fake();
    fake.plant(&plant::of(&intent(EcP384))).unwrap();
    for method in [Method::ListCryptoKeys, Method::ListCryptoKeyVersions] {
        fake.add(on(method), When::Always, Effect::Refuse(Refused::from(Code::PermissionDenied))).unwrap();
        let told = refusal(backend(&fake).list(DEPLOYMENT).await, Refusal::Denied);
        assert!(told.contains(&format!("grant {} on", method.permission())), "{told}");
        fake.clear().unwrap();
        fake.add(on(method), When::Always, Effect::Reset).unwrap();
        transient(backend(&fake).list(DEPLOYMENT).await);
        fake.clear().unwrap();
    }
    let gone = over(GcpKmsConfig { rings: rings(&RING.replace("/r", "/gone")), ..config(&fake) });
    let told = refusal(gone.list(DEPLOYMENT).await, Refusal::Missing);
    assert!(told.contains("keyRings/gone"), "{told}");
}

#[tokio::test]
async fn a_key_of_another_ring_is_not_listed() {
    let fake = fake();
    let theirs = plant::of(&intent(EcP384));
    for name in [theirs.key.replace("keyRings/r/", "keyRings/other/"), "somewhere".to_owned()] {
        let keys = json!({ "cryptoKeys": [{ "name": name, "labels": theirs.labels }] });
        let server = Server::always(Reply::json(200, &keys)).await;
        let store = over(GcpKmsConfig { endpoint: Some(server.endpoint()), ..config(&fake) });
        let error = store.list(DEPLOYMENT).await.unwrap_err();
        assert!(matches!(&error, SignError::Integrity { .. }), "{error}");
        assert!(error.to_string().contains("a key of another key ring"), "{error}");
        assert_eq!(server.take().len(), 1, "nothing more is asked about it");
    }
}

#[tokio::test]
async fn a_version_of_another_key_is_no_version_of_this_one() {
    let fake = fake();
    let ours = plant::of(&intent(EcP384));
    let version = json!({
        "name": format!("{RING}/cryptoKeys/theirs/cryptoKeyVersions/1"),
        "state": "ENABLED",
        "algorithm": "EC_SIGN_P384_SHA384",
        "protectionLevel": "HSM",
    });
    let key = json!({ "name": ours.key, "labels": ours.labels });
    let server = Server::start(move |request| {
        let listed = match request.line.contains("/cryptoKeyVersions") {
            true => json!({ "cryptoKeyVersions": [version] }),
            false => json!({ "cryptoKeys": [key] }),
        };
        Reply::json(200, &listed)
    })
    .await;
    let store = over(GcpKmsConfig { endpoint: Some(server.endpoint()), ..config(&fake) });
    for error in [
        store.list(DEPLOYMENT).await.unwrap_err(),
        store.resolve(&ours.key, EcP384).await.unwrap_err(),
        store.whereabouts(&ours.key).await.unwrap_err(),
    ] {
        assert!(matches!(&error, SignError::Integrity { .. }), "{error}");
        assert!(error.to_string().contains("a version of another key"), "{error}");
    }
}
