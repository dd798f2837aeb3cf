//! Giving keys up.

use super::{
    Mechanism, Version,
    ask::{self, Answer},
    patience::patiently,
    unsupported,
};
use crate::{
    client::Clients,
    trouble::{Asked, Cause, Trouble},
};
use catalyst_signing::{KeyPin, Refusal, Result, SignError};
use google_cloud_kms::model::crypto_key_version::CryptoKeyVersionState as State;

/// Has the version of a pin destroyed, as late as its key says: 30 days after, for one that was made here. One that was
/// given up before is left as it is.
///
/// # Errors
/// A refusal, and nothing is changed, where the version has another public key than the pin; whatever Cloud KMS answers.
pub(crate) async fn give_up(clients: &Clients, pin: &KeyPin) -> Result<()> {
    let version = Version::of(&pin.uri).ok_or_else(|| {
        SignError::refused(Refusal::Configuration, format!("{} is no key of Google Cloud KMS", pin.uri))
    })?;
    let described = patiently(|| ask::version(clients, &version)).await.map_err(|trouble| trouble.error)?;
    let state = described.map(|version| version.state);
    if matches!(state, Some(State::DestroyScheduled | State::Destroyed)) {
        return Ok(());
    }
    // Of any other state no public key is shown, so there is nothing to compare.
    if matches!(state, None | Some(State::Enabled)) {
        check(clients, &version, pin).await?;
    }
    patiently(|| destroy(clients, &version)).await.map_err(|trouble| trouble.error)
}

/// A version's name is its own for good, so where its public key can't be read, the name is enough.
async fn check(clients: &Clients, version: &Version, pin: &KeyPin) -> Result<()> {
    let mechanism = Mechanism::of(pin.algorithm).ok_or_else(|| unsupported(pin.algorithm))?;
    match patiently(|| ask::public_key(clients, version, &mechanism)).await {
        Ok(Some(key)) if key.spki != pin.spki => {
            let reason = format!("{version} holds another key than the pinned one: nothing was changed");
            Err(SignError::refused(Refusal::Ambiguous, reason))
        }
        Ok(_) | Err(Trouble { error: SignError::Refused { kind: Refusal::Disabled, .. }, .. }) => Ok(()),
        Err(trouble) => Err(trouble.error),
    }
}

async fn destroy(clients: &Clients, version: &Version) -> Answer<()> {
    let asked = Asked {
        operation: "DestroyCryptoKeyVersion",
        permission: "cryptoKeyVersions.destroy",
        about: version.as_str(),
    };
    let destroyed =
        clients.ask(asked, |client| client.destroy_crypto_key_version().set_name(version.as_str()).send());
    match destroyed.await {
        Ok(_) => Ok(()),
        // An answer was lost, and it is done.
        Err(Trouble {
            error: SignError::Refused { kind: Refusal::Disabled, reason },
            cause: Cause::Other,
        }) => match ask::version(clients, version).await {
            Ok(Some(now)) if matches!(now.state, State::DestroyScheduled | State::Destroyed) => Ok(()),
            _ => Err(SignError::refused(Refusal::Disabled, reason).into()),
        },
        Err(trouble) => Err(trouble),
    }
}
