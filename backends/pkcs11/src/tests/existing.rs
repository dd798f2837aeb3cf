//! Keys that are there already, as operators name them.

use super::{backend, both, config, intent, plant, refusal};
use crate::Pkcs11Backend;
use catalyst_signing::{
    KeyLifecycle as _, KeyPin, KeyRole, KeyState, KeyUri, Refusal, SignatureAlgorithm as Algorithm,
    SigningBackend as _,
};
use cryptoki::object::{Attribute, ObjectClass};

const MESSAGE: &[u8] = b"what a CA signs";

/// The pinned key opens and signs.
async fn signs(backend: &Pkcs11Backend, pin: &KeyPin) {
    let key = backend.open(pin).await.unwrap();
    assert_eq!(key.public_key().await.unwrap().as_ref(), Some(&pin.spki));
    assert_eq!(key.state().await, Ok(KeyState::Usable));
    let signature = key.sign(MESSAGE).await.unwrap();
    assert!(pin.algorithm.verify(&pin.spki, MESSAGE, &signature));
}

#[tokio::test]
async fn a_key_is_named_by_label_or_uri_and_kept_by_serial_number_and_id() {
    for token in both() {
        let backend = backend(&token);
        plant::pair(&backend, &[7, 0xab], "services 2026", &[]).await;
        let pin = backend.resolve("services 2026", Algorithm::EcP384).await.unwrap();
        assert!(pin.uri.as_str().starts_with("pkcs11:serial="), "{}", pin.uri);
        assert!(pin.uri.as_str().ends_with(";id=%07%AB"), "{}", pin.uri);
        for reference in [
            format!("pkcs11:token={};object=services%202026", token.label),
            format!("pkcs11:token={};id=%07%ab;type=private", token.label),
            pin.uri.to_string(),
        ] {
            assert_eq!(
                backend.resolve(&reference, Algorithm::EcP384).await.as_ref(),
                Ok(&pin),
                "{reference}"
            );
        }
        signs(&backend, &pin).await;
        assert_eq!(backend.open(&pin).await.unwrap().caution(), None);
    }
}

#[tokio::test]
async fn another_algorithm_another_token_and_nothing_at_all_are_told_apart() {
    for token in both() {
        let backend = backend(&token);
        plant::pair(&backend, &[1], "services", &[]).await;
        let pin = backend.resolve("services", Algorithm::EcP384).await.unwrap();
        for algorithm in [Algorithm::EcP256, Algorithm::Rsa3072, Algorithm::Ed25519] {
            let told = refusal(backend.resolve("services", algorithm).await, Refusal::WrongType);
            assert!(told.contains(&format!("an EC key on P-384, not {algorithm}")), "{told}");
            refusal(backend.open(&KeyPin { algorithm, ..pin.clone() }).await, Refusal::WrongType);
        }
        let told = refusal(backend.resolve("transport", Algorithm::EcP384).await, Refusal::Missing);
        assert!(told.contains("'transport' names no private key on pkcs11"), "{told}");
        assert!(told.contains(&format!("pkcs11-tool --module {}", token.module.display())), "{told}");

        let moved = KeyPin { uri: KeyUri::parse("pkcs11:serial=0ld;id=%01").unwrap(), ..pin };
        let told = refusal(backend.open(&moved).await, Refusal::Missing);
        assert!(told.contains("serial number '0ld'") && told.contains(&token.label), "{told}");
        assert!(told.contains("initialised anew"), "{told}");
    }
}

#[tokio::test]
async fn several_keys_are_listed_and_none_is_chosen() {
    for token in both() {
        let backend = backend(&token);
        plant::pair(&backend, &[1], "services", &[]).await;
        plant::pair(&backend, &[2], "services", &[]).await;
        let told = refusal(backend.resolve("services", Algorithm::EcP384).await, Refusal::Ambiguous);
        assert!(told.contains("id=%01") && told.contains("id=%02"), "{told}");

        plant::pair(&backend, &[1], "transport", &[]).await;
        let by_id = format!("pkcs11:token={};id=%01", token.label);
        refusal(backend.resolve(&by_id, Algorithm::EcP384).await, Refusal::Ambiguous);
        let pin = backend.resolve("transport", Algorithm::EcP384).await.unwrap();
        assert!(pin.uri.as_str().ends_with(";id=%01;object=transport"), "{}", pin.uri);
        signs(&backend, &pin).await;
    }
}

#[tokio::test]
async fn a_key_that_may_leave_is_refused_or_carries_a_caution_for_ever() {
    for token in both() {
        let strict = backend(&token);
        plant::pair(&strict, &[1], "extractable", &[Attribute::Extractable(true)]).await;
        plant::pair(&strict, &[2], "open", &[Attribute::Sensitive(false), Attribute::Extractable(true)])
            .await;
        let told = refusal(strict.resolve("extractable", Algorithm::EcP384).await, Refusal::Configuration);
        assert!(
            told.contains("CKA_EXTRACTABLE is true")
                && told.contains("CATALYST_PKI_PKCS11_REQUIRE_SENSITIVE to false"),
            "{told}"
        );
        refusal(strict.resolve("open", Algorithm::EcP384).await, Refusal::Configuration);

        let lenient = crate::TokenConfig { require_sensitive: false, ..config(&token) };
        let lenient = Pkcs11Backend::new(lenient);
        let pin = lenient.resolve("extractable", Algorithm::EcP384).await.unwrap();
        signs(&lenient, &pin).await;
        let caution = lenient.open(&pin).await.unwrap().caution().unwrap();
        assert_eq!(caution, "it may leave the token: CKA_EXTRACTABLE is true");
        let pin = lenient.resolve("open", Algorithm::EcP384).await.unwrap();
        let caution = lenient.open(&pin).await.unwrap().caution().unwrap();
        assert!(
            caution.starts_with("it is not sensitive: CKA_SENSITIVE is not true, and it may"),
            "{caution}"
        );
        refusal(strict.open(&pin).await, Refusal::Configuration);
    }
}

#[tokio::test]
async fn a_key_that_is_switched_off_or_taken_away_says_so() {
    for token in both() {
        let backend = backend(&token);
        plant::pair(&backend, &[1], "services", &[]).await;
        let pin = backend.resolve("services", Algorithm::EcP384).await.unwrap();
        let open = backend.open(&pin).await.unwrap();
        open.sign(MESSAGE).await.unwrap();
        plant::change(&backend, &[1], Attribute::Sign(false)).await;
        assert_eq!(open.state().await, Ok(KeyState::Disabled));
        let told = refusal(backend.open(&pin).await, Refusal::Disabled);
        assert!(told.contains("CKA_SIGN is false"), "{told}");
        plant::destroy(&backend, ObjectClass::PRIVATE_KEY, &[1]).await;
        assert_eq!(open.state().await, Ok(KeyState::Gone));
        refusal(open.sign(MESSAGE).await, Refusal::Missing);
    }
}

#[tokio::test]
async fn a_public_key_of_another_s_is_not_pinned() {
    for token in both() {
        let backend = backend(&token);
        plant::pair(&backend, &[1], "services", &[]).await;
        let right = backend.resolve("services", Algorithm::EcP384).await.unwrap();
        let stray = plant::stray_public(&backend, &[1]).await;
        assert_ne!(right.spki, stray);
        assert_eq!(backend.resolve("services", Algorithm::EcP384).await.as_ref(), Ok(&right));

        plant::destroy(&backend, ObjectClass::PUBLIC_KEY, &[1]).await;
        plant::stray_public(&backend, &[1]).await;
        let error = backend.resolve("services", Algorithm::EcP384).await.unwrap_err();
        assert_eq!(error.code(), "key_integrity", "{error}");
        assert!(error.to_string().contains("remove the wrong public key object"), "{error}");
    }
}

#[tokio::test]
async fn an_rsa_key_tells_its_public_half_itself_where_no_object_does() {
    for token in both() {
        let backend = backend(&token);
        let intent = intent(KeyRole::Services, 1, Algorithm::Rsa3072);
        let made = backend.create(&intent).await.unwrap();
        plant::destroy(&backend, ObjectClass::PUBLIC_KEY, intent.nonce.as_bytes()).await;
        assert_eq!(backend.find(&intent).await, Ok(Some(made.clone())));
        signs(&backend, &made).await;
        // The same key may serve the other padding.
        let pss = backend.resolve(made.uri.as_str(), Algorithm::Rsa3072Pss).await.unwrap();
        signs(&backend, &pss).await;
        let told = refusal(backend.resolve(made.uri.as_str(), Algorithm::Rsa4096).await, Refusal::WrongType);
        assert!(told.contains("an RSA key of 3072 bits, not RSA-4096"), "{told}");
    }
}
