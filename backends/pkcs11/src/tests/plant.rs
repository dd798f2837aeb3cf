//! Keys as others would put them on a token.

use crate::{
    Pkcs11Backend, TokenConfig,
    token::{Desk, Purpose},
};
use aws_lc_rs::{
    encoding::{AsBigEndian, AsDer, EcPrivateKeyBin, PublicKeyX509Der},
    signature::{ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use catalyst_signing::{KeyIntent, KeyLifecycle as _, Nonce, SignatureAlgorithm};
use cryptoki::{
    mechanism::Mechanism,
    object::{Attribute, AttributeType, KeyType, ObjectClass},
};
use der::{Encode as _, asn1::OctetString};

pub(super) const P384: &[u8] = b"\x06\x05\x2b\x81\x04\x00\x22";

/// A key that was made in the token under the intent's label, for something else.
pub(super) async fn foreign(backend: &Pkcs11Backend, intent: &KeyIntent) -> Vec<u8> {
    let other = KeyIntent { nonce: Nonce::random().unwrap(), ..intent.clone() };
    backend.create(&other).await.unwrap().spki
}

/// A second key with the intent's CKA_ID, as good as the first. It was made under another, for no creation makes two.
pub(super) async fn twin(backend: &Pkcs11Backend, intent: &KeyIntent) -> Vec<u8> {
    assert_eq!(intent.algorithm, SignatureAlgorithm::EcP384);
    let other = KeyIntent { nonce: Nonce::random().unwrap(), ..intent.clone() };
    let spki = backend.create(&other).await.unwrap().spki;
    pair(backend, intent.nonce.as_bytes(), "another", &[]).await;
    spki
}

/// Makes a P-384 pair in the token; `more` is what its private key has beyond what ours have, or otherwise.
pub(super) async fn pair(backend: &Pkcs11Backend, id: &[u8], label: &str, more: &[Attribute]) {
    let named = [Attribute::Token(true), Attribute::Id(id.to_vec()), Attribute::Label(label.into())];
    let kept = [Attribute::Sensitive(true), Attribute::Extractable(false), Attribute::Sign(true)];
    let kept =
        kept.into_iter().filter(|ours| more.iter().all(|m| m.attribute_type() != ours.attribute_type()));
    let private: Vec<_> =
        named.iter().cloned().chain([Attribute::Private(true)]).chain(kept).chain(more.to_vec()).collect();
    let public = [&named[..], &[Attribute::Verify(true), Attribute::EcParams(P384.to_vec())]].concat();
    backend
        .at_token(Purpose::Change, move |desk, _| {
            desk.session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private)?;
            Ok(())
        })
        .await
        .unwrap();
}

/// A key that was made elsewhere and brought into the token with the intent's CKA_ID and label.
pub(super) async fn imported(backend: &Pkcs11Backend, intent: &KeyIntent) -> Vec<u8> {
    assert_eq!(intent.algorithm, SignatureAlgorithm::EcP384);
    let label = format!("catalyst-pki/{}/{}-{}", intent.deployment, intent.role, intent.generation);
    let classes = [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY];
    bring(backend, intent.nonce.as_bytes(), &label, &classes).await
}

/// A public key of somebody else's, alone.
pub(super) async fn stray_public(backend: &Pkcs11Backend, id: &[u8]) -> Vec<u8> {
    bring(backend, id, "stray", &[ObjectClass::PUBLIC_KEY]).await
}

async fn bring(backend: &Pkcs11Backend, id: &[u8], label: &str, classes: &[ObjectClass]) -> Vec<u8> {
    let key = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).unwrap();
    let secret: EcPrivateKeyBin<'_> = key.private_key().as_be_bytes().unwrap();
    let spki: PublicKeyX509Der<'_> = key.public_key().as_der().unwrap();
    let point = OctetString::new(key.public_key().as_ref()).unwrap().to_der().unwrap();
    let named = [
        Attribute::Token(true),
        Attribute::KeyType(KeyType::EC),
        Attribute::EcParams(P384.to_vec()),
        Attribute::Id(id.to_vec()),
        Attribute::Label(label.into()),
    ];
    let private = [
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
        Attribute::Value(secret.as_ref().to_vec()),
    ];
    let public = [Attribute::Verify(true), Attribute::EcPoint(point)];
    let object = |class: &ObjectClass| match *class {
        ObjectClass::PRIVATE_KEY => [&[Attribute::Class(*class)], &named[..], &private].concat(),
        _ => [&[Attribute::Class(*class)], &named[..], &public].concat(),
    };
    let objects: Vec<_> = classes.iter().map(object).collect();
    let create = move |desk: &Desk<'_>, _: &TokenConfig| {
        for object in &objects {
            desk.session.create_object(object)?;
        }
        Ok(())
    };
    backend.at_token(Purpose::Change, create).await.unwrap();
    spki.as_ref().to_vec()
}

/// The objects of a class with a CKA_ID.
pub(super) async fn objects(backend: &Pkcs11Backend, class: ObjectClass, id: &[u8]) -> usize {
    let template = [Attribute::Class(class), Attribute::Id(id.to_vec())];
    let count = move |desk: &Desk<'_>, _: &TokenConfig| Ok(desk.session.find_objects(&template)?.len());
    backend.at_token(Purpose::Use, count).await.unwrap()
}

/// Destroys the objects of a class with a CKA_ID.
pub(super) async fn destroy(backend: &Pkcs11Backend, class: ObjectClass, id: &[u8]) {
    let template = [Attribute::Class(class), Attribute::Id(id.to_vec())];
    backend
        .at_token(Purpose::Change, move |desk, _| {
            for object in desk.session.find_objects(&template)? {
                desk.session.destroy_object(object)?;
            }
            Ok(())
        })
        .await
        .unwrap();
}

/// Changes the private key with a CKA_ID.
pub(super) async fn change(backend: &Pkcs11Backend, id: &[u8], to: Attribute) {
    let template = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Id(id.to_vec())];
    backend
        .at_token(Purpose::Change, move |desk, _| {
            for object in desk.session.find_objects(&template)? {
                desk.session.update_attributes(object, std::slice::from_ref(&to))?;
            }
            Ok(())
        })
        .await
        .unwrap();
}

/// What the token tells of the one private key with a CKA_ID.
pub(super) async fn private_attributes(backend: &Pkcs11Backend, id: &[u8]) -> Vec<Attribute> {
    const KINDS: &[AttributeType] = &[
        AttributeType::Label,
        AttributeType::Token,
        AttributeType::Private,
        AttributeType::Sensitive,
        AttributeType::Extractable,
        AttributeType::Local,
        AttributeType::Sign,
        AttributeType::Decrypt,
        AttributeType::Unwrap,
        AttributeType::Derive,
    ];
    let template = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Id(id.to_vec())];
    backend
        .at_token(Purpose::Use, move |desk, _| {
            let found = desk.session.find_objects(&template)?;
            assert_eq!(found.len(), 1);
            Ok(desk.session.get_attributes(found[0], KINDS)?)
        })
        .await
        .unwrap()
}
