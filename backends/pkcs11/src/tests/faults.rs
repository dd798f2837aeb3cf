//! Tokens that refuse, and answers that are lost.

use super::{backend, both, config, intent, plant, refusal};
use crate::{Pkcs11Backend, TokenConfig};
use catalyst_rigs::pkcs11::Fault;
use catalyst_signing::{
    KeyLifecycle as _, KeyRole, KeyState, Refusal, SignatureAlgorithm as Algorithm, SigningBackend as _,
};
use cryptoki::object::ObjectClass;

#[tokio::test]
async fn a_token_that_takes_no_long_template_gets_the_short_one() {
    for token in both() {
        let fault = Fault::before(&token).unwrap();
        let backend = backend(fault.token());
        for code in ["CKR_TEMPLATE_INCONSISTENT", "CKR_ATTRIBUTE_TYPE_INVALID"] {
            fault.set(&[&format!("C_GenerateKeyPair return {code} times 1")]).unwrap();
            let wanted = intent(KeyRole::Services, 1, Algorithm::EcP384);
            let pin = backend.create(&wanted).await.unwrap();
            assert_eq!(backend.find(&wanted).await, Ok(Some(pin)));
        }
        fault.set(&["C_GenerateKeyPair return CKR_TEMPLATE_INCONSISTENT"]).unwrap();
        let wanted = intent(KeyRole::Services, 1, Algorithm::EcP384);
        let told = refusal(backend.create(&wanted).await, Refusal::Unsupported);
        assert!(told.contains("makes no EC-P384 keys") && told.contains("and name it"), "{told}");
        assert_eq!(backend.find(&wanted).await, Ok(None));
    }
}

#[tokio::test]
async fn a_token_that_does_not_know_a_curve_by_name_is_given_its_oid() {
    let token = super::kryoptic();
    let fault = Fault::before(&token).unwrap();
    let backend = backend(fault.token());
    // Both templates in the first form.
    fault.set(&["C_GenerateKeyPair return CKR_CURVE_NOT_SUPPORTED times 2"]).unwrap();
    let pin = backend.create(&intent(KeyRole::Services, 1, Algorithm::Ed25519)).await.unwrap();
    let signature = backend.open(&pin).await.unwrap().sign(b"m").await.unwrap();
    assert!(pin.algorithm.verify(&pin.spki, b"m", &signature));
}

#[tokio::test]
async fn an_answer_that_was_lost_leaves_a_key_that_is_found() {
    for token in both() {
        let fault = Fault::before(&token).unwrap();
        let backend = backend(fault.token());
        for algorithm in [Algorithm::EcP384, Algorithm::Rsa3072] {
            fault.set(&["generate-then-fail times 1"]).unwrap();
            let wanted = intent(KeyRole::Services, 1, algorithm);
            let lost = backend.create(&wanted).await.unwrap_err();
            assert!(lost.is_transient(), "{lost}");
            let pin = backend.create(&wanted).await.unwrap();
            assert_eq!(backend.find(&wanted).await, Ok(Some(pin)));
            assert_eq!(plant::objects(&backend, ObjectClass::PRIVATE_KEY, wanted.nonce.as_bytes()).await, 1);
        }
        assert_eq!(fault.counts("C_GenerateKeyPair").unwrap(), 2);
    }
}

#[tokio::test]
async fn a_session_that_is_lost_before_the_key_is_made_makes_one_key() {
    for token in both() {
        let fault = Fault::before(&token).unwrap();
        let backend = backend(fault.token());
        fault.set(&["C_GenerateKeyPair return CKR_SESSION_HANDLE_INVALID times 1"]).unwrap();
        let wanted = intent(KeyRole::Services, 1, Algorithm::EcP384);
        let pin = backend.create(&wanted).await.unwrap();
        assert_eq!(backend.find(&wanted).await, Ok(Some(pin)));
        assert_eq!(plant::objects(&backend, ObjectClass::PRIVATE_KEY, wanted.nonce.as_bytes()).await, 1);
    }
}

#[tokio::test]
async fn a_label_that_can_t_be_changed_is_said_and_the_key_stays_as_it_was() {
    for token in both() {
        let fault = Fault::before(&token).unwrap();
        let backend = backend(fault.token());
        let wanted = intent(KeyRole::Services, 1, Algorithm::EcP384);
        let pin = backend.create(&wanted).await.unwrap();
        fault.set(&["C_SetAttributeValue return CKR_ACTION_PROHIBITED"]).unwrap();
        let told = refusal(backend.schedule_destruction(&pin).await, Refusal::Denied);
        assert!(told.contains("take it out of use at the token itself"), "{told}");
        assert_eq!(backend.find(&wanted).await, Ok(Some(pin.clone())));

        // CKA_SIGN alone can't be changed: the mark is enough.
        fault.set(&["C_SetAttributeValue return CKR_ATTRIBUTE_READ_ONLY times 1"]).unwrap();
        backend.schedule_destruction(&pin).await.unwrap();
        refusal(backend.open(&pin).await, Refusal::Disabled);
        assert_eq!(backend.list(&wanted.deployment).await, Ok(Vec::new()));
    }
}

#[tokio::test]
async fn a_key_that_wants_the_pin_for_each_use_gets_it() {
    for token in both() {
        let fault = Fault::before(&token).unwrap();
        let backend = backend(fault.token());
        let pin = backend.create(&intent(KeyRole::Services, 1, Algorithm::EcP384)).await.unwrap();
        fault.set(&["C_GetAttributeValue always-authenticate"]).unwrap();
        let open = backend.open(&pin).await.unwrap();
        for _ in 0..3 {
            let signature = open.sign(b"m").await.unwrap();
            assert!(pin.algorithm.verify(&pin.spki, b"m", &signature));
        }
        assert_eq!(open.state().await, Ok(KeyState::Usable));
    }
}

#[tokio::test]
async fn what_is_too_long_for_a_token_is_hashed_before_it_is_given() {
    for token in both() {
        let fault = Fault::before(&token).unwrap();
        let backend = backend(fault.token());
        for algorithm in [Algorithm::Rsa3072, Algorithm::Rsa3072Pss, Algorithm::Ed25519] {
            let pin = backend.create(&intent(KeyRole::Services, 1, algorithm)).await.unwrap();
            let open = backend.open(&pin).await.unwrap();
            fault.set(&["C_Sign return CKR_DATA_LEN_RANGE times 1"]).unwrap();
            match (open.sign(b"m").await, algorithm) {
                // What is signed whole or not at all.
                (answer, Algorithm::Ed25519) => drop(refusal(answer, Refusal::Unsupported)),
                (answer, _) => assert!(algorithm.verify(&pin.spki, b"m", &answer.unwrap())),
            }
            let signature = open.sign(b"n").await.unwrap();
            assert!(algorithm.verify(&pin.spki, b"n", &signature));
        }
    }
}

#[tokio::test]
async fn a_token_that_tells_nothing_of_a_key_is_not_believed() {
    for token in both() {
        let fault = Fault::before(&token).unwrap();
        let backend = backend(fault.token());
        let wanted = intent(KeyRole::Services, 1, Algorithm::EcP384);
        let pin = backend.create(&wanted).await.unwrap();
        fault.set(&["C_GetAttributeValue return CKR_ATTRIBUTE_TYPE_INVALID"]).unwrap();
        let told = refusal(backend.open(&pin).await, Refusal::WrongType);
        assert!(told.contains("a key of an unknown type"), "{told}");
        let told = refusal(backend.find(&wanted).await, Refusal::Ambiguous);
        assert!(told.contains("CKA_LOCAL is not true"), "{told}");
    }
}

#[tokio::test]
async fn a_signature_costs_one_call_and_the_key_is_looked_for_once() {
    for token in both() {
        let fault = Fault::before(&token).unwrap();
        let backend = Pkcs11Backend::new(TokenConfig { sessions: 1, ..config(fault.token()) });
        let pin = backend.create(&intent(KeyRole::Services, 1, Algorithm::EcP384)).await.unwrap();
        let open = backend.open(&pin).await.unwrap();
        open.sign(b"first").await.unwrap();
        let before = fault.calls().unwrap().len();
        for _ in 0..10 {
            open.sign(b"again").await.unwrap();
        }
        let calls = fault.calls().unwrap();
        let mut functions = calls[before..].to_vec();
        functions.sort_unstable();
        functions.dedup();
        assert_eq!(functions, ["C_Sign", "C_SignInit"]);
        assert_eq!(calls.len() - before, 20);
    }
}

#[tokio::test]
async fn a_key_that_is_removed_while_keys_are_listed_is_passed_over() {
    for token in both() {
        let fault = Fault::before(&token).unwrap();
        let backend = Pkcs11Backend::new(TokenConfig { sessions: 1, ..config(fault.token()) });
        let kept = intent(KeyRole::Services, 1, Algorithm::EcP384);
        for wanted in [&kept, &intent(KeyRole::Services, 2, Algorithm::EcP384)] {
            backend.create(wanted).await.unwrap();
        }
        let before = fault.counts("C_OpenSession").unwrap();
        fault.set(&["C_GetAttributeValue return CKR_OBJECT_HANDLE_INVALID times 1"]).unwrap();
        assert_eq!(backend.list(&kept.deployment).await.unwrap().len(), 1);
        fault.set(&["C_GetAttributeValue return CKR_OBJECT_HANDLE_INVALID times 1"]).unwrap();
        assert!(backend.find(&kept).await.unwrap().is_some());
        assert!(fault.counts("C_OpenSession").unwrap() - before <= 1);
        assert_eq!(backend.list(&kept.deployment).await.unwrap().len(), 2);
    }
}
