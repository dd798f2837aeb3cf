//! Real keys in memory behind a key store that is away when a test says so.

use async_trait::async_trait;
use catalyst_local::EphemeralBackend;
use catalyst_signing::{
    Capability, FoundKey, KeyIntent, KeyLifecycle, KeyPin, KeyState, KeyUri, Refusal, Result, SignError,
    SignatureAlgorithm, SigningBackend, SigningKey, Whereabouts,
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

const NEVER: usize = usize::MAX;

/// Clones share keys and faults.
#[derive(Clone, Debug, Default)]
pub(super) struct Flaky {
    keys: EphemeralBackend,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    calls: AtomicUsize,
    calls_of_first_run: AtomicUsize,
    created: AtomicUsize,
    /// From this call on every call fails; a process that has failed once does not come back.
    fail_from: AtomicUsize,
    refusing: AtomicBool,
    hanging: AtomicBool,
    swapped: Mutex<Option<(String, String)>>,
    caution: Mutex<Option<String>>,
    elsewhere: Mutex<Option<String>>,
    said: Mutex<Option<KeyState>>,
    aliases: Mutex<BTreeMap<String, String>>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            calls: AtomicUsize::new(0),
            calls_of_first_run: AtomicUsize::new(0),
            created: AtomicUsize::new(0),
            fail_from: AtomicUsize::new(NEVER),
            refusing: AtomicBool::new(false),
            hanging: AtomicBool::new(false),
            swapped: Mutex::default(),
            caution: Mutex::default(),
            elsewhere: Mutex::default(),
            said: Mutex::default(),
            aliases: Mutex::default(),
        }
    }
}

impl Flaky {
    /// Refuses from this call on, which nobody tries again.
    pub(super) fn refuse_call(&self, call: usize) {
        self.state.refusing.store(true, Ordering::SeqCst);
        self.state.fail_from.store(call, Ordering::SeqCst);
    }

    /// Answers so many calls more, then refuses.
    pub(super) fn refuse_after(&self, calls: usize) {
        self.refuse_call(self.state.calls.load(Ordering::SeqCst) + calls);
    }

    /// Never finds a key that is named, from now on.
    pub(super) fn hang(&self) {
        self.state.hanging.store(true, Ordering::SeqCst);
    }

    /// Is away from now on.
    pub(super) fn fail_all(&self) {
        self.state.refusing.store(false, Ordering::SeqCst);
        self.state.fail_from.store(0, Ordering::SeqCst);
    }

    pub(super) fn fail_none(&self) {
        self.state.calls_of_first_run.store(self.state.calls.load(Ordering::SeqCst), Ordering::SeqCst);
        self.state.fail_from.store(NEVER, Ordering::SeqCst);
    }

    /// From now on the first key's address leads to the second key.
    pub(super) fn swap(&self, address: &str, other: &str) {
        *self.state.swapped.lock().unwrap() = Some((address.into(), other.into()));
    }

    /// What it says of every key from now on.
    pub(super) fn caution(&self, caution: Option<&str>) {
        *self.state.caution.lock().unwrap() = caution.map(str::to_owned);
    }

    /// Where every key signs from now on.
    pub(super) fn elsewhere(&self, place: Option<&str>) {
        *self.state.elsewhere.lock().unwrap() = place.map(str::to_owned);
    }

    /// How every key is from now on.
    pub(super) fn state(&self, state: KeyState) {
        *self.state.said.lock().unwrap() = Some(state);
    }

    /// From now on the name leads to this address.
    pub(super) fn alias(&self, name: &str, address: &str) {
        self.state.aliases.lock().unwrap().insert(name.into(), address.into());
    }

    fn address(&self, reference: &str) -> Option<String> {
        self.state.aliases.lock().unwrap().get(reference).cloned()
    }

    pub(super) fn calls(&self) -> usize {
        self.state.calls.load(Ordering::SeqCst)
    }

    pub(super) fn created(&self) -> usize {
        self.state.created.load(Ordering::SeqCst)
    }

    pub(super) fn calls_of_first_run(&self) -> usize {
        self.state.calls_of_first_run.load(Ordering::SeqCst)
    }

    fn call(&self) -> Result<()> {
        let call = self.state.calls.fetch_add(1, Ordering::SeqCst);
        if call >= self.state.fail_from.load(Ordering::SeqCst) {
            return Err(match self.state.refusing.load(Ordering::SeqCst) {
                true => SignError::refused(Refusal::Denied, "refused for the test"),
                false => SignError::unavailable("away for the test"),
            });
        }
        Ok(())
    }
}

#[async_trait]
impl SigningBackend for Flaky {
    fn scheme(&self) -> &'static str {
        self.keys.scheme()
    }
    fn capabilities(&self) -> &[Capability] {
        self.keys.capabilities()
    }
    async fn resolve(&self, reference: &str, algorithm: SignatureAlgorithm) -> Result<KeyPin> {
        self.call()?;
        if self.state.hanging.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let address = self.address(reference);
        self.keys.resolve(address.as_deref().unwrap_or(reference), algorithm).await
    }
    async fn whereabouts(&self, reference: &str) -> Result<Option<Whereabouts>> {
        let Some(address) = self.address(reference) else { return Ok(None) };
        self.call()?;
        let KeyPin { uri, spki, .. } = self.keys.resolve(&address, SignatureAlgorithm::EcP384).await?;
        Ok(Some(Whereabouts { uri, spki }))
    }
    async fn state_of(&self, _: &KeyPin) -> Result<KeyState> {
        self.call()?;
        Ok(self.state.said.lock().unwrap().unwrap_or(KeyState::Unknown))
    }
    async fn open(&self, pin: &KeyPin) -> Result<Arc<dyn SigningKey>> {
        self.call()?;
        let mut pin = pin.clone();
        let swapped = self.state.swapped.lock().unwrap().clone();
        if let Some((_, other)) = swapped.filter(|(address, _)| address == pin.uri.as_str()) {
            pin.uri = KeyUri::parse(&other).unwrap();
        }
        Ok(Arc::new(FlakyKey { key: self.keys.open(&pin).await?, store: self.clone() }))
    }
    fn lifecycle(&self) -> Option<&dyn KeyLifecycle> {
        Some(self)
    }
}

#[async_trait]
impl KeyLifecycle for Flaky {
    async fn find(&self, intent: &KeyIntent) -> Result<Option<KeyPin>> {
        self.call()?;
        let lifecycle = self.keys.lifecycle().expect("ephemeral keys can be made");
        lifecycle.find(intent).await
    }
    async fn create(&self, intent: &KeyIntent) -> Result<KeyPin> {
        let lifecycle = self.keys.lifecycle().expect("ephemeral keys can be made");
        self.call()?;
        if let Some(made_before) = lifecycle.find(intent).await? {
            return Ok(made_before);
        }
        let pin = lifecycle.create(intent).await?;
        self.state.created.fetch_add(1, Ordering::SeqCst);
        // The answer may be lost after the key was made.
        self.call()?;
        Ok(pin)
    }
    async fn list(&self, deployment: &str) -> Result<Vec<FoundKey>> {
        self.call()?;
        self.keys.lifecycle().expect("ephemeral keys can be made").list(deployment).await
    }
    async fn schedule_destruction(&self, pin: &KeyPin) -> Result<()> {
        self.call()?;
        let lifecycle = self.keys.lifecycle().expect("ephemeral keys can be made");
        lifecycle.schedule_destruction(pin).await
    }
}

#[derive(Debug)]
struct FlakyKey {
    key: Arc<dyn SigningKey>,
    store: Flaky,
}

#[async_trait]
impl SigningKey for FlakyKey {
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        self.store.call()?;
        self.key.sign(message).await
    }
    async fn public_key(&self) -> Result<Option<Vec<u8>>> {
        self.store.call()?;
        self.key.public_key().await
    }
    async fn state(&self) -> Result<KeyState> {
        self.store.call()?;
        let said = *self.store.state.said.lock().unwrap();
        match said {
            Some(state) => Ok(state),
            None => self.key.state().await,
        }
    }
    fn elsewhere(&self) -> Option<String> {
        self.store.state.elsewhere.lock().unwrap().clone()
    }
    fn caution(&self) -> Option<String> {
        self.store.state.caution.lock().unwrap().clone()
    }
}
