//! Rules of pins, public keys and what is shown of them.

use super::{
    hidden::Hidden,
    report::{Tried, ensure, failed, skipped},
    subject::{Subject, broken},
};
use crate::{KeyPin, KeyState, SignError, SigningBackend};
use std::sync::Arc;

/// No algorithm twice, none without a way to sign a certificate.
pub(super) async fn capabilities_are_sound(subject: &Subject<'_>) -> Tried {
    let capabilities = subject.backend.capabilities();
    ensure(!capabilities.is_empty(), || "it can do nothing".to_owned())?;
    for (i, capability) in capabilities.iter().enumerate() {
        let algorithm = capability.algorithm;
        ensure(capabilities[..i].iter().all(|c| c.algorithm != algorithm), || {
            format!("{algorithm} stands twice")
        })?;
        ensure(capability.max_message != Some(0), || format!("{algorithm} signs nothing"))?;
    }
    let (makes, may) = (capabilities.iter().any(|c| c.creates), subject.backend.lifecycle().is_some());
    ensure(may || !makes, || "it says that it makes keys, and has no lifecycle".to_owned())
}

/// What is stored of a key leads back to it.
pub(super) async fn uri_resolves_to_its_pin(subject: &Subject<'_>) -> Tried {
    let pin = subject.some_key().await?;
    ensure(pin.uri.scheme() == subject.backend.scheme(), || format!("{} is of another scheme", pin.uri))?;
    let resolved =
        subject.backend.resolve(pin.uri.as_str(), pin.algorithm).await.or_else(|e| broken("resolve", &e))?;
    ensure(resolved == pin, || format!("{} resolves to {}", pin.uri, resolved.uri))
}

/// Before and after a restart it is the pin's, byte for byte, and of the pin's algorithm.
pub(super) async fn public_key_is_stable(subject: &Subject<'_>) -> Tried {
    for capability in subject.backend.capabilities() {
        let Ok(pin) = subject.key_of(capability).await else { continue };
        ensure(pin.algorithm.verifier(&pin.spki).is_some(), || {
            format!("{} has no {} SPKI", pin.uri, pin.algorithm)
        })?;
        for backend in [subject.backend.clone(), subject.harness.backend().await] {
            let key = backend.open(&pin).await.or_else(|e| broken("open", &e))?;
            let shown = key.public_key().await.or_else(|e| broken("public_key", &e))?;
            ensure(shown.is_none_or(|shown| shown == pin.spki), || format!("{} shows another key", pin.uri))?;
        }
    }
    subject.some_key().await.map(drop)
}

/// Its state is Usable, or Unknown where asking is not permitted.
pub(super) async fn live_key_is_usable(subject: &Subject<'_>) -> Tried {
    let pin = subject.some_key().await?;
    let key = subject.backend.open(&pin).await.or_else(|e| broken("open", &e))?;
    let state = key.state().await.or_else(|e| broken("state", &e))?;
    ensure(matches!(state, KeyState::Usable | KeyState::Unknown), || format!("{} is {state:?}", pin.uri))
}

/// A pin that holds another key's SPKI, or another algorithm, does not open.
pub(super) async fn wrong_pin_is_refused(subject: &Subject<'_>) -> Tried {
    let backend = subject.backend.clone();
    wrong_pins_do_not_open(subject, &backend).await
}

/// Where the public key may not be read, the right pin opens and the wrong one does not.
pub(super) async fn hidden_public_key_is_proved(subject: &Subject<'_>) -> Tried {
    let backend: Arc<dyn SigningBackend> = match subject.harness.sign_only().await {
        Some(backend) => backend,
        None => Arc::new(Hidden(subject.harness.backend().await)),
    };
    let pin = subject.some_key().await?;
    subject.open(&backend, &pin, 1).await.or_else(|e| broken("opening with a hidden public key", &e))?;
    wrong_pins_do_not_open(subject, &backend).await
}

async fn wrong_pins_do_not_open(subject: &Subject<'_>, backend: &Arc<dyn SigningBackend>) -> Tried {
    let algorithm = subject.some_algorithm()?;
    let (_, pin) = subject.intended(algorithm).await?;
    let other = subject.make(&subject.fresh_intent(algorithm)?).await?;
    match subject.open(backend, &KeyPin { spki: other.spki, ..pin.clone() }, 1).await {
        Err(SignError::Integrity { .. }) => {}
        Err(other) => return failed(format!("another key's pin gives '{other}', not an integrity error")),
        Ok(_) => return failed("another key's pin opens"),
    }
    let Some(wrong) = subject.backend.capabilities().iter().find(|c| c.algorithm != algorithm) else {
        return Ok(());
    };
    let opened = subject.open(backend, &KeyPin { algorithm: wrong.algorithm, ..pin }, 1).await;
    ensure(opened.is_err(), || format!("a pin with {} opens a key of {algorithm}", wrong.algorithm))
}

/// Backend, open key and errors, printed in every way, hold nothing the harness calls a secret.
pub(super) async fn debug_holds_no_secret(subject: &Subject<'_>) -> Tried {
    let pin = subject.some_key().await?;
    let key = subject.backend.open(&pin).await.or_else(|e| broken("open", &e))?;
    let guarded = subject.opened(&pin, 1).await?;
    let mut texts = vec![
        format!("{:?} {:#?}", subject.backend, subject.backend),
        format!("{key:?} {key:#?}"),
        format!("{guarded:?} {guarded:#?} {pin:?}"),
    ];
    for reference in ["", "no such key", "-----BEGIN", "\u{0}"] {
        if let Err(error) = subject.backend.resolve(reference, pin.algorithm).await {
            texts.push(format!("{error} {error:?} {error:#?}"));
        }
    }
    if texts.iter().any(|text| subject.harness.leaks(text)) {
        return failed("a secret is printed; the report does not repeat it");
    }
    if texts.len() == 3 {
        return skipped("every reference resolves, so no error was seen");
    }
    Ok(())
}
