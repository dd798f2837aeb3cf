//! What Cloud KMS is asked to sign, and what an open key says of itself.

use super::{
    wire::{Reply, Server},
    *,
};
use aws_lc_rs::{
    digest::{SHA256, SHA384, digest},
    encoding::AsDer,
    signature::{KeyPair, ML_DSA_65_SIGNING, PqdsaKeyPair},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use catalyst_rigs::gcp::{Alteration, Refusal as Refused, api::Code, api::State, crc32c};
use catalyst_signing::{KeyState, Refusal, SignError};
use serde_json::{Value, json};

/// What a signature of this message is asked for with.
async fn asked(pin: &KeyPin, message: &[u8]) -> Value {
    let server = Server::always(Reply::with(503, "", "")).await;
    let config = GcpKmsConfig { protection: Protection::Software, ..config(&server.endpoint()) };
    let key = backend(config).open(pin).await.unwrap();
    key.sign(message).await.unwrap_err();
    let calls = server.take();
    assert_eq!(calls.len(), 1, "a signature is one call");
    assert!(calls[0].line.starts_with(&format!("POST /v1/{VERSION}:asymmetricSign")), "{}", calls[0].line);
    serde_json::from_str(&calls[0].body).unwrap()
}

fn digested(kind: &str, octets: &[u8]) -> Value {
    let digest = BASE64_STANDARD.encode(octets);
    json!({ "digest": { kind: digest }, "digestCrc32c": crc32c(octets).to_string() })
}

#[tokio::test]
async fn ecdsa_and_rsa_are_asked_for_by_digest_and_its_checksum() {
    use SignatureAlgorithm as A;
    for (algorithm, name, hash) in [
        (A::EcP384, "sha384", &SHA384),
        (A::EcP256, "sha256", &SHA256),
        (A::Rsa3072, "sha256", &SHA256),
        (A::Rsa4096, "sha256", &SHA256),
        (A::Rsa3072Pss, "sha256", &SHA256),
        (A::Rsa4096Pss, "sha256", &SHA256),
    ] {
        for message in [&b""[..], b"short", &[7; 100_000]] {
            let expected = digested(name, digest(hash, message).as_ref());
            assert_eq!(asked(&pin(algorithm), message).await, expected);
        }
    }
}

#[tokio::test]
async fn ed25519_goes_as_it_is_and_no_further_than_64_kib() {
    let longest = vec![7; 65_536];
    let data = BASE64_STANDARD.encode(&longest);
    let expected = json!({ "data": data, "dataCrc32c": crc32c(&longest).to_string() });
    assert_eq!(asked(&pin(SignatureAlgorithm::Ed25519), &longest).await, expected);

    let server = Server::always(Reply::with(503, "", "")).await;
    let key = backend(config(&server.endpoint())).open(&pin(SignatureAlgorithm::Ed25519)).await.unwrap();
    for message in [vec![7; 65_537], Vec::new()] {
        let refused = key.sign(&message).await.unwrap_err();
        assert!(matches!(&refused, SignError::Refused { kind: Refusal::Unsupported, .. }), "{refused}");
    }
    assert!(server.take().is_empty());
}

#[tokio::test]
async fn ml_dsa_goes_as_mu_however_long_the_message_is() {
    let key = PqdsaKeyPair::generate(&ML_DSA_65_SIGNING).unwrap();
    let spki = key.public_key().as_der().unwrap().as_ref().to_vec();
    let pin = KeyPin { spki, ..pin(SignatureAlgorithm::MlDsa65) };
    for message in [&b""[..], b"short", &[7; 100_000]] {
        let mu = pin.external_mu(message).unwrap();
        assert_eq!(asked(&pin, message).await, digested("externalMu", &mu));
    }
}

/// One rate is not the other's: Google counts signatures of HSM keys apart.
#[test]
fn keys_draw_from_the_quota_of_their_project_location_and_protection_level() {
    let of = |protection, uri: &str| {
        let config = GcpKmsConfig { protection, ..config("http://127.0.0.1:1") };
        let quota = backend(config).quota(&KeyUri::parse(&format!("gcpkms:{uri}")).unwrap());
        assert_eq!(quota.per_second, Some(1000.0));
        quota.name
    };
    assert_eq!(of(Protection::Hsm, VERSION), "gcpkms:p:europe-west3:hsm");
    assert_eq!(of(Protection::Software, VERSION), "gcpkms:p:europe-west3:software");
    assert_eq!(of(Protection::Hsm, &VERSION.replace("/r/", "/other/")), of(Protection::Hsm, VERSION));
    assert_ne!(of(Protection::Hsm, &VERSION.replace("west3", "west1")), of(Protection::Hsm, VERSION));
}

/// A checksum that is zero is sent like any other.
#[tokio::test]
async fn a_checksum_of_zero_is_sent() {
    use catalyst_rigs::gcp::{ZERO_CHECKSUM_OF_SHA384, with_zero_checksum};
    let asked_with = asked(&pin(SignatureAlgorithm::EcP384), ZERO_CHECKSUM_OF_SHA384).await;
    assert_eq!(asked_with["digestCrc32c"], "0");
    let message = with_zero_checksum(b"a message");
    assert_eq!(asked(&pin(SignatureAlgorithm::Ed25519), &message).await["dataCrc32c"], "0");
}

#[tokio::test]
async fn a_key_that_may_only_sign_signs() {
    let rig = Rig::of(P384).await;
    for method in [Method::GetPublicKey, Method::GetCryptoKeyVersion] {
        let on = On { method: Some(method), ..On::default() };
        let denied = Effect::Refuse(Refused::from(Code::PermissionDenied));
        rig.fake.add(on, When::Always, denied).unwrap();
    }
    let key = rig.open().await;
    assert_eq!(key.public_key().await.unwrap(), None);
    assert_eq!(key.state().await.unwrap(), KeyState::Unknown);
    assert_eq!(key.caution(), None);
    key.sign(b"message").await.unwrap();
}

#[tokio::test]
async fn a_key_says_how_it_is_and_what_brings_it_back() {
    let rig = Rig::of(P384).await;
    let key = rig.open().await;
    for (state, expected, advice) in [
        (State::Disabled, KeyState::Disabled, "gcloud kms keys versions enable"),
        (State::DestroyScheduled, KeyState::DestructionScheduled, "gcloud kms keys versions restore"),
        (State::Destroyed, KeyState::Gone, "gone for good"),
    ] {
        rig.fake.alter(VERSION, &Alteration { state: Some(state), ..Alteration::default() }).unwrap();
        assert_eq!(key.state().await.unwrap(), expected);
        let error = key.sign(b"message").await.unwrap_err();
        assert!(matches!(&error, SignError::Refused { kind: Refusal::Disabled, .. }), "{error}");
        assert!(error.to_string().contains(advice), "{error}");
    }
    rig.fake.alter(VERSION, &Alteration { state: Some(State::Enabled), ..Alteration::default() }).unwrap();
    assert_eq!(key.state().await.unwrap(), KeyState::Usable);
    key.sign(b"message").await.unwrap();
    rig.wrong(Method::GetCryptoKeyVersion, Effect::Refuse(Refused::from(Code::NotFound)));
    assert_eq!(key.state().await.unwrap(), KeyState::Gone);
}

#[tokio::test]
async fn imported_material_is_a_caution() {
    let rig = Rig::of(P384).await;
    let job = Some(format!("{RING}/importJobs/j"));
    rig.fake.alter(VERSION, &Alteration { import_job: job, ..Alteration::default() }).unwrap();
    let key = rig.open().await;
    assert_eq!(key.caution(), None);
    key.public_key().await.unwrap();
    assert!(key.caution().unwrap().contains("imported"));
}

#[tokio::test]
async fn an_operator_sees_what_a_way_into_cloud_kms_is() {
    let rig = Rig::of(P384).await;
    let facts = async || {
        let facts = rig.backend.describe().await.unwrap();
        facts.into_iter().map(|fact| format!("{}: {}", fact.name, fact.value)).collect::<Vec<_>>()
    };
    let expected = |listing: &str| {
        [
            format!("endpoint: {}", rig.fake.endpoint()),
            "protection: HSM".to_owned(),
            "credentials: Application Default Credentials (gcloud's file, or else the metadata server)"
                .to_owned(),
            format!("key ring: {RING}"),
            format!("listing keys: {listing}"),
        ]
    };
    assert_eq!(facts().await, expected("allowed"));
    rig.wrong(Method::ListCryptoKeys, Effect::Refuse(Refused::from(Code::PermissionDenied)));
    assert_eq!(facts().await, expected("not allowed (cloudkms.cryptoKeys.list)"));
    rig.wrong(Method::ListCryptoKeys, Effect::Refuse(Refused::from(Code::Unavailable)));
    assert!(rig.backend.describe().await.unwrap_err().is_transient());
}
