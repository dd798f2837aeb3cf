//! What is taken for the key of an intent, and what is not.

use super::{RING, backend, fake, intent, plant, refusal, software};
use crate::GcpKmsBackend;
use catalyst_rigs::gcp::{
    Alteration, Effect, FakeKms, On, Plant, Tamper, When,
    api::{Algorithm as Google, Method, ProtectionLevel, State},
};
use catalyst_signing::{
    KeyIntent, KeyLifecycle as _, Refusal, SignError, SignatureAlgorithm::EcP384, SigningBackend as _,
};
use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

/// What `find` and `create` say of a key that stands in the way: the same, and nothing is made.
async fn told(fake: &FakeKms, intent: &KeyIntent, kind: Refusal) -> String {
    told_by(&backend(fake), fake, intent, kind).await
}

async fn told_by(store: &GcpKmsBackend, fake: &FakeKms, intent: &KeyIntent, kind: Refusal) -> String {
    let told = refusal(store.find(intent).await, kind);
    assert_eq!(refusal(store.create(intent).await, kind), told);
    for method in [Method::CreateCryptoKey, Method::CreateCryptoKeyVersion] {
        assert_eq!(fake.count(method).unwrap(), 0);
    }
    assert!(told.contains(&plant::name(intent)), "{told}");
    told
}

fn altered(fake: &FakeKms, intent: &KeyIntent, alteration: &Alteration) -> String {
    let version = fake.plant(&plant::of(intent)).unwrap();
    fake.alter(&version, alteration).unwrap();
    version
}

#[tokio::test]
async fn a_key_with_the_very_name_and_labels_is_adopted() {
    let fake = fake();
    let intent = intent(EcP384);
    let version = fake.plant(&plant::of(&intent)).unwrap();
    let pin = backend(&fake).create(&intent).await.unwrap();
    assert_eq!(pin.uri.rest(), version);
    assert_eq!(backend(&fake).find(&intent).await, Ok(Some(pin)));
    assert_eq!(fake.count(Method::CreateCryptoKey).unwrap(), 0);
}

#[tokio::test]
async fn labels_that_are_not_the_intents_stop_it() {
    let fake = fake();
    let wanted = intent(EcP384);
    let own = plant::of(&wanted).labels;
    let changed = |label: &str, value: &str| {
        let mut labels = own.clone();
        labels.insert(format!("catalyst_pki_{label}"), value.to_owned());
        labels
    };
    let mut unlabelled = own.clone();
    unlabelled.remove("catalyst_pki_nonce");
    for labels in [
        BTreeMap::new(),
        unlabelled,
        changed("deployment", "fedcba9876543210"),
        changed("role", "transport"),
        changed("role", "nobody"),
        changed("generation", "2"),
        changed("nonce", "00000000000000000000000000000000"),
    ] {
        let fake = super::fake();
        fake.plant(&Plant { labels, ..plant::of(&wanted) }).unwrap();
        let words = told(&fake, &wanted, Refusal::Ambiguous).await;
        assert!(words.contains("its labels are not those of services 1"), "{words}");
        assert!(words.contains("gcloud kms keys versions destroy"), "{words}");
    }
    // Those of others besides ours are nobody's business.
    let mut more = own.clone();
    more.insert("team".to_owned(), "pki".to_owned());
    fake.plant(&Plant { labels: more, ..plant::of(&wanted) }).unwrap();
    backend(&fake).find(&wanted).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_key_older_than_its_intent_stops_it() {
    let fake = fake();
    let older = intent(EcP384);
    altered(&fake, &older, &Alteration { made_later: Some(-302), ..Alteration::default() });
    let words = told(&fake, &older, Refusal::Ambiguous).await;
    assert!(words.contains("it was made before it was wanted"), "{words}");
    // A clock may be off by as much as this.
    let nearly = intent(EcP384);
    altered(&fake, &nearly, &Alteration { made_later: Some(-240), ..Alteration::default() });
    backend(&fake).find(&nearly).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_key_that_was_not_generated_there_stops_it() {
    let fake = fake();
    let imported = intent(EcP384);
    let import_job = Some(format!("{RING}/importJobs/theirs"));
    altered(&fake, &imported, &Alteration { import_job, ..Alteration::default() });
    let words = told(&fake, &imported, Refusal::Ambiguous).await;
    assert!(words.contains("it was imported"), "{words}");
}

#[tokio::test]
async fn a_key_of_another_kind_stops_it() {
    let fake = fake();
    for algorithm in [Google::EcSignP256Sha256, Google::GoogleSymmetricEncryption] {
        let another = intent(EcP384);
        fake.plant(&Plant { algorithm, ..plant::of(&another) }).unwrap();
        let words = told(&fake, &another, Refusal::WrongType).await;
        assert!(words.contains("and EC_SIGN_P384_SHA384 is wanted"), "{words}");
    }

    let weaker = intent(EcP384);
    let protection_level = ProtectionLevel::Software;
    fake.plant(&Plant { protection_level, ..plant::of(&weaker) }).unwrap();
    let words = told(&fake, &weaker, Refusal::WrongType).await;
    assert!(words.contains("protection level SOFTWARE, and HSM is wanted"), "{words}");
    assert!(words.contains("CATALYST_PKI_GCP_PROTECTION=software"), "{words}");
    software(&fake).find(&weaker).await.unwrap().unwrap();
    // What is safer than is wanted is taken.
    let safer = intent(EcP384);
    fake.plant(&plant::of(&safer)).unwrap();
    software(&fake).find(&safer).await.unwrap().unwrap();
}

#[tokio::test]
async fn of_two_versions_that_sign_or_will_none_is_taken() {
    let fake = fake();
    let twice = intent(EcP384);
    let first = fake.plant(&plant::of(&twice)).unwrap();
    let second = plant::another_version(&fake, &plant::name(&twice));
    let store = backend(&fake);
    let words = refusal(store.find(&twice).await, Refusal::Ambiguous);
    assert_eq!(refusal(store.create(&twice).await, Refusal::Ambiguous), words);
    assert!(words.contains(&first) && words.contains(&second), "{words}");

    // As the sentence says: one of them is given up.
    fake.alter(&second, &Alteration { state: Some(State::DestroyScheduled), ..Alteration::default() })
        .unwrap();
    assert_eq!(store.create(&twice).await.unwrap().uri.rest(), first);
}

#[tokio::test]
async fn a_disabled_version_is_to_be_enabled_and_no_other_is_made() {
    let fake = fake();
    let disabled = intent(EcP384);
    let state = |state| Alteration { state: Some(state), ..Alteration::default() };
    let version = altered(&fake, &disabled, &state(State::Disabled));
    let words = told(&fake, &disabled, Refusal::Disabled).await;
    assert!(words.contains(&format!("gcloud kms keys versions enable {version}")), "{words}");
    fake.alter(&version, &state(State::Enabled)).unwrap();
    backend(&fake).create(&disabled).await.unwrap();
}

#[tokio::test]
async fn a_version_that_was_given_up_counts_for_nothing() {
    for state in [State::DestroyScheduled, State::Destroyed, State::GenerationFailed] {
        let fake = fake();
        let intent = intent(EcP384);
        let given_up = altered(&fake, &intent, &Alteration { state: Some(state), ..Alteration::default() });
        let restarted = backend(&fake);
        assert_eq!(restarted.find(&intent).await, Ok(None));
        assert_eq!(restarted.list(&intent.deployment).await, Ok(Vec::new()));
        let pin = restarted.create(&intent).await.unwrap();
        assert_ne!(pin.uri.rest(), given_up);
        assert_eq!(pin.uri.rest(), format!("{}/cryptoKeyVersions/2", plant::name(&intent)));
        assert_eq!(backend(&fake).find(&intent).await, Ok(Some(pin)));
        assert_eq!(plant::keys(&fake).len(), 1);
    }
}

#[tokio::test]
async fn what_was_given_up_of_a_foreign_key_does_not_make_it_ours() {
    let fake = fake();
    let intent = intent(EcP384);
    let version = fake.plant(&Plant { labels: BTreeMap::new(), ..plant::of(&intent) }).unwrap();
    let destroyed = Alteration { state: Some(State::Destroyed), ..Alteration::default() };
    fake.alter(&version, &destroyed).unwrap();
    told(&fake, &intent, Refusal::Ambiguous).await;
}

#[tokio::test]
async fn an_intent_of_an_earlier_process_is_found_however_old_it_is() {
    let fake = fake();
    let day = Duration::from_secs(86_400);
    let intent = KeyIntent { created_at: SystemTime::now() - day, ..intent(EcP384) };
    let pin = backend(&fake).create(&intent).await.unwrap();
    assert_eq!(backend(&fake).create(&intent).await, Ok(pin.clone()));
    assert_eq!(backend(&fake).resolve(pin.uri.rest(), EcP384).await, Ok(pin));
    assert_eq!(fake.count(Method::CreateCryptoKey).unwrap(), 1);
}

#[tokio::test]
async fn an_answer_for_another_key_is_not_believed() {
    let fake = fake();
    let intent = intent(EcP384);
    let pin = backend(&fake).create(&intent).await.unwrap();
    let other = format!("{RING}/cryptoKeys/other/cryptoKeyVersions/1");
    for method in [Method::GetCryptoKey, Method::GetPublicKey] {
        let on = On { method: Some(method), ..On::default() };
        fake.add(on, When::First(2), Effect::Tamper(Tamper::Name(other.clone()))).unwrap();
        for answer in
            [backend(&fake).find(&intent).await.map(drop), backend(&fake).create(&intent).await.map(drop)]
        {
            let Err(SignError::Integrity { reason }) = answer else { panic!("{method:?} was believed") };
            assert!(reason.contains("it answered for") && reason.contains(&plant::name(&intent)), "{reason}");
        }
    }
    assert_eq!(backend(&fake).find(&intent).await, Ok(Some(pin)));
}
