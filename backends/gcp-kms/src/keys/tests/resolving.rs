//! Keys that operators name.

use super::{RING, backend, fake, intent, plant, refusal, software, transient};
use catalyst_rigs::gcp::{
    Alteration, Effect, FakeKms, Generation, On, Plant, Refusal as Refused, Settings, When,
    api::{Algorithm as Google, Code, Method, ProtectionLevel, State},
};
use catalyst_signing::{
    KeyLifecycle as _, Refusal,
    SignatureAlgorithm::{EcP256, EcP384, MlDsa65},
    SigningBackend as _, Whereabouts,
};

const KEY: &str = "projects/p/locations/europe-west3/keyRings/r/cryptoKeys/services";

fn becomes(state: State) -> Alteration {
    Alteration { state: Some(state), ..Alteration::default() }
}

fn version(number: u32) -> String {
    format!("{KEY}/cryptoKeyVersions/{number}")
}

/// With a key of so many versions that sign.
fn with_versions(count: usize) -> FakeKms {
    let fake = fake();
    fake.set(&Settings { generation: Generation::AfterCalls(0), ..Settings::default() }).unwrap();
    fake.plant(&plant::plain("services", Google::EcSignP384Sha384)).unwrap();
    for _ in 1..count {
        let made = plant::another_version(&fake, KEY);
        while plant::described(&fake, &made)["state"] == "PENDING_GENERATION" {}
    }
    fake
}

fn deny(fake: &FakeKms, method: Method) {
    let on = On { method: Some(method), ..On::default() };
    fake.add(on, When::Always, Effect::Refuse(Refused::from(Code::PermissionDenied))).unwrap();
}

#[tokio::test]
async fn a_version_is_pinned_as_it_is_named() {
    let fake = with_versions(2);
    let store = backend(&fake);
    let pin = store.resolve(&version(1), EcP384).await.unwrap();
    assert_eq!(pin.uri.to_string(), format!("gcpkms:{}", version(1)));
    assert_eq!(store.resolve(pin.uri.as_str(), EcP384).await.as_ref(), Ok(&pin));
    // Its name is only ever its own.
    assert_eq!(store.whereabouts(&version(1)).await, Ok(None));
    assert_eq!(store.whereabouts(RING).await, Ok(None));
    // The public key alone is enough.
    deny(&fake, Method::GetCryptoKeyVersion);
    assert_eq!(store.resolve(&version(1), EcP384).await, Ok(pin));
}

#[tokio::test]
async fn of_a_key_the_newest_enabled_version_is_pinned() {
    let fake = with_versions(11);
    let store = backend(&fake);
    fake.alter(&version(11), &becomes(State::Disabled)).unwrap();
    // By number, where Google lists by name: 10 is newer than 9.
    let pin = store.resolve(KEY, EcP384).await.unwrap();
    assert_eq!(pin.uri.rest(), version(10));
    let now = Whereabouts { uri: pin.uri.clone(), spki: pin.spki.clone() };
    assert_eq!(store.whereabouts(KEY).await, Ok(Some(now)));
    fake.alter(&version(11), &becomes(State::Enabled)).unwrap();
    let newer = store.whereabouts(KEY).await.unwrap().unwrap();
    assert_eq!(newer.uri.rest(), version(11));
    assert_ne!(newer.spki, pin.spki);
}

#[tokio::test]
async fn a_key_whose_versions_may_not_be_listed_or_do_not_sign_is_refused() {
    let fake = with_versions(1);
    let store = backend(&fake);
    deny(&fake, Method::ListCryptoKeyVersions);
    for told in [
        refusal(store.resolve(KEY, EcP384).await, Refusal::Denied),
        refusal(store.whereabouts(KEY).await, Refusal::Denied),
    ] {
        assert!(told.contains(&format!("grant cloudkms.cryptoKeyVersions.list on {KEY}")), "{told}");
    }
    fake.clear().unwrap();
    fake.alter(&version(1), &becomes(State::Disabled)).unwrap();
    let told = refusal(store.resolve(KEY, EcP384).await, Refusal::Disabled);
    assert!(told.contains(KEY) && told.contains("gcloud kms keys versions enable"), "{told}");
    let told = refusal(store.resolve(&format!("{RING}/cryptoKeys/none"), EcP384).await, Refusal::Missing);
    assert!(told.contains("cryptoKeys/none"), "{told}");
    let told = refusal(store.resolve(RING, EcP384).await, Refusal::Configuration);
    assert!(told.contains(RING) && told.contains("is a key ring"), "{told}");
}

#[tokio::test]
async fn a_version_that_does_not_sign_now_is_refused_with_what_brings_it_back() {
    let fake = with_versions(1);
    let store = backend(&fake);
    for (state, kind, words) in [
        (State::Disabled, Refusal::Disabled, "versions enable"),
        (State::DestroyScheduled, Refusal::Disabled, "versions restore"),
        (State::GenerationFailed, Refusal::Missing, "GENERATION_FAILED"),
        (State::Destroyed, Refusal::Missing, "no key material"),
    ] {
        fake.alter(&version(1), &becomes(state)).unwrap();
        let told = refusal(store.resolve(&version(1), EcP384).await, kind);
        assert!(told.contains(words) && told.contains(&version(1)), "{told}");
    }
    fake.set(&Settings { generation: Generation::Held, ..Settings::default() }).unwrap();
    fake.alter(&version(1), &becomes(State::PendingGeneration)).unwrap();
    let told = transient(store.resolve(&version(1), EcP384).await);
    assert!(told.contains("is being made"), "{told}");
}

#[tokio::test]
async fn a_key_of_another_algorithm_is_refused() {
    let fake = with_versions(1);
    for reference in [KEY, &version(1)] {
        let told = refusal(backend(&fake).resolve(reference, EcP256).await, Refusal::WrongType);
        assert!(told.contains("EC_SIGN_P384_SHA384, and EC_SIGN_P256_SHA256 is wanted"), "{told}");
    }
    // Who may not describe it sees it in the public key.
    deny(&fake, Method::GetCryptoKeyVersion);
    let told = refusal(backend(&fake).resolve(&version(1), EcP256).await, Refusal::WrongType);
    assert!(told.contains("EC_SIGN_P384_SHA384, and EC_SIGN_P256_SHA256 is wanted"), "{told}");
}

#[tokio::test]
async fn ml_dsa_is_taken_with_an_external_mu_alone_and_the_reason_is_told() {
    let fake = fake();
    let plain =
        |id, algorithm| Plant { protection_level: ProtectionLevel::Software, ..plant::plain(id, algorithm) };
    let pure = fake.plant(&plain("pure", Google::PqSignMlDsa65)).unwrap();
    let external = fake.plant(&plain("external", Google::PqSignMlDsa65ExternalMu)).unwrap();
    for describing in [true, false] {
        if !describing {
            deny(&fake, Method::GetCryptoKeyVersion);
        }
        let told = refusal(software(&fake).resolve(&pure, MlDsa65).await, Refusal::WrongType);
        for words in
            ["PQ_SIGN_ML_DSA_65, and PQ_SIGN_ML_DSA_65_EXTERNAL_MU is wanted", "64 KiB", "CRL", "Choose"]
        {
            assert!(told.contains(words), "{told}");
        }
        software(&fake).resolve(&external, MlDsa65).await.unwrap();
    }
}

#[tokio::test]
async fn a_key_in_software_is_refused_where_an_hsm_is_wanted() {
    let fake = fake();
    let protection_level = ProtectionLevel::Software;
    let key =
        fake.plant(&Plant { protection_level, ..plant::plain("soft", Google::EcSignP384Sha384) }).unwrap();
    for describing in [true, false] {
        if !describing {
            deny(&fake, Method::GetCryptoKeyVersion);
        }
        let told = refusal(backend(&fake).resolve(&key, EcP384).await, Refusal::WrongType);
        assert!(told.contains(&key) && told.contains("CATALYST_PKI_GCP_PROTECTION=software"), "{told}");
        software(&fake).resolve(&key, EcP384).await.unwrap();
    }
}

#[tokio::test]
async fn imported_material_is_taken_with_a_caution() {
    let fake = with_versions(1);
    let import_job = Some(format!("{RING}/importJobs/theirs"));
    let store = backend(&fake);
    let own = store.create(&intent(EcP384)).await.unwrap();
    fake.alter(&version(1), &Alteration { import_job, ..Alteration::default() }).unwrap();
    let imported = store.resolve(&version(1), EcP384).await.unwrap();
    for (pin, cautioned) in [(own, false), (imported, true)] {
        let key = store.open(&pin).await.unwrap();
        key.public_key().await.unwrap();
        let caution = key.caution();
        assert_eq!(caution.is_some_and(|words| words.contains("imported")), cautioned, "{}", pin.uri);
    }
}
