//! What every key store must do, as a suite that runs in a backend's tests and in `catalyst backend check --full`.
//!
//! A fifth backend implements [`Harness`] (only [`Harness::backend`] is needed; the rest lets more rules be tried) and
//! runs the suite:
//!
//! ```
//! # use catalyst_signing::{SigningBackend, conformance::{self, Harness}};
//! # use std::sync::Arc;
//! struct MyStore { /* the address of a test store */ }
//!
//! #[async_trait::async_trait]
//! impl Harness for MyStore {
//!     async fn backend(&self) -> Arc<dyn SigningBackend> {
//!         // A new backend over the same store each time: that is what a restart is.
//! #       unimplemented!()
//!     }
//! }
//!
//! # async fn example() {
//! conformance::run_all(&MyStore {}).await.assert();
//! # }
//! ```
//!
//! The suite makes one key per algorithm and a few more, all of role `probe`, and gives up what it made at the end.
//! Nothing here panics but [`Report::assert`]. A rule that can't be tried says so in the report instead of passing.

mod creation;
mod hidden;
mod opening;
mod report;
mod signing;
mod subject;
#[cfg(test)]
mod tests;

pub use report::{Check, Report, Verdict};
pub use subject::Subject;

use crate::{KeyIntent, Nonce, SignatureAlgorithm, SigningBackend};
use async_trait::async_trait;
use std::{sync::Arc, time::Duration};

/// A key that looks like the one an intent is for, and must not be taken for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LookAlike {
    /// Stands under the name or tags this intent's key would have, but carries another nonce or none.
    Foreign,
    /// Carries the intent, nonce included, and was made more than five minutes before it.
    Older,
    /// Carries the intent, and was imported instead of made in the key store.
    Imported,
    /// A second key that carries the intent; planted after the first was made.
    Twin,
}

impl LookAlike {
    /// Every kind.
    pub const ALL: &[Self] = &[Self::Foreign, Self::Older, Self::Imported, Self::Twin];
}

/// What the suite needs to know of a backend under test.
#[async_trait]
pub trait Harness: Send + Sync {
    /// A backend over the same key store, built anew: called again, it stands for a restart.
    async fn backend(&self) -> Arc<dyn SigningBackend>;

    /// A backend over the same key store whose credentials may sign but not read public keys. `None`: the suite hides
    /// them itself.
    async fn sign_only(&self) -> Option<Arc<dyn SigningBackend>> {
        None
    }

    /// Plants a look-alike and gives its SPKI (DER); `None`: this key store can hold no such key, or the harness can't
    /// make one.
    async fn plant(&self, kind: LookAlike, intent: &KeyIntent) -> Option<Vec<u8>> {
        let _ = (kind, intent);
        None
    }

    /// A reference to an existing key, for algorithms the backend signs with but makes no keys of.
    fn existing(&self, algorithm: SignatureAlgorithm) -> Option<String> {
        let _ = algorithm;
        None
    }

    /// Whether `text` holds one of the backend's secrets (PIN, passphrase, credential). Asked, so that no secret
    /// leaves the harness.
    fn leaks(&self, text: &str) -> bool {
        let _ = text;
        false
    }

    /// The deployment that keys of this run are made for (16 hex digits), so that they can be told from all others.
    /// Asked once a run.
    fn deployment(&self) -> String {
        Nonce::random().map_or_else(|_| "c0f0c0f0c0f0c0f0".into(), |nonce| nonce.to_string()[..16].to_owned())
    }

    /// Whether nobody wants the rest: no key is made or opened any more, and what was made is given up.
    fn is_stopped(&self) -> bool {
        false
    }

    /// How long one request may take.
    fn patience(&self) -> Duration {
        Duration::from_secs(60)
    }
}

/// Tries every rule, one after the other, and gives up the keys it made.
pub async fn run_all(harness: &dyn Harness) -> Report {
    let subject = Subject::new(harness).await;
    let mut report = Report::default();
    report.add("capabilities name each algorithm once", opening::capabilities_are_sound(&subject).await);
    report.add("creating twice for one intent makes one key", creation::is_idempotent(&subject).await);
    report.add("two intents make two keys", creation::keeps_intents_apart(&subject).await);
    report.add(
        "an intent nobody acted on finds no key",
        creation::unknown_intent_finds_nothing(&subject).await,
    );
    report.add("a key is found after a restart", creation::is_found_after_restart(&subject).await);
    report.add("a key is listed for its deployment", creation::is_listed(&subject).await);
    for kind in LookAlike::ALL {
        let rule = match kind {
            LookAlike::Foreign => "a foreign key under the same name is not adopted",
            LookAlike::Older => "a key older than its intent is not adopted",
            LookAlike::Imported => "an imported key is not adopted",
            LookAlike::Twin => "of two matching keys none is adopted",
        };
        report.add(rule, creation::does_not_adopt(&subject, *kind).await);
    }
    report.add("a pin's own URI resolves to the pin", opening::uri_resolves_to_its_pin(&subject).await);
    report.add("the public key stays the same", opening::public_key_is_stable(&subject).await);
    report.add("a live key is usable", opening::live_key_is_usable(&subject).await);
    report.add("a wrong pin is refused", opening::wrong_pin_is_refused(&subject).await);
    report.add(
        "a hidden public key is proved by a signature",
        opening::hidden_public_key_is_proved(&subject).await,
    );
    report.add("signatures verify at every size", signing::verifies_at_every_size(&subject).await);
    report.add("purposes are enforced", signing::purposes_are_enforced(&subject).await);
    report.add("64 requests at once are all served", signing::serves_64_at_once(&subject).await);
    report.add(
        "a request dropped midway leaves the key usable",
        signing::survives_cancellation(&subject).await,
    );
    report.add("no Debug output or error holds a secret", opening::debug_holds_no_secret(&subject).await);
    report.add("a key given up no longer opens as usable", creation::gives_keys_up(&subject).await);
    report
}
