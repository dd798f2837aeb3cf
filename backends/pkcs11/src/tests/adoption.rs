//! What is taken for the key of an intent, and what is not.

use super::{backend, both, intent, plant, refusal};
use catalyst_signing::{
    KeyLifecycle as _, KeyRole, Refusal, SignatureAlgorithm as Algorithm, SigningBackend as _,
};
use cryptoki::object::{Attribute, ObjectClass};
use std::{sync::Arc, time::Duration};
use tokio::{task::JoinSet, time::timeout};

#[tokio::test]
async fn a_made_key_is_kept_by_its_token_and_does_nothing_but_sign() {
    for token in both() {
        let backend = backend(&token);
        for algorithm in [Algorithm::EcP384, Algorithm::Ed25519, Algorithm::Rsa3072] {
            let intent = intent(KeyRole::Services, 1, algorithm);
            let pin = backend.create(&intent).await.unwrap();
            let uses = plant::private_attributes(&backend, intent.nonce.as_bytes()).await;
            for has in [
                Attribute::Token(true),
                Attribute::Private(true),
                Attribute::Sensitive(true),
                Attribute::Extractable(false),
                Attribute::Sign(true),
                Attribute::Local(true),
                Attribute::Label(b"catalyst-pki/0123456789abcdef/services-1".to_vec()),
            ] {
                assert!(uses.contains(&has), "{algorithm}: {has:?} in {uses:?}");
            }
            for hasnt in [Attribute::Decrypt(true), Attribute::Unwrap(true), Attribute::Derive(true)] {
                assert!(!uses.contains(&hasnt), "{algorithm}: {hasnt:?}");
            }
            assert_eq!(backend.open(&pin).await.unwrap().caution(), None);
        }
    }
}

#[tokio::test]
async fn of_two_public_keys_the_one_that_verifies_is_right() {
    for token in both() {
        let backend = backend(&token);
        for algorithm in [Algorithm::EcP384, Algorithm::Rsa3072] {
            // What a crash leaves of a pair: its public key alone.
            let intent = intent(KeyRole::Services, 1, algorithm);
            let stray = backend.create(&intent).await.unwrap();
            plant::destroy(&backend, ObjectClass::PRIVATE_KEY, intent.nonce.as_bytes()).await;
            assert_eq!(backend.find(&intent).await, Ok(None));
            let made = backend.create(&intent).await.unwrap();
            assert_ne!(made.spki, stray.spki);
            assert_eq!(plant::objects(&backend, ObjectClass::PUBLIC_KEY, intent.nonce.as_bytes()).await, 2);
            assert_eq!(backend.find(&intent).await, Ok(Some(made.clone())));
            assert_eq!(backend.create(&intent).await.as_ref(), Ok(&made));
            let open = backend.open(&made).await.unwrap();
            assert_eq!(open.public_key().await, Ok(Some(made.spki)));
        }
    }
}

#[tokio::test]
async fn a_private_key_alone_is_not_guessed_at() {
    let token = super::softhsm();
    let backend = backend(&token);
    let intent = intent(KeyRole::Services, 1, Algorithm::EcP384);
    backend.create(&intent).await.unwrap();
    plant::destroy(&backend, ObjectClass::PUBLIC_KEY, intent.nonce.as_bytes()).await;
    for answer in [backend.find(&intent).await.map(drop), backend.create(&intent).await.map(drop)] {
        let told = refusal(answer, Refusal::Missing);
        assert!(told.contains(&intent.nonce.to_string()), "{told}");
        assert!(told.contains("remove the private key by hand and try again"), "{told}");
    }
}

#[tokio::test]
async fn what_speaks_against_a_key_is_named() {
    for token in both() {
        let backend = backend(&token);
        let wanted = |algorithm| intent(KeyRole::Services, 1, algorithm);

        let imported = wanted(Algorithm::EcP384);
        plant::imported(&backend, &imported).await;
        let told = refusal(backend.find(&imported).await, Refusal::Ambiguous);
        assert!(
            told.contains("CKA_LOCAL is not true") && told.contains(&imported.nonce.to_string()),
            "{told}"
        );

        let left_once = wanted(Algorithm::EcP384);
        let may_leave = [Attribute::Extractable(true)];
        plant::pair(&backend, left_once.nonce.as_bytes(), "x", &may_leave).await;
        plant::change(&backend, left_once.nonce.as_bytes(), Attribute::Extractable(false)).await;
        let told = refusal(backend.create(&left_once).await, Refusal::Ambiguous);
        assert!(told.contains("CKA_NEVER_EXTRACTABLE is not true"), "{told}");
        assert!(!told.contains("CKA_EXTRACTABLE is not false"), "{told}");

        let another = wanted(Algorithm::Rsa3072);
        plant::pair(&backend, another.nonce.as_bytes(), "x", &[]).await;
        let told = refusal(backend.create(&another).await, Refusal::Ambiguous);
        assert!(told.contains("it is an EC key on P-384, not RSA-3072"), "{told}");

        let twice = wanted(Algorithm::EcP384);
        backend.create(&twice).await.unwrap();
        plant::pair(&backend, twice.nonce.as_bytes(), "x", &[]).await;
        let told = refusal(backend.find(&twice).await, Refusal::Ambiguous);
        assert!(told.contains("2 private keys"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_for_one_intent_make_one_key_even_where_callers_go_away() {
    for token in both() {
        let backend = Arc::new(backend(&token));
        let intent = intent(KeyRole::Services, 1, Algorithm::Rsa3072);
        let mut calls = JoinSet::new();
        for i in 0..8_u64 {
            let (backend, intent) = (backend.clone(), intent.clone());
            calls.spawn(async move {
                match i % 2 {
                    0 => Some(backend.create(&intent).await.unwrap()),
                    // Gone before the key is made; the work at the token goes on.
                    _ => timeout(Duration::from_millis(i * 10), backend.create(&intent))
                        .await
                        .ok()
                        .map(Result::unwrap),
                }
            });
        }
        let made: Vec<_> = calls.join_all().await.into_iter().flatten().collect();
        assert!(made.len() >= 4 && made.iter().all(|pin| *pin == made[0]));
        assert_eq!(plant::objects(&backend, ObjectClass::PRIVATE_KEY, intent.nonce.as_bytes()).await, 1);
    }
}
