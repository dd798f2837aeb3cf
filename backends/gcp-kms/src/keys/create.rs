//! Making keys.

use super::{
    CryptoKey, Mechanism,
    ask::Answer,
    find::{Found, look, place, refuse_elsewhere, unshown},
    labels, level,
    resolve::pin,
    unsupported,
};
use crate::{
    client::Clients,
    trouble::{Asked, Cause, Trouble},
};
use catalyst_signing::{KeyIntent, KeyPin, KeyTags, Refusal, Result, SignError, TransientKind};
use google_cloud_kms::model::{
    self, CryptoKeyVersion, CryptoKeyVersionTemplate, crypto_key::CryptoKeyPurpose,
};
use google_cloud_wkt as wkt;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long one call waits for a version to be made and to show; the next call goes on.
const WAITING: Duration = Duration::from_secs(20);
/// How long is waited between two looks at first, and at most: Google allows 300 of them a minute.
const BETWEEN: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(2)];
/// How long a version that is given up can be restored.
const RESTORABLE: i64 = 30 * 24 * 3600;

/// Makes the key of an intent, or gives the one made before. Its name is the intent's, so that two calls at once, or two
/// processes, make one.
pub(crate) async fn create(clients: &Clients, intent: &KeyIntent) -> Result<KeyPin> {
    create_within(WAITING, clients, intent).await
}

/// The same, waiting no longer than that for what Cloud KMS has begun.
pub(super) async fn create_within(limit: Duration, clients: &Clients, intent: &KeyIntent) -> Result<KeyPin> {
    let mechanism = Mechanism::of(intent.algorithm).ok_or_else(|| unsupported(intent.algorithm))?;
    let (began, mut pause) = (Instant::now(), BETWEEN[0]);
    // This call makes no more than one of each: what does not show is waited for.
    let (mut made, mut spent) = (false, None);
    loop {
        let waiting = match look(clients, intent).await? {
            Found::Ready(version) => return pin(clients, version, &mechanism).await,
            Found::Nothing if !made => {
                refuse_elsewhere(clients, intent).await?;
                make_key(clients, intent, &mechanism).await?;
                made = true;
                continue;
            }
            Found::Spent { key, versions } if spent.is_none() => {
                make_version(clients, &key).await?;
                spent = Some(versions);
                continue;
            }
            Found::Spent { key, versions } if spent.is_some_and(|before| versions > before) => {
                return Err(SignError::unavailable(format!(
                    "Google Cloud KMS made another version of {key}, which came to nothing either (gcloud kms keys versions \
                     list shows why): try again later, or choose a key ring in another location"
                )));
            }
            Found::Nothing => {
                format!("Google Cloud KMS does not show {} yet: try again", place(clients, intent)?)
            }
            Found::Bare(key) => unshown(&key),
            Found::Spent { key, .. } => {
                format!("Google Cloud KMS does not show the new version of {key} yet: try again")
            }
            Found::Pending(version) => format!("Google Cloud KMS is still making {version}: try again"),
        };
        if began.elapsed() >= limit {
            return Err(SignError::Transient {
                kind: TransientKind::Unavailable,
                reason: waiting,
                retry_after: Some(BETWEEN[1]),
            });
        }
        sleep(pause).await;
        pause = (pause * 2).min(BETWEEN[1]);
    }
}

/// Has Cloud KMS make the key with its first version. That it is there already is well: somebody else acted on the intent
/// in between, and it will be looked at.
async fn make_key(clients: &Clients, intent: &KeyIntent, mechanism: &Mechanism) -> Result<()> {
    let key = place(clients, intent)?;
    let ring = key.ring();
    let asked = Asked { operation: "CreateCryptoKey", permission: "cryptoKeys.create", about: ring.as_str() };
    let template = CryptoKeyVersionTemplate::new()
        .set_protection_level(level::of_new(clients.config().protection))
        .set_algorithm(mechanism.algorithm.clone());
    let wanted = model::CryptoKey::new()
        .set_purpose(CryptoKeyPurpose::AsymmetricSign)
        .set_labels(labels::write(&KeyTags::of(intent)))
        .set_version_template(template)
        .set_destroy_scheduled_duration(wkt::Duration::clamp(RESTORABLE, 0));
    let made: Answer<model::CryptoKey> = clients
        .ask(asked, |client| {
            let request = client.create_crypto_key().set_parent(ring.as_str());
            request.set_crypto_key_id(key.id()).set_crypto_key(wanted).send()
        })
        .await;
    match made {
        Ok(_) | Err(Trouble { cause: Cause::Exists, .. }) => Ok(()),
        Err(Trouble { cause: Cause::Missing, error }) => Err(SignError::refused(
            Refusal::Missing,
            format!(
                "{}; `gcloud kms keyrings create` makes a key ring, of which the service makes none, for it stays for good",
                error.reason()
            ),
        )),
        Err(trouble) => Err(trouble.error),
    }
}

/// Has Cloud KMS make another version of a key of ours whose versions came to nothing.
async fn make_version(clients: &Clients, key: &CryptoKey) -> Result<()> {
    let asked = Asked {
        operation: "CreateCryptoKeyVersion",
        permission: "cryptoKeyVersions.create",
        about: key.as_str(),
    };
    let made = clients.ask(asked, |client| {
        let request = client.create_crypto_key_version().set_parent(key.as_str());
        request.set_crypto_key_version(CryptoKeyVersion::new()).send()
    });
    made.await.map(drop).map_err(|trouble| trouble.error)
}
