//! What key stores are asked now and then about keys that nobody has open: how the root's is, weeks before anybody needs
//! it, and which keys the names lead to by which keys were chosen.

use super::{Authority, cautions::in_use, keys::pin_of};
use crate::{
    identity::CaRole,
    store::{CaRow, Hierarchy, KeyIntention, KeyRole},
};
use catalyst_signing::{KeyPin, KeyState, Result, SignError, Whereabouts};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_secs(600);
/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// What they answered last.
#[derive(Debug, Default)]
pub(super) struct Answers(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    states: BTreeMap<(KeyRole, u32), KeyState>,
    /// By key store and reference.
    named: BTreeMap<(String, String), Whereabouts>,
    /// What was logged and still holds, by its kind.
    logged: BTreeMap<News, BTreeSet<String>>,
}

/// What is logged when it begins to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum News {
    /// A reference leads to another key.
    Moved,
    /// A key cannot be used, or not for long.
    Trouble,
}

impl Answers {
    /// How a key is; [`KeyState::Unknown`] where nobody has asked, or may.
    pub(super) fn state(&self, meant: &KeyIntention) -> KeyState {
        self.lock().states.get(&(meant.role, meant.generation)).copied().unwrap_or(KeyState::Unknown)
    }

    /// The key that a reference leads to, where that was asked.
    pub(super) fn named(&self, backend: &str, reference: &str) -> Option<Whereabouts> {
        self.lock().named.get(&(backend.to_owned(), reference.to_owned())).cloned()
    }

    /// A reference has led to this key just now.
    pub(super) fn learn(&self, backend: &str, reference: &str, pin: &KeyPin) {
        let found = Whereabouts { uri: pin.uri.clone(), spki: pin.spki.clone() };
        self.lock().named.insert((backend.to_owned(), reference.to_owned()), found);
    }

    /// Those of `sentences` that were not among them the last time.
    fn news(&self, kind: News, sentences: Vec<String>) -> Vec<String> {
        let before = self.lock().logged.insert(kind, sentences.iter().cloned().collect()).unwrap_or_default();
        sentences.into_iter().filter(|sentence| !before.contains(sentence)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Authority {
    /// Runs until the token is cancelled.
    pub(super) async fn rounds(self: Arc<Self>, stop: CancellationToken) {
        let mut tick = interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let asking = async {
            loop {
                tick.tick().await;
                self.ask_key_stores().await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = asking => {}
        }
    }

    /// Asks once about each. What is not answered is no trouble: nothing of it is needed now.
    pub(super) async fn ask_key_stores(&self) {
        let Ok(hierarchy) = self.store.hierarchy().await else { return };
        tokio::join!(self.ask_about_roots(&hierarchy), self.ask_about_references(&hierarchy));
        let moved = self.moved_references(&hierarchy, self.clock.now());
        for caution in self.keys.answers.news(News::Moved, moved) {
            tracing::warn!(target: "catalyst.pki", caution, "A name leads to another key than it did");
        }
    }

    /// Logs what key stores say against keys, once as long as they say it.
    pub(super) async fn log_key_troubles(&self) {
        let Ok(hierarchy) = self.store.hierarchy().await else { return };
        let troubles = self.key_troubles(&hierarchy, self.clock.now());
        for trouble in self.keys.answers.news(News::Trouble, troubles) {
            tracing::warn!(target: "catalyst.pki", trouble, "A key store speaks against a key");
        }
    }

    async fn ask_about_roots(&self, hierarchy: &Hierarchy) {
        let at = self.clock.now();
        let live = |row: &&CaRow| row.certificate.role == CaRole::Root && row.is_live(at);
        for row in hierarchy.cas.iter().filter(live) {
            let meant = &row.key.intention;
            let id = (meant.role, meant.generation);
            let (Ok(pin), Ok(store)) = (pin_of(&row.key), self.keys.key_stores.get(&meant.backend)) else {
                continue;
            };
            let answer = in_time(store.state_of(&pin)).await;
            let states = &mut self.keys.answers.lock().states;
            match answer {
                Ok(state) => {
                    states.insert(id, state);
                }
                Err(error) if error.is_transient() => {}
                Err(_) => {
                    states.remove(&id);
                }
            }
        }
    }

    async fn ask_about_references(&self, hierarchy: &Hierarchy) {
        let at = self.clock.now();
        let pinned = in_use(hierarchy, at)
            .filter_map(|(_, row)| Some((row.intention.backend.clone(), row.intention.reference.clone()?)));
        let set =
            self.config.named_keys().map(|(_, backend, key)| (backend.to_owned(), key.reference.clone()));
        for (backend, reference) in pinned.chain(set).collect::<BTreeSet<_>>() {
            let Ok(store) = self.keys.key_stores.get(&backend) else { continue };
            let answer = in_time(store.whereabouts(&reference)).await;
            let named = &mut self.keys.answers.lock().named;
            match answer {
                Ok(Some(found)) => {
                    named.insert((backend, reference), found);
                }
                Err(error) if error.is_transient() => {}
                Ok(None) | Err(_) => {
                    named.remove(&(backend, reference));
                }
            }
        }
    }
}

async fn in_time<T>(asked: impl Future<Output = Result<T>>) -> Result<T> {
    let late = |_| Err(SignError::unavailable("the key store has not answered"));
    timeout(PATIENCE, asked).await.unwrap_or_else(late)
}
