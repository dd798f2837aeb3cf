//! What happens behind the callers' backs: time, settings, keys of others, bindings.

use crate::program::{RING, get, plant, post, sign, start, status, with_key};
use catalyst_rigs::{
    gcp::{
        Alteration, Binding, FakeKms, Generation, Grant, Settings,
        api::{Algorithm, Method, State},
    },
    http::Client,
};
use serde_json::{Value, json};
use std::time::Duration;

const KEY: Algorithm = Algorithm::EcSignP256Sha256;

/// Makes a ring and in it a key with one version, whose name it gives.
fn create(fake: &FakeKms) -> String {
    let (location, ring) = RING.split_once("/keyRings/").unwrap();
    post(fake, &format!("{location}/keyRings?keyRingId={ring}"), &json!({})).unwrap();
    let key = json!({"purpose": 5, "version_template": {"algorithm": "EC_SIGN_P256_SHA256"}});
    let answer = post(fake, &format!("{RING}/cryptoKeys?cryptoKeyId=k"), &key).unwrap().json().unwrap();
    format!("{}/cryptoKeyVersions/1", answer["name"].as_str().unwrap())
}

fn state(fake: &FakeKms, version: &str) -> Value {
    get(fake, version).json().unwrap()["state"].take()
}

#[test]
fn generation_is_held_until_it_is_released() {
    let fake = start();
    fake.set(&Settings { generation: Generation::Held, ..Settings::default() }).unwrap();
    let version = create(&fake);
    for _ in 0..3 {
        assert_eq!(state(&fake, &version), "PENDING_GENERATION");
        assert_eq!(status(&sign(&fake, &version).unwrap()), "FAILED_PRECONDITION");
    }
    fake.set(&Settings { generation: Generation::AfterCalls(0), ..Settings::default() }).unwrap();
    while state(&fake, &version) == "PENDING_GENERATION" {}
    assert_eq!(status(&sign(&fake, &version).unwrap()), "OK");
}

#[test]
fn generation_fails_and_the_key_takes_another_version() {
    let fake = start();
    fake.set(&Settings { generation: Generation::Failing, ..Settings::default() }).unwrap();
    let version = create(&fake);
    let failed = get(&fake, &version).json().unwrap();
    assert_eq!(failed["state"], "GENERATION_FAILED");
    assert!(failed["generationFailureReason"].is_string() && failed["generateTime"].is_null(), "{failed}");
    assert_eq!(status(&sign(&fake, &version).unwrap()), "FAILED_PRECONDITION");
    let destroyed = post(&fake, &format!("{version}:destroy"), &json!({})).unwrap();
    assert_eq!(status(&destroyed), "FAILED_PRECONDITION");
    fake.set(&Settings::default()).unwrap();
    let versions = version.strip_suffix("/1").unwrap();
    let next = post(&fake, versions, &json!({})).unwrap().json().unwrap();
    assert_eq!(next["name"], format!("{versions}/2"));
    assert_eq!(state(&fake, &version), "GENERATION_FAILED");
}

#[test]
fn a_new_key_is_invisible_for_a_while_and_its_id_is_taken() {
    let fake = start();
    fake.set(&Settings { invisible_for: 3, ..Settings::default() }).unwrap();
    let version = create(&fake);
    let key = version.strip_suffix("/cryptoKeyVersions/1").unwrap();
    assert_eq!(status(&get(&fake, key)), "NOT_FOUND");
    assert_eq!(get(&fake, &format!("{RING}/cryptoKeys")).json().unwrap(), json!({}));
    let again = json!({"purpose": 5, "versionTemplate": {"algorithm": 12}});
    let again = post(&fake, &format!("{RING}/cryptoKeys?cryptoKeyId=k"), &again).unwrap();
    assert_eq!((again.status, status(&again).as_str()), (409, "ALREADY_EXISTS"));
    assert_eq!(status(&get(&fake, &version)), "NOT_FOUND");
    assert_eq!(status(&get(&fake, key)), "OK");
    assert_eq!(status(&get(&fake, &version)), "OK");
}

#[test]
fn a_version_is_destroyed_when_its_time_has_come() {
    let (fake, version) = with_key(KEY);
    post(&fake, &format!("{version}:destroy"), &json!({})).unwrap();
    fake.advance(Duration::from_secs(29 * 24 * 3600)).unwrap();
    assert_eq!(state(&fake, &version), "DESTROY_SCHEDULED");
    fake.advance(Duration::from_secs(2 * 24 * 3600)).unwrap();
    assert_eq!(state(&fake, &version), "DESTROYED");
    let restored = post(&fake, &format!("{version}:restore"), &json!({})).unwrap();
    assert_eq!(status(&restored), "FAILED_PRECONDITION");
}

#[test]
fn a_version_is_altered_behind_its_owners_back() {
    let (fake, version) = with_key(KEY);
    let key = version.strip_suffix("/cryptoKeyVersions/1").unwrap();
    let public = || get(&fake, &format!("{version}/publicKey")).json().unwrap()["pem"].take();
    let (before, made) = (public(), get(&fake, key).json().unwrap()["createTime"].take());
    let alteration = Alteration {
        import_job: Some(format!("{RING}/importJobs/j")),
        made_later: Some(-3600),
        other_key: true,
        state: Some(State::Enabled),
    };
    fake.alter(&version, &alteration).unwrap();
    assert_ne!(public(), before);
    assert!(get(&fake, key).json().unwrap()["createTime"].as_str() < made.as_str());
    let found = get(&fake, &version).json().unwrap();
    assert_eq!(found["importJob"].as_str(), alteration.import_job.as_deref());
    assert_eq!((found.get("generateTime"), found["createTime"].as_str() < made.as_str()), (None, true));
    fake.alter(&version, &Alteration { state: Some(State::Destroyed), ..Alteration::default() }).unwrap();
    assert_eq!(status(&sign(&fake, &version).unwrap()), "FAILED_PRECONDITION");
    assert!(fake.alter(&version.replace("Versions/1", "Versions/2"), &Alteration::default()).is_err());
}

#[test]
fn a_planted_key_is_there_once() {
    let (fake, version) = with_key(KEY);
    assert_eq!(state(&fake, &version), "ENABLED");
    assert!(plant(&fake, "k", KEY).unwrap_err().to_string().contains("already exists"));
}

#[test]
fn bindings_are_each_tokens_own() {
    let (fake, version) = with_key(KEY);
    let bind = |caller: &str, grant| {
        fake.bind(&Binding { caller: Some(caller.into()), grant, resource: RING.into() }).unwrap();
    };
    bind("signer", Grant::Role("roles/cloudkms.signer".into()));
    bind("reader", Grant::Permissions(vec!["cloudkms.cryptoKeyVersions.get".into()]));
    let read = |token| Client::new(fake.address()).with_token(token).get(&format!("/v1/{version}")).unwrap();
    assert_eq!(
        [read("reader"), read("signer"), read("stranger")].map(|answer| answer.status),
        [200, 403, 401]
    );
    assert_eq!(status(&sign(&fake, &version).unwrap()), "UNAUTHENTICATED");
    let callers: Vec<_> = fake.calls().unwrap().into_iter().map(|call| call.caller).collect();
    assert_eq!(
        callers,
        ["reader", "signer", "stranger"]
            .map(|token| Some(token.into()))
            .into_iter()
            .chain([None])
            .collect::<Vec<_>>()
    );
    assert_eq!(fake.count(Method::GetCryptoKeyVersion).unwrap(), 3);
    fake.unbind().unwrap();
    assert_eq!(status(&sign(&fake, &version).unwrap()), "OK");
    assert!(
        fake.bind(&Binding { caller: None, grant: Grant::Role("roles/owner".into()), resource: RING.into() })
            .is_err()
    );
}

#[test]
fn what_google_does_not_know_is_refused() {
    let (fake, version) = with_key(KEY);
    let unknown = post(&fake, &format!("{version}:asymmetricSign"), &json!({"dat": ""})).unwrap();
    assert!(unknown.text().contains("Unknown name \\\"dat\\\": Cannot find field."), "{}", unknown.text());
    assert_eq!(get(&fake, &format!("{version}?page=1")).status, 400);
    assert_eq!(get(&fake, &format!("{version}/secret")).status, 404);
    let key = version.strip_suffix("/cryptoKeyVersions/1").unwrap();
    assert_eq!(
        Client::new(fake.address()).request("DELETE", &format!("/v1/{key}"), &[], b"").unwrap().status,
        404
    );
}
