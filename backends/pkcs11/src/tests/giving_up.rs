//! Keys that are given up.

use super::{backend, both, config, intent, plant, refusal};
use crate::{Pkcs11Backend, TokenConfig};
use catalyst_signing::{
    KeyLifecycle as _, KeyPin, KeyRole, KeyState, Refusal, SignatureAlgorithm as Algorithm,
    SigningBackend as _,
};
use cryptoki::object::{Attribute, ObjectClass};

#[tokio::test]
async fn a_ca_s_key_is_marked_and_unusable_and_still_there() {
    for token in both() {
        let backend = backend(&token);
        let intent = intent(KeyRole::Services, 3, Algorithm::EcP384);
        let id = intent.nonce.as_bytes();
        let pin = backend.create(&intent).await.unwrap();
        let open = backend.open(&pin).await.unwrap();
        backend.schedule_destruction(&pin).await.unwrap();

        assert_eq!(open.state().await, Ok(KeyState::DestructionScheduled));
        assert!(open.sign(b"no more").await.is_err());
        let told = refusal(backend.open(&pin).await, Refusal::Disabled);
        assert!(
            told.contains("was given up, as its label 'catalyst-pki/0123456789abcdef/services-3 given up "),
            "{told}"
        );
        assert_eq!(backend.list(&intent.deployment).await, Ok(Vec::new()));
        let told = refusal(backend.find(&intent).await, Refusal::Ambiguous);
        assert!(told.contains("it was given up"), "{told}");

        // Once more changes nothing: the time is that of the first.
        let before = plant::private_attributes(&backend, id).await;
        backend.schedule_destruction(&pin).await.unwrap();
        assert_eq!(plant::private_attributes(&backend, id).await, before);
        assert!(before.contains(&Attribute::Sign(false)), "{before:?}");

        // Its owner takes it back.
        plant::change(&backend, id, Attribute::Label(b"catalyst-pki/0123456789abcdef/services-3".to_vec()))
            .await;
        plant::change(&backend, id, Attribute::Sign(true)).await;
        assert_eq!(backend.find(&intent).await, Ok(Some(pin.clone())));
        assert!(backend.open(&pin).await.unwrap().sign(b"again").await.is_ok());
    }
}

#[tokio::test]
async fn a_probe_s_key_is_destroyed_with_its_public_half() {
    for token in both() {
        // One session: a token that shows nothing is believed when nobody else holds its module.
        let backend = Pkcs11Backend::new(TokenConfig { sessions: 1, ..config(&token) });
        let intent = intent(KeyRole::Probe, 1, Algorithm::EcP256);
        let pin = backend.create(&intent).await.unwrap();
        let listed = backend.list(&intent.deployment).await.unwrap();
        assert_eq!((listed[0].nonce, listed[0].role, listed.len()), (intent.nonce, KeyRole::Probe, 1));
        backend.schedule_destruction(&pin).await.unwrap();
        for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
            assert_eq!(plant::objects(&backend, class, intent.nonce.as_bytes()).await, 0);
        }
        refusal(backend.schedule_destruction(&pin).await, Refusal::Missing);
    }
}

#[tokio::test]
async fn another_key_at_the_address_is_left_alone() {
    for token in both() {
        let backend = backend(&token);
        let [one, two] = [1, 2].map(|generation| intent(KeyRole::Probe, generation, Algorithm::EcP384));
        let (pin, other) = (backend.create(&one).await.unwrap(), backend.create(&two).await.unwrap());
        let crossed = KeyPin { spki: other.spki.clone(), ..pin.clone() };
        let told = refusal(backend.schedule_destruction(&crossed).await, Refusal::Ambiguous);
        assert!(told.contains("another key than the pinned one: nothing was changed"), "{told}");
        assert_eq!(backend.find(&one).await, Ok(Some(pin.clone())));

        // Beside a twin, the pinned one goes and the other stays.
        plant::pair(&backend, one.nonce.as_bytes(), "another's", &[]).await;
        backend.schedule_destruction(&pin).await.unwrap();
        let left = plant::private_attributes(&backend, one.nonce.as_bytes()).await;
        assert!(left.contains(&Attribute::Label(b"another's".to_vec())), "{left:?}");
        assert_eq!(plant::objects(&backend, ObjectClass::PUBLIC_KEY, one.nonce.as_bytes()).await, 1);
    }
}

#[tokio::test]
async fn one_public_key_beside_two_private_ones_condemns_the_right_one() {
    for token in both() {
        let backend = backend(&token);
        // In either order, for nobody knows in which a token finds them.
        for twin_comes_first in [true, false] {
            let intent = intent(KeyRole::Probe, 1, Algorithm::EcP384);
            let id = intent.nonce.as_bytes();
            let twin = async || {
                plant::pair(&backend, &[9], "another's", &[]).await;
                plant::destroy(&backend, ObjectClass::PUBLIC_KEY, &[9]).await;
            };
            if twin_comes_first {
                twin().await;
            }
            let pin = backend.create(&intent).await.unwrap();
            if !twin_comes_first {
                twin().await;
            }
            plant::change(&backend, &[9], Attribute::Id(id.to_vec())).await;
            backend.schedule_destruction(&pin).await.unwrap();
            let left = plant::private_attributes(&backend, id).await;
            assert!(left.contains(&Attribute::Label(b"another's".to_vec())), "{left:?}");
        }
    }
}
