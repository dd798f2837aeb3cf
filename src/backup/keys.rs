//! The keys that a backup speaks of: the one that signs its manifest, and whether each is still where it says.

use super::{Manifest, Pin, Result, Watch};
use crate::{
    identity::CaRole,
    store::{KeyFacts, KeyRole, KeyRowState, StoreFacts},
};
use catalyst_signing::{
    Guard, GuardedKey, KeyPin, KeyPolicy, KeyUri, NoObserver, Purpose, Refusal, SignError, SigningBackend,
    TransientKind,
};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::time::{Instant, timeout};

/// How long a key store may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long one that is away is asked again, as after a short fault of the network.
const SOON: Duration = Duration::from_secs(3);
const NOT_THIS_PASSPHRASE: &str = "its file in the backup does not open with this passphrase: give the one that it had when the backup was made, with --local-passphrase-file";

/// Opens the key store of a name, or says why it can't be had: a clause.
pub type OpenStore<'a> = &'a (dyn Fn(&str) -> std::result::Result<Arc<dyn SigningBackend>, String> + Sync);

/// What was found of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyFinding {
    /// It opens, and is the pinned one.
    Matches,
    /// Its key store was asked, and does not take the passphrase or PIN; why.
    Refused(String),
    /// Its key store could not be asked; why.
    Unreachable(String),
    /// It is another, or gone; how.
    Differs(String),
    /// It was not looked for.
    Unchecked,
}

/// A key and what was found of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyCheck {
    /// Which.
    pub pin: Pin,
    /// What was found.
    pub finding: KeyFinding,
}

/// Opens the active services CA's key, for manifests alone.
///
/// # Errors
/// [`super::BackupError::Unsignable`]
pub async fn open_signer(facts: &StoreFacts, open: OpenStore<'_>) -> Result<GuardedKey> {
    let unsignable = super::BackupError::Unsignable;
    let (ca, key) = facts
        .active_ca(CaRole::Services)
        .ok_or_else(|| unsignable("no services CA is active; see 'catalyst pki ca list'".into()))?;
    let backend = open(&key.backend).map_err(unsignable)?;
    let opened =
        open_key(backend, key, &ca.common_name, &facts.deployment, &[Purpose::Manifest], PATIENCE).await;
    opened.map_err(|error| unsignable(error.to_string()))
}

/// Opens each key that is not retired, and holds it against its pin. `lies_in_file` knows by key store and URI which keys
/// lie in files, and so in the backup or wherever they are kept. A key store that does not answer is asked once.
pub async fn check_keys(
    manifest: &Manifest,
    facts: &StoreFacts,
    open: OpenStore<'_>,
    lies_in_file: &(dyn Fn(&str, &str) -> bool + Sync),
    watch: &dyn Watch,
) -> Vec<KeyCheck> {
    let pins: Vec<_> = wanted(manifest).collect();
    let (mut checks, mut silent) = (Vec::new(), BTreeSet::new());
    for (done, pin) in pins.iter().enumerate() {
        watch.has_done("keys", done as u64, pins.len() as u64);
        let key = facts.keys.iter().find(|key| (key.role, key.generation) == (pin.role, pin.generation));
        let is_here = manifest.parts.iter().any(|part| part.key_uri.as_deref() == Some(&pin.key_uri));
        let is_file = lies_in_file(&pin.key_store, &pin.key_uri);
        let finding = match key {
            None => KeyFinding::Differs("certs.db does not have it".into()),
            // As a root's may be.
            Some(_) if is_file && !is_here => {
                KeyFinding::Unreachable("its file is not in the backup, and kept elsewhere".into())
            }
            Some(_) if silent.contains(&pin.key_store) => KeyFinding::Unreachable(
                "its key store has not answered before, and was not asked again".into(),
            ),
            Some(key) => match look(pin, key, &manifest.store.deployment, open).await {
                Ok(()) => KeyFinding::Matches,
                Err(Failure::Store(why)) => KeyFinding::Unreachable(why),
                Err(Failure::Key(SignError::Refused { kind: Refusal::Pin, .. })) if is_file => {
                    KeyFinding::Refused(NOT_THIS_PASSPHRASE.into())
                }
                Err(Failure::Key(error)) => {
                    if error.is_transient() {
                        silent.insert(pin.key_store.clone());
                    }
                    finding(&error)
                }
            },
        };
        checks.push(KeyCheck { pin: (*pin).clone(), finding });
    }
    checks
}

/// The same keys, without a look.
pub(super) fn unchecked(manifest: &Manifest) -> Vec<KeyCheck> {
    let all = wanted(manifest);
    all.map(|pin| KeyCheck { pin: pin.clone(), finding: KeyFinding::Unchecked }).collect()
}

fn wanted(manifest: &Manifest) -> impl Iterator<Item = &Pin> {
    manifest.store.pins.iter().filter(|pin| pin.state != KeyRowState::Retired.as_str())
}

/// Why a key does not open.
enum Failure {
    /// Its key store can't be had.
    Store(String),
    Key(SignError),
}

/// What is plainly away is told soon; what is slow has its time.
async fn look(
    pin: &Pin,
    key: &KeyFacts,
    deployment: &str,
    open: OpenStore<'_>,
) -> std::result::Result<(), Failure> {
    let backend = open(&pin.key_store).map_err(Failure::Store)?;
    let name = format!("{}-{}", pin.role, pin.generation);
    let soon = open_key(backend.clone(), key, &name, deployment, &[], SOON).await;
    let opened = match soon {
        Err(SignError::Transient { kind: TransientKind::TimedOut | TransientKind::Throttled, .. }) => {
            open_key(backend, key, &name, deployment, &[], PATIENCE).await
        }
        answered => answered,
    };
    opened.map(drop).map_err(Failure::Key)
}

/// A permission or setting that is missing here says nothing of the backup.
fn finding(error: &SignError) -> KeyFinding {
    match error {
        SignError::Integrity { .. }
        | SignError::Refused {
            kind: Refusal::Missing | Refusal::Disabled | Refusal::WrongType | Refusal::Ambiguous,
            ..
        } => KeyFinding::Differs(error.to_string()),
        SignError::Refused { kind: Refusal::Pin, .. } => KeyFinding::Refused(error.to_string()),
        other => KeyFinding::Unreachable(other.to_string()),
    }
}

async fn open_key(
    backend: Arc<dyn SigningBackend>,
    key: &KeyFacts,
    name: &str,
    deployment: &str,
    purposes: &'static [Purpose],
    patience: Duration,
) -> std::result::Result<GuardedKey, SignError> {
    let unreadable = |what: &str| SignError::integrity(format!("the stored {name} key {what}"));
    let made = key.made.as_ref().ok_or_else(|| unreadable("was never made"))?;
    let pin = KeyPin {
        uri: KeyUri::parse(&made.uri).map_err(|_| unreadable("has a URI that cannot be read"))?,
        algorithm: key.algorithm.parse().map_err(|_| unreadable("names an unknown algorithm"))?,
        spki: made.spki.clone(),
    };
    let policy = KeyPolicy {
        name: name.to_owned(),
        deployment: deployment.to_owned(),
        purposes,
        concurrency: 1,
        probe: key.role != KeyRole::Ca(CaRole::Root),
    };
    let guard = Guard::new(Arc::new(NoObserver));
    let opened = timeout(patience, guard.open(backend, pin, policy, Instant::now() + patience)).await;
    opened.unwrap_or_else(|_| Err(SignError::timed_out("the key store has not answered in time")))
}
