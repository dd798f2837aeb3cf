//! Rules of making, finding and giving up keys.

use super::{
    LookAlike,
    report::{Tried, Unmet, all_but, ensure, failed, skipped},
    subject::{Subject, broken},
};
use crate::{FoundKey, KeyIntent, KeyPin, KeyState, SigningBackend};
use std::sync::Arc;

/// `find` for an intent nobody acted on is `None`, not an error.
pub(super) async fn unknown_intent_finds_nothing(subject: &Subject<'_>) -> Tried {
    let intent = subject.fresh_intent(subject.some_algorithm()?)?;
    let found = subject.lifecycle()?.find(&intent).await.or_else(|e| broken("find", &e))?;
    ensure(found.is_none(), || format!("found {found:?}"))
}

/// `create` twice gives one pin, and `find` the same.
pub(super) async fn is_idempotent(subject: &Subject<'_>) -> Tried {
    let algorithm = subject.some_algorithm()?;
    let (intent, pin) = subject.intended(algorithm).await?;
    let again = subject.make(&intent).await?;
    ensure(again == pin, || format!("created {} and then {}", pin.uri, again.uri))?;
    expect_found(&subject.backend, &intent, &pin).await
}

/// Keys of two intents differ in address and material.
pub(super) async fn keeps_intents_apart(subject: &Subject<'_>) -> Tried {
    let algorithm = subject.some_algorithm()?;
    let (_, first) = subject.intended(algorithm).await?;
    let second = subject.make(&subject.fresh_intent(algorithm)?).await?;
    ensure(first.spki != second.spki && first.uri != second.uri, || {
        format!("{} and {} are one key", first.uri, second.uri)
    })
}

/// A backend built anew finds the key by its intent.
pub(super) async fn is_found_after_restart(subject: &Subject<'_>) -> Tried {
    let mut missing = Vec::new();
    for capability in subject.backend.capabilities().iter().filter(|c| c.creates) {
        match subject.intended(capability.algorithm).await {
            Ok((intent, pin)) => expect_found(&subject.harness.backend().await, &intent, &pin).await?,
            Err(Unmet::Skipped(why)) => missing.push(why),
            Err(failed) => return Err(failed),
        }
    }
    subject.some_algorithm()?;
    all_but(&missing)
}

/// A key that was made is listed with its intent's words, for its own deployment and no other.
pub(super) async fn is_listed(subject: &Subject<'_>) -> Tried {
    let (intent, pin) = subject.intended(subject.some_algorithm()?).await?;
    let backend = subject.harness.backend().await;
    let Some(lifecycle) = backend.lifecycle() else { return skipped("this process may not make keys") };
    let listed = lifecycle.list(&intent.deployment).await.or_else(|e| broken("list", &e))?;
    let its = |found: &&FoundKey| found.uri == pin.uri;
    let Some(found) = listed.iter().find(its) else { return failed(format!("{} is not listed", pin.uri)) };
    let words = (found.nonce, found.role, found.generation);
    ensure(words == (intent.nonce, intent.role, intent.generation), || {
        format!("{} is listed as {found:?}", pin.uri)
    })?;
    let others = lifecycle.list("0000000000000000").await.or_else(|e| broken("list", &e))?;
    ensure(others.iter().all(|found| found.uri != pin.uri), || {
        format!("{} is listed for another deployment", pin.uri)
    })
}

/// Neither `find` nor `create` gives the planted key. For a twin, `find` must stop: either could be the right one.
pub(super) async fn does_not_adopt(subject: &Subject<'_>, kind: LookAlike) -> Tried {
    let intent = subject.fresh_intent(subject.some_algorithm()?)?;
    if kind == LookAlike::Twin {
        subject.make(&intent).await?;
    }
    let Some(planted) = subject.harness.plant(kind, &intent).await else {
        return skipped("the harness plants none");
    };
    // Built anew, so that nothing remembered hides what a look-up would find.
    let backend = subject.harness.backend().await;
    let Some(lifecycle) = backend.lifecycle() else { return skipped("this process may not make keys") };
    match lifecycle.find(&intent).await {
        Ok(Some(_)) if kind == LookAlike::Twin => return failed("find took one of two"),
        Ok(Some(pin)) if pin.spki == planted => return failed(format!("find adopted {}", pin.uri)),
        Err(error) if error.is_transient() => return broken("find", &error),
        _ => {}
    }
    match lifecycle.create(&intent).await {
        Ok(pin) if pin.spki == planted => failed(format!("create adopted {}", pin.uri)),
        Err(error) if error.is_transient() => broken("create", &error),
        _ => Ok(()),
    }
}

/// Gives up what the suite made: afterwards a key does not open, or says that it is going. Another key at its address (a
/// twin) is not it.
pub(super) async fn gives_keys_up(subject: &Subject<'_>) -> Tried {
    let lifecycle = subject.lifecycle()?;
    for pin in subject.take_made().await {
        lifecycle.schedule_destruction(&pin).await.or_else(|e| broken("schedule_destruction", &e))?;
        let backend = subject.harness.backend().await;
        if let Ok(key) = backend.open(&pin).await
            && key.public_key().await.is_ok_and(|shown| shown.is_none_or(|shown| shown == pin.spki))
        {
            let state = key.state().await.or_else(|e| broken("state", &e))?;
            ensure(state != KeyState::Usable, || format!("{} is still usable", pin.uri))?;
        }
        let listed = lifecycle.list(&subject.deployment).await.or_else(|e| broken("list", &e))?;
        ensure(listed.iter().all(|found| found.uri != pin.uri), || format!("{} is still listed", pin.uri))?;
    }
    Ok(())
}

async fn expect_found(backend: &Arc<dyn SigningBackend>, intent: &KeyIntent, pin: &KeyPin) -> Tried {
    let Some(lifecycle) = backend.lifecycle() else { return skipped("this process may not make keys") };
    match lifecycle.find(intent).await.or_else(|e| broken("find", &e))? {
        Some(found) if found == *pin => Ok(()),
        Some(found) => failed(format!("made {} and found {}", pin.uri, found.uri)),
        None => failed(format!("made {} and found nothing", pin.uri)),
    }
}
