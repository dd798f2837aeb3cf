//! What is asked of Cloud KMS for a new key, and what its refusals come to.

use super::{RING, backend, config, fake, intent, over, plant, refusal, rings, software, transient};
use crate::GcpKmsConfig;
use catalyst_rigs::gcp::{
    Effect, FakeKms, On, Refusal as Refused, Settings, When,
    api::{Algorithm as Google, Code, Method},
};
use catalyst_signing::{KeyIntent, KeyLifecycle as _, KeyRole, Refusal, SignatureAlgorithm as Algorithm};
use serde_json::json;
use std::sync::Arc;
use tokio::task::JoinSet;

const EC: Algorithm = Algorithm::EcP384;

fn on(method: Method) -> On {
    On { method: Some(method), ..On::default() }
}

#[tokio::test]
async fn a_key_is_made_with_its_intent() {
    let fake = fake();
    let intent = intent(EC);
    let pin = backend(&fake).create(&intent).await.unwrap();
    assert_eq!(pin.uri.rest(), format!("{RING}/cryptoKeys/services-1-{}/cryptoKeyVersions/1", intent.nonce));
    assert!(EC.verifier(&pin.spki).is_some());

    let made = plant::described(&fake, &plant::name(&intent));
    assert_eq!(made["purpose"], "ASYMMETRIC_SIGN");
    assert_eq!(
        made["versionTemplate"],
        json!({"algorithm": "EC_SIGN_P384_SHA384", "protectionLevel": "HSM"})
    );
    assert_eq!(made["destroyScheduledDuration"], "2592000s");
    assert_eq!(
        made["labels"],
        json!({
            "catalyst_pki_deployment": "0123456789abcdef",
            "catalyst_pki_role": "services",
            "catalyst_pki_generation": "1",
            "catalyst_pki_nonce": intent.nonce.to_string(),
        })
    );
    assert_eq!(fake.count(Method::ListCryptoKeys).unwrap(), 0, "nobody else's keys are read");
}

#[tokio::test]
async fn every_role_has_its_ring_and_the_longest_name_fits() {
    let fake = fake();
    let ring = |id: &str| RING.replace("/r", &format!("/{id}"));
    fake.ring(&ring("root")).unwrap();
    let mut of_roles = rings(RING);
    of_roles.root = rings(&ring("root")).root;
    let store = over(GcpKmsConfig { rings: of_roles, ..config(&fake) });
    for role in KeyRole::ALL {
        let intent = KeyIntent { role: *role, generation: u32::MAX, ..intent(EC) };
        let pin = store.create(&intent).await.unwrap();
        let wanted = if *role == KeyRole::Root { ring("root") } else { RING.to_owned() };
        assert!(
            pin.uri.rest().starts_with(&format!("{wanted}/cryptoKeys/{role}-4294967295-")),
            "{}",
            pin.uri
        );
    }
}

#[tokio::test]
async fn where_software_is_good_enough_keys_are_made_there_and_of_more_algorithms() {
    let fake = fake();
    for (algorithm, google) in
        [(EC, "EC_SIGN_P384_SHA384"), (Algorithm::MlDsa65, "PQ_SIGN_ML_DSA_65_EXTERNAL_MU")]
    {
        let intent = intent(algorithm);
        software(&fake).create(&intent).await.unwrap();
        let made = plant::described(&fake, &plant::name(&intent));
        assert_eq!(made["versionTemplate"], json!({"algorithm": google, "protectionLevel": "SOFTWARE"}));
    }
    let told = refusal(backend(&fake).create(&intent(Algorithm::MlDsa65)).await, Refusal::Unsupported);
    assert!(told.contains("choose another algorithm, protection level or location"), "{told}");
}

#[tokio::test]
async fn a_location_without_an_hsm_is_told_apart() {
    let fake = fake();
    let settings = Settings { software_only: vec![Google::EcSignP384Sha384], ..Settings::default() };
    fake.set(&settings).unwrap();
    let told = refusal(backend(&fake).create(&intent(EC)).await, Refusal::Unsupported);
    assert!(
        told.contains(RING) && told.contains("choose another algorithm, protection level or location"),
        "{told}"
    );
    assert!(plant::keys(&fake).is_empty());
}

#[tokio::test]
async fn a_key_ring_is_not_made_and_one_that_is_missing_is_named() {
    let fake = FakeKms::start().unwrap();
    let wanted = intent(EC);
    let told = refusal(backend(&fake).create(&wanted).await, Refusal::Missing);
    assert!(told.contains(RING) && told.contains("gcloud kms keyrings create"), "{told}");
    assert_eq!(backend(&fake).find(&wanted).await, Ok(None));
    assert_eq!(fake.count(Method::CreateKeyRing).unwrap(), 0);
    fake.ring(RING).unwrap();
    backend(&fake).create(&wanted).await.unwrap();

    let nowhere = over(GcpKmsConfig { rings: crate::Rings::default(), ..config(&fake) });
    let told = refusal(nowhere.create(&wanted).await, Refusal::Configuration);
    assert!(told.contains("CATALYST_PKI_KMS_KEY_NAME"), "{told}");
}

#[tokio::test]
async fn what_is_refused_is_told_and_costs_nothing() {
    for (code, kind, words) in [
        (Code::PermissionDenied, Refusal::Denied, "grant cloudkms.cryptoKeys.create on"),
        (Code::Unimplemented, Refusal::Unsupported, "choose another algorithm"),
    ] {
        let fake = fake();
        let (backend, intent) = (backend(&fake), intent(EC));
        fake.add(on(Method::CreateCryptoKey), When::First(1), Effect::Refuse(Refused::from(code))).unwrap();
        let told = refusal(backend.create(&intent).await, kind);
        assert!(told.contains(words), "{told}");
        backend.create(&intent).await.unwrap();
        assert_eq!(plant::keys(&fake).len(), 1);
    }
}

#[tokio::test]
async fn a_creation_that_failed_or_whose_answer_was_lost_is_not_repeated_blindly() {
    for effect in [
        Effect::Refuse(Refused::from(Code::Unavailable)),
        Effect::RefuseAfterwards(Refused::from(Code::DeadlineExceeded)),
        Effect::RefuseAfterwards(Refused::from(Code::Internal)),
        Effect::Reset,
        Effect::LoseAnswer,
        Effect::TruncateAnswer,
        Effect::ProxyPage(502),
    ] {
        let fake = fake();
        let (backend, intent) = (backend(&fake), intent(EC));
        fake.add(on(Method::CreateCryptoKey), When::First(1), effect.clone()).unwrap();
        transient(backend.create(&intent).await);
        assert_eq!(fake.count(Method::CreateCryptoKey).unwrap(), 1, "{effect:?}");
        let pin = backend.create(&intent).await.unwrap();
        assert_eq!(plant::keys(&fake).len(), 1, "{effect:?}");
        assert_eq!(plant::versions(&fake, &plant::name(&intent)), ["1"], "{effect:?}");
        assert_eq!(backend.find(&intent).await, Ok(Some(pin)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_for_one_intent_make_one_key() {
    let fake = fake();
    let intent = intent(EC);
    let one = Arc::new(backend(&fake));
    let mut calls = JoinSet::new();
    for number in 0..12 {
        // Some through one process, the others each of their own.
        let backend = if number % 2 == 0 { one.clone() } else { Arc::new(backend(&fake)) };
        let intent = intent.clone();
        calls.spawn(async move { backend.create(&intent).await.unwrap() });
    }
    let made = calls.join_all().await;
    assert!(made.iter().all(|pin| *pin == made[0]));
    assert_eq!(plant::keys(&fake).len(), 1);
    assert_eq!(plant::versions(&fake, &plant::name(&intent)), ["1"]);
}

#[tokio::test]
async fn a_key_in_the_former_ring_of_its_role_stops_another() {
    let fake = fake();
    let intent = intent(EC);
    fake.add(on(Method::CreateCryptoKey), When::First(1), Effect::LoseAnswer).unwrap();
    transient(backend(&fake).create(&intent).await);
    // Services get a key ring of their own; the former is still the others'.
    let other = RING.replace("/r", "/services");
    fake.ring(&other).unwrap();
    let of_roles = crate::Rings { services: rings(&other).services, ..rings(RING) };
    let moved = over(GcpKmsConfig { rings: of_roles, ..config(&fake) });
    let told = refusal(moved.create(&intent).await, Refusal::Ambiguous);
    assert!(told.contains(&plant::name(&intent)) && told.contains(&other), "{told}");
    assert!(told.contains("set the former key ring again"), "{told}");

    let pin = backend(&fake).create(&intent).await.unwrap();
    backend(&fake).schedule_destruction(&pin).await.unwrap();
    assert!(moved.create(&intent).await.unwrap().uri.rest().starts_with(&other));

    // Where nothing may be read, nothing stands in the way.
    let denied = Effect::Refuse(Refused::from(Code::PermissionDenied));
    let there = On { resource: Some(RING.to_owned()), ..On::default() };
    fake.add(there, When::Always, denied).unwrap();
    moved.create(&super::intent(EC)).await.unwrap();
}

#[tokio::test]
async fn a_key_in_a_ring_that_is_not_set_any_more_is_found_when_it_is_set_again() {
    let fake = fake();
    let intent = intent(EC);
    fake.add(on(Method::CreateCryptoKey), When::First(1), Effect::LoseAnswer).unwrap();
    transient(backend(&fake).create(&intent).await);
    let other = RING.replace("/r", "/other");
    fake.ring(&other).unwrap();
    let elsewhere = over(GcpKmsConfig { rings: rings(&other), ..config(&fake) });
    let pin = elsewhere.create(&intent).await.unwrap();
    assert!(pin.uri.rest().starts_with(&other), "{}", pin.uri);
    // As the documentation says: it stays behind, and is shown where it is.
    let left = backend(&fake).list(&intent.deployment).await.unwrap();
    assert_eq!(left.iter().map(|found| found.nonce).collect::<Vec<_>>(), [intent.nonce]);
}
