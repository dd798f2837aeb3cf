//! Turning what an operator wrote into a pin.

use super::{
    CryptoKey, Mechanism, Reference, Version,
    ask::{self, Answer},
    level,
    name::{ReferencedKey, ReferencedVersion},
    unsupported,
};
use crate::{client::Clients, trouble::Asked};
use catalyst_signing::{KeyPin, Refusal, Result, SignError, SignatureAlgorithm, Whereabouts};
use google_cloud_kms::model::{CryptoKeyVersion, crypto_key_version::CryptoKeyVersionState as State};

/// The pin of the version that `reference` names. Permission to read the public key is enough for a version; where it may
/// be described too, it is checked first. Of a key the versions must be listed.
///
/// # Errors
/// A refusal where the key is of another kind than the algorithm wants, or does not sign now; whatever Cloud KMS answers.
pub(crate) async fn resolve(
    clients: &Clients,
    reference: &Reference,
    algorithm: SignatureAlgorithm,
) -> Result<KeyPin> {
    let mechanism = Mechanism::of(algorithm).ok_or_else(|| unsupported(algorithm))?;
    let (version, described) = match reference {
        Reference::Ring(ring) => {
            let reason = format!("{ring} is a key ring, and a key of it, or a version, is wanted");
            return Err(SignError::refused(Refusal::Configuration, reason));
        }
        Reference::Key(ReferencedKey(key)) => {
            let (version, described) = newest(clients, key).await?;
            (version, Some(described))
        }
        Reference::Version(ReferencedVersion(version)) => {
            let described = ask::version(clients, version).await.map_err(|trouble| trouble.error)?;
            (version.clone(), described)
        }
    };
    if let Some(described) = &described {
        fits(clients, described, &version, &mechanism)?;
    }
    pin(clients, version, &mechanism).await
}

/// The pin of a version whose public key must be readable.
pub(super) async fn pin(clients: &Clients, version: Version, mechanism: &Mechanism) -> Result<KeyPin> {
    let key = ask::public_key(clients, &version, mechanism).await.map_err(|trouble| trouble.error)?;
    let key = key.ok_or_else(|| {
        SignError::refused(
            Refusal::Denied,
            format!(
                "the public key of {version} may not be read: grant cloudkms.cryptoKeyVersions.viewPublicKey on it, as \
                 roles/cloudkms.publicKeyViewer does"
            ),
        )
    })?;
    level::check(clients.config().protection, &key.level, version.as_str())?;
    let algorithm = mechanism.signature;
    if algorithm.verifier(&key.spki).is_none() {
        return Err(SignError::integrity(format!(
            "Google Cloud KMS shows a public key of {version} that is not of {algorithm}"
        )));
    }
    Ok(KeyPin { uri: version.uri().clone(), algorithm, spki: key.spki })
}

/// The version that a key stands for now, of whatever algorithm; `None`: the name is only ever one version's, or the
/// version does not sign.
pub(crate) async fn whereabouts(clients: &Clients, reference: &Reference) -> Result<Option<Whereabouts>> {
    let Reference::Key(ReferencedKey(key)) = reference else { return Ok(None) };
    let (version, described) = newest(clients, key).await?;
    let Some(mechanism) = Mechanism::known(&described.algorithm) else { return Ok(None) };
    let key = ask::public_key(clients, &version, &mechanism).await.map_err(|trouble| trouble.error)?;
    Ok(key.map(|key| Whereabouts { uri: version.uri().clone(), spki: key.spki }))
}

/// The enabled version with the highest number.
async fn newest(clients: &Clients, key: &CryptoKey) -> Result<(Version, CryptoKeyVersion)> {
    let versions = ask::versions(clients, key).await.map_err(|trouble| trouble.error)?;
    let enabled = versions.into_iter().filter(|version| version.state == State::Enabled);
    let named = enabled.map(|described| Ok((own(key, &described)?, described)));
    let named = named.collect::<Answer<Vec<_>>>().map_err(|trouble| trouble.error)?;
    named.into_iter().max_by_key(|(version, _)| version.number()).ok_or_else(|| {
        let reason = format!(
            "{key} has no enabled version: `gcloud kms keys versions create` makes one, `gcloud kms keys versions enable` \
             brings one back"
        );
        SignError::refused(Refusal::Disabled, reason)
    })
}

/// The name of a version that was listed of a key, which must be the key's.
pub(super) fn own(key: &CryptoKey, described: &CryptoKeyVersion) -> Answer<Version> {
    let asked = Asked {
        operation: "ListCryptoKeyVersions",
        permission: "cryptoKeyVersions.list",
        about: key.as_str(),
    };
    Version::parse(&described.name)
        .filter(|version| version.key() == *key)
        .ok_or_else(|| asked.false_answer("it listed a version of another key"))
}

/// Imported material is taken: the open key has a caution that says so.
fn fits(
    clients: &Clients,
    described: &CryptoKeyVersion,
    version: &Version,
    mechanism: &Mechanism,
) -> Result<()> {
    let refused = |kind, reason: String| Err(SignError::refused(kind, reason));
    mechanism.check(&described.algorithm, version.as_str())?;
    level::check(clients.config().protection, &described.protection_level, version.as_str())?;
    match &described.state {
        State::Enabled => Ok(()),
        State::PendingGeneration | State::PendingImport => {
            Err(SignError::unavailable(format!("{version} is being made")))
        }
        State::Disabled => refused(
            Refusal::Disabled,
            format!("{version} is disabled: `gcloud kms keys versions enable {version}` brings it back"),
        ),
        State::DestroyScheduled => refused(
            Refusal::Disabled,
            format!(
                "{version} will be destroyed: `gcloud kms keys versions restore {version}`, then `gcloud kms keys versions \
                 enable {version}`, brings it back"
            ),
        ),
        other => {
            let state = other.name().unwrap_or("unknown");
            refused(Refusal::Missing, format!("{version} has no key material (its state is {state})"))
        }
    }
}
