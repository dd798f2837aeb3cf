//! Giving keys up. PKCS#11 knows no waiting period: what is destroyed is gone at once.

use super::{
    address::Address,
    find::{Proof, all_private, missing, public_beside, public_of},
    label,
    private::{PrivateKey, names},
    public::Parts,
};
use crate::{TokenConfig, token::Desk, trouble::Trouble};
use catalyst_signing::{KeyPin, KeyRole, Refusal, SignError};
use cryptoki::{
    error::{Error, RvError},
    object::{Attribute, ObjectHandle},
};
use std::time::SystemTime;

/// Destroys a key that was made for a probe; makes any other unusable and marks it, which its owner can undo. Nothing is
/// touched unless the key is the pinned one. Repeated, it does no more.
pub(crate) fn give_up(desk: &Desk<'_>, config: &TokenConfig, pin: &KeyPin) -> Result<(), Trouble> {
    let key = pinned(desk, config, pin)?;
    let mut public = Vec::new();
    for object in public_beside(desk, &key)? {
        if Parts::of_public(desk, object)?.spki().is_ok_and(|spki| spki == pin.spki) {
            public.push(object);
        }
    }
    match label::read(&key.label) {
        Some(ours) if ours.role == KeyRole::Probe => destroy(desk, &key, &public),
        _ => mark(desk, config, &key, &public, pin),
    }
}

/// The key at the pin's address that the pin is of, even where others share the address.
fn pinned(desk: &Desk<'_>, config: &TokenConfig, pin: &KeyPin) -> Result<PrivateKey, Trouble> {
    let address = Address::of_uri(&pin.uri)?;
    let there = all_private(desk, config, &address)?;
    if there.is_empty() {
        return Err(missing(config, &address).into());
    }
    // One public key beside two private keys says nothing of either.
    let proof = if there.len() > 1 { Proof::Always } else { Proof::WhenInDoubt };
    for handle in there {
        let key = PrivateKey::read(desk, handle)?;
        match public_of(desk, config, &key, pin.uri.as_str(), pin.algorithm, proof) {
            Ok(spki) if spki == pin.spki => return Ok(key),
            // Another key, surely.
            Ok(_)
            | Err(Trouble::Said(
                SignError::Integrity { .. } | SignError::Refused { kind: Refusal::WrongType, .. },
            )) => {}
            Err(other) => return Err(other),
        }
    }
    let reason = format!("{} holds another key than the pinned one: nothing was changed", pin.uri);
    Err(SignError::refused(Refusal::Ambiguous, reason).into())
}

/// The private key first: a public key that is left alone is no key.
fn destroy(desk: &Desk<'_>, key: &PrivateKey, public: &[ObjectHandle]) -> Result<(), Trouble> {
    for object in [&[key.handle], public].concat() {
        desk.session.destroy_object(object)?;
    }
    Ok(())
}

/// The private key's label last: with it the key counts as given up, and all else is done.
fn mark(
    desk: &Desk<'_>,
    config: &TokenConfig,
    key: &PrivateKey,
    public: &[ObjectHandle],
    pin: &KeyPin,
) -> Result<(), Trouble> {
    match desk.session.update_attributes(key.handle, &[Attribute::Sign(false)]) {
        // The mark is enough: the token just does not enforce it.
        Err(error) if is_not_allowed(&error) => {}
        other => other?,
    }
    let now = SystemTime::now();
    for object in public.iter().chain([&key.handle]) {
        let (_, label) = names(desk, *object)?;
        if label::is_given_up(&label) {
            continue;
        }
        let marked = Attribute::Label(label::given_up(&label, now).into_bytes());
        match desk.session.update_attributes(*object, &[marked]) {
            Err(error) if is_not_allowed(&error) => {
                let reason = format!(
                    "{} does not let the label of {} be changed ({error}), so it can't be marked as given up: take it out of \
                     use at the token itself",
                    config.name, pin.uri
                );
                return Err(SignError::refused(Refusal::Denied, reason).into());
            }
            other => other?,
        }
    }
    Ok(())
}

fn is_not_allowed(error: &Error) -> bool {
    matches!(
        error,
        Error::Pkcs11(
            RvError::AttributeReadOnly
                | RvError::AttributeTypeInvalid
                | RvError::AttributeValueInvalid
                | RvError::ActionProhibited
                | RvError::TemplateInconsistent
                | RvError::FunctionNotSupported,
            _
        )
    )
}
