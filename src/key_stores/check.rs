//! Whether a key store can be used with these settings: opened, looked at, and made to sign, without the service.

use super::Kinds;
use crate::settings::Settings;
use async_trait::async_trait;
use catalyst_signing::{
    Capability, Fact, Guard, GuardedKey, KeyIntent, KeyPin, KeyPolicy, KeyRole, NoObserver, Nonce, SignError,
    SignatureAlgorithm, SigningBackend,
    conformance::{self, Harness, Report},
};
use secrecy::ExposeSecret as _;
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{
    sync::Mutex,
    task::JoinSet,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

/// How long a key store may take to be opened, and to remove a key.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long it may take to make a key: HSMs make RSA keys for minutes.
const MAKING: Duration = Duration::from_secs(300);
/// How long the end waits for it to close what is open.
const LETTING_GO: Duration = Duration::from_secs(5);
/// A secret of fewer octets may stand somewhere by chance.
const TELLING: usize = 8;
/// So many probe signatures show whether it is slow.
const SIGNATURES: usize = 5;

/// What is to be looked at.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Name of the key store.
    pub name: String,
    /// The key that makes the probe signatures; one that is made for it and removed unless said.
    pub key: Option<String>,
    /// The key's algorithm.
    pub algorithm: SignatureAlgorithm,
    /// Whether every rule of the signing contract is tried too, which makes keys and removes them.
    pub full: bool,
}

/// What was seen of a key store.
#[derive(Debug, Default)]
pub struct Examined {
    /// Its name.
    pub name: String,
    /// What it says of itself.
    pub facts: Vec<Fact>,
    /// What it can do.
    pub capabilities: Vec<Capability>,
    /// The probe signatures, where any were made.
    pub probe: Option<Probe>,
    /// What is to be known and no failure, in sentences.
    pub notes: Vec<String>,
    /// What failed, in sentences that say what to do.
    pub problems: Vec<Problem>,
    /// How it keeps the rules of the signing contract, where that was wanted.
    pub conformance: Option<Report>,
}

/// Probe signatures that were made and verified.
#[derive(Clone, Debug)]
pub struct Probe {
    /// Where the key is, or was.
    pub uri: String,
    /// Its algorithm.
    pub algorithm: SignatureAlgorithm,
    /// Whether it was made for this.
    pub made: bool,
    /// Whether it may still be there although it was made for this.
    pub left: bool,
    /// How long opening the key took.
    pub open: Duration,
    /// How long each signature took, the shortest first; never empty.
    pub signatures: Vec<Duration>,
}

/// Something that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// A stable word: those of [`SignError::code`], `settings` or `interrupted`.
    pub code: &'static str,
    /// A sentence.
    pub reason: String,
}

impl From<SignError> for Problem {
    fn from(error: SignError) -> Self {
        Self { code: error.code(), reason: error.to_string() }
    }
}

impl Examined {
    /// Whether nothing failed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.problems.is_empty() && self.conformance.as_ref().is_none_or(Report::passed)
    }
}

/// Looks at one key store. `stop`: the operator wants no more; what was made is removed all the same.
pub async fn examine(
    kinds: &Kinds,
    settings: &Settings,
    wanted: &Wanted,
    stop: &CancellationToken,
) -> Examined {
    let mut seen = Examined { name: wanted.name.clone(), ..Examined::default() };
    let backend = match kinds.open_one(settings, &wanted.name) {
        Ok(backend) => backend,
        Err(error) => {
            seen.problems.push(Problem { code: "settings", reason: error.to_string() });
            return seen;
        }
    };
    let looking = Looking { backend: backend.clone(), wanted, seen: &mut seen };
    looking.all(stop).await;
    let mut opened = Mutex::default();
    if wanted.full && seen.problems.is_empty() {
        let deployment = deployment().unwrap_or_default();
        let harness = Again { kinds, settings, wanted, first: backend.clone(), deployment, stop, opened };
        tokio::select! {
            report = conformance::run_all(&harness) => seen.conformance = Some(report),
            // What is being made can't be called back.
            () = async { stop.cancelled().await; tokio::time::sleep(MAKING).await } => {}
        }
        if stop.is_cancelled() {
            seen.problems.push(interrupted());
        }
        seen.problems.extend(remove_left(&backend, &harness.deployment).await);
        opened = harness.opened;
    }
    let mut closing: JoinSet<()> = JoinSet::new();
    for backend in opened.into_inner().into_iter().chain([backend]) {
        closing.spawn(async move { backend.shut_down().await });
    }
    if timeout(LETTING_GO, async { while closing.join_next().await.is_some() {} }).await.is_err() {
        seen.notes.push("the key store did not close in time; its sessions end with this process".into());
    }
    seen
}

/// Gives up what the run has left, which carries its own deployment id, and names what cannot be.
async fn remove_left(backend: &Arc<dyn SigningBackend>, deployment: &str) -> Vec<Problem> {
    let Some(lifecycle) = backend.lifecycle() else { return Vec::new() };
    let listed = match in_time(PATIENCE, lifecycle.list(deployment)).await {
        Ok(listed) => listed,
        Err(error) => {
            let reason = format!(
                "keys of the deployment {deployment} may be left in the key store, remove them there: {error}"
            );
            return vec![Problem { code: error.code(), reason }];
        }
    };
    let mut left = Vec::new();
    for key in listed {
        let removed = in_time(PATIENCE, async {
            let mut last = SignError::unavailable("no algorithm is known for it");
            for known in backend.capabilities() {
                match backend.resolve(key.uri.as_str(), known.algorithm).await {
                    Ok(pin) => return lifecycle.schedule_destruction(&pin).await,
                    Err(error) => last = error,
                }
            }
            Err(last)
        });
        if let Err(error) = removed.await {
            let reason = format!("{} is left in the key store, remove it there: {error}", key.uri);
            left.push(Problem { code: error.code(), reason });
        }
    }
    left
}

fn interrupted() -> Problem {
    Problem { code: "interrupted", reason: "interrupted before all was looked at".into() }
}

struct Looking<'a> {
    backend: Arc<dyn SigningBackend>,
    wanted: &'a Wanted,
    seen: &'a mut Examined,
}

impl Looking<'_> {
    async fn all(mut self, stop: &CancellationToken) {
        let described = in_time(PATIENCE, self.backend.describe());
        let described = tokio::select! {
            described = described => described,
            () = stop.cancelled() => return self.seen.problems.push(interrupted()),
        };
        match described {
            Ok(facts) => self.seen.facts = facts,
            Err(error) => return self.seen.problems.push(error.into()),
        }
        self.seen.capabilities = self.backend.capabilities().to_vec();
        match &self.wanted.key {
            Some(reference) => self.probe_named(reference, stop).await,
            None => self.probe_made(stop).await,
        }
    }

    async fn probe_named(&mut self, reference: &str, stop: &CancellationToken) {
        let backend = self.backend.clone();
        let signed = async {
            let pin = in_time(PATIENCE, backend.resolve(reference, self.wanted.algorithm)).await?;
            probe(&backend, pin, false, self.wanted.algorithm).await
        };
        let outcome = tokio::select! {
            signed = signed => signed.map_err(Problem::from),
            () = stop.cancelled() => Err(interrupted()),
        };
        self.take(outcome);
    }

    /// With a key of its own making, which is looked for at the end and removed, however far this came.
    async fn probe_made(&mut self, stop: &CancellationToken) {
        let algorithm = self.wanted.algorithm;
        let name = &self.wanted.name;
        let capability = self.seen.capabilities.iter().find(|known| known.algorithm == algorithm);
        let Some(capability) = capability else {
            let reason =
                format!("key store '{name}' has no {algorithm} keys: choose another with --algorithm");
            return self.seen.problems.push(Problem { code: "key_refused_unsupported", reason });
        };
        let backend = self.backend.clone();
        let Some(lifecycle) = backend.lifecycle().filter(|_| capability.creates) else {
            let note =
                format!("no {algorithm} keys can be made here: name one with --key for a probe signature");
            return self.seen.notes.push(note);
        };
        let intent = match intent(algorithm) {
            Ok(intent) => intent,
            Err(error) => return self.seen.problems.push(error.into()),
        };
        // What is being made can't be called back, only waited for and removed.
        let made = in_time(MAKING, lifecycle.create(&intent)).await;
        let refused = made.as_ref().err().filter(|error| !error.is_transient()).cloned();
        let outcome = match made {
            Err(error) => Err(error.into()),
            Ok(pin) => tokio::select! {
                biased;
                () = stop.cancelled() => Err(interrupted()),
                signed = probe(&backend, pin, true, algorithm) => signed.map_err(Problem::from),
            },
        };
        self.take(outcome);
        let removed = in_time(PATIENCE, async {
            match lifecycle.find(&intent).await? {
                Some(pin) => lifecycle.schedule_destruction(&pin).await,
                None => Ok(()),
            }
        });
        let Err(error) = removed.await else { return };
        // What is refused to the end for one reason, a PIN or a Region that is missing, was refused before a key was made,
        // unless there is one all the same.
        let left = in_time(PATIENCE, lifecycle.list(&intent.deployment)).await.unwrap_or_default();
        let left = left.into_iter().find(|key| key.nonce == intent.nonce).map(|key| key.uri.to_string());
        if left.is_none() && refused.as_ref() == Some(&error) {
            return;
        }
        let label = format!("{}-{}", intent.role, intent.generation);
        let named = self.seen.probe.as_mut().map(|probe| {
            probe.left = true;
            probe.uri.clone()
        });
        let named = named.or(left).unwrap_or(label);
        self.seen.problems.push(Problem {
            code: error.code(),
            reason: format!("the probe key {named} may be left in the key store, remove it there: {error}"),
        });
    }

    fn take(&mut self, outcome: Result<(Probe, Option<String>), Problem>) {
        match outcome {
            Ok((probe, caution)) => {
                self.seen.notes.extend(caution.map(|caution| format!("{}: {caution}", probe.uri)));
                self.seen.probe = Some(probe);
            }
            Err(problem) => self.seen.problems.push(problem),
        }
    }
}

async fn in_time<T>(
    patience: Duration,
    asked: impl Future<Output = catalyst_signing::Result<T>>,
) -> catalyst_signing::Result<T> {
    let late =
        || Err(SignError::unavailable(format!("the key store has not answered in {} s", patience.as_secs())));
    timeout(patience, asked).await.unwrap_or_else(|_| late())
}

/// A wish that no service has, and that no list of a service's keys shows.
fn intent(algorithm: SignatureAlgorithm) -> Result<KeyIntent, SignError> {
    let random = || SignError::unavailable("the operating system gives no random numbers");
    let nonce = Nonce::random().map_err(|_| random())?;
    let [a, b, c, d, ..] = *nonce.as_bytes();
    Ok(KeyIntent {
        nonce,
        deployment: deployment().ok_or_else(random)?,
        role: KeyRole::Probe,
        generation: u32::from_be_bytes([a, b, c, d]),
        algorithm,
        created_at: SystemTime::now(),
    })
}

/// 16 hex digits.
fn deployment() -> Option<String> {
    Nonce::random().ok().map(|nonce| nonce.to_string().chars().take(16).collect())
}

/// Opens the key as the CA does, and signs behind the guard, which verifies.
async fn probe(
    backend: &Arc<dyn SigningBackend>,
    pin: KeyPin,
    made: bool,
    algorithm: SignatureAlgorithm,
) -> Result<(Probe, Option<String>), SignError> {
    let policy = KeyPolicy {
        name: "backend check".into(),
        deployment: deployment().unwrap_or_default(),
        purposes: &[],
        concurrency: 1,
        probe: true,
    };
    let uri = pin.uri.to_string();
    let begun = Instant::now();
    let guard = Guard::new(Arc::new(NoObserver));
    let key: GuardedKey = guard.open(backend.clone(), pin, policy, begun + PATIENCE).await?;
    let open = begun.elapsed();
    let mut signatures = Vec::with_capacity(SIGNATURES);
    for _ in 0..SIGNATURES {
        let begun = Instant::now();
        key.probe(begun + PATIENCE).await?;
        signatures.push(begun.elapsed());
    }
    signatures.sort();
    Ok((Probe { uri, algorithm, made, left: false, open, signatures }, key.caution()))
}

/// The key store under test: made anew from the same settings each time.
struct Again<'a> {
    kinds: &'a Kinds,
    settings: &'a Settings,
    wanted: &'a Wanted,
    first: Arc<dyn SigningBackend>,
    deployment: String,
    stop: &'a CancellationToken,
    /// What is not let go of would be inside its module when this process ends.
    opened: Mutex<Vec<Arc<dyn SigningBackend>>>,
}

#[async_trait]
impl Harness for Again<'_> {
    async fn backend(&self) -> Arc<dyn SigningBackend> {
        let mut opened = self.opened.lock().await;
        let (unused, used) = opened.drain(..).partition(|backend| Arc::strong_count(backend) == 1);
        *opened = used;
        let unused: Vec<_> = unused;
        for backend in unused {
            if timeout(LETTING_GO, backend.shut_down()).await.is_err() {
                opened.push(backend);
            }
        }
        // What opened a moment ago, and does not now, shows in the rules.
        let backend =
            self.kinds.open_one(self.settings, &self.wanted.name).unwrap_or_else(|_| self.first.clone());
        opened.push(backend.clone());
        backend
    }

    fn deployment(&self) -> String {
        self.deployment.clone()
    }

    fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    fn existing(&self, algorithm: SignatureAlgorithm) -> Option<String> {
        self.wanted.key.clone().filter(|_| algorithm == self.wanted.algorithm)
    }

    fn leaks(&self, text: &str) -> bool {
        let secrets = self.settings.values.secrets().map(|secret| secret.expose_secret());
        // A short PIN stands in numbers of all kinds.
        secrets.filter(|secret| secret.len() >= TELLING).any(|secret| text.contains(secret))
    }
}
