//! What a key store must do to serve the CA. Adapters stay small: each call is one attempt, and the guard does the rest.

use crate::{KeyIntent, KeyPin, KeyRole, KeyUri, Nonce, Result, SignatureAlgorithm};
use async_trait::async_trait;
use std::{fmt::Debug, sync::Arc, time::SystemTime};

/// What a key store can do with one algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability {
    /// The algorithm.
    pub algorithm: SignatureAlgorithm,
    /// The longest message in octets, `None` for no limit. Ed25519 in AWS KMS takes 4096, so it signs no CRL: asked
    /// when a key is chosen, not at the first CRL.
    pub max_message: Option<usize>,
    /// Whether keys can be made here.
    pub creates: bool,
}

/// What the key store says about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyState {
    /// It signs.
    Usable,
    /// It is being made.
    Pending,
    /// Somebody switched it off.
    Disabled,
    /// It will be destroyed.
    DestructionScheduled,
    /// It is no longer there.
    Gone,
    /// Asking is not permitted, or nobody has asked yet.
    Unknown,
}

/// The budget of calls a key draws from; keys with equal names share it.
#[derive(Clone, Debug, PartialEq)]
pub struct Quota {
    /// An account and Region, or a token: `awskms:111122223333:eu-central-1`.
    pub name: String,
    /// Calls per second, `None` for no limit.
    pub per_second: Option<f64>,
}

/// A key store.
#[async_trait]
pub trait SigningBackend: Debug + Send + Sync {
    /// The scheme of its key URIs: `local`, `awskms`, `gcpkms`, `pkcs11`.
    fn scheme(&self) -> &'static str;

    /// What it can do, by algorithm.
    fn capabilities(&self) -> &[Capability];

    /// Which budget the key at `uri` draws from.
    fn quota(&self, uri: &KeyUri) -> Quota {
        let _ = uri;
        Quota { name: self.scheme().to_owned(), per_second: None }
    }

    /// Turns what an operator wrote into a pin. Done once, when the key is chosen.
    async fn resolve(&self, reference: &str, algorithm: SignatureAlgorithm) -> Result<KeyPin>;

    /// Which key an operator's words name now, to be asked now and then: an alias may be pointed elsewhere after it was
    /// resolved. `None` where that costs more than a question to a server, or the words are only ever one key's.
    async fn whereabouts(&self, reference: &str) -> Result<Option<Whereabouts>> {
        let _ = reference;
        Ok(None)
    }

    /// What the key store says of a key that nobody has open, to be asked now and then.
    /// [`KeyState::Unknown`] where that costs more than a question to a server, or is not permitted.
    async fn state_of(&self, pin: &KeyPin) -> Result<KeyState> {
        let _ = pin;
        Ok(KeyState::Unknown)
    }

    /// Opens the pinned key; permission to sign is enough. Comparing it with the pin is the guard's work.
    async fn open(&self, pin: &KeyPin) -> Result<Arc<dyn SigningKey>>;

    /// Making and destroying keys; `None`: this process may not.
    fn lifecycle(&self) -> Option<&dyn KeyLifecycle> {
        None
    }

    /// Opens the key store and says what an operator knows it by: its kind, name, version and limits, in the order in
    /// which they are shown. No secret is among them.
    async fn describe(&self) -> Result<Vec<Fact>> {
        Ok(Vec::new())
    }

    /// An operator wants what was refused for good to be tried again: a backend that remembers refusals (a PIN that
    /// was wrong) forgets them.
    fn retry(&self) {}

    /// The process is about to end: sessions are closed and the key store is let go. Nothing is asked of it afterwards.
    async fn shut_down(&self) {}
}

/// The key that an operator's words name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whereabouts {
    /// Where it is.
    pub uri: KeyUri,
    /// Its SubjectPublicKeyInfo (DER): one key may have several addresses.
    pub spki: Vec<u8>,
}

/// One thing to know of a key store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// What it is: `token`, `serial number`.
    pub name: &'static str,
    /// How it is.
    pub value: String,
}

/// An open key. Each call is one attempt: no retry, no limit, no verification. Dropping a call's future must leave
/// the key usable.
#[async_trait]
pub trait SigningKey: Debug + Send + Sync {
    /// The X.509 signature value over `message`, which is hashed here where the key store wants a digest: DER
    /// ECDSA-Sig-Value, PKCS#1 or PSS octets, raw Ed25519 or ML-DSA.
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>>;

    /// SubjectPublicKeyInfo (DER) as the key store has it now; `None`: reading it is not permitted.
    async fn public_key(&self) -> Result<Option<Vec<u8>>>;

    /// What the key store says about it; [`KeyState::Unknown`] where asking is not permitted.
    async fn state(&self) -> Result<KeyState>;

    /// A signature of this key did not verify: what is remembered of where the key is (a handle) may name another by
    /// now, and is looked up anew. Does not block.
    fn doubt(&self) {}

    /// What an operator has to know of this key as long as that holds: that it could leave its token, that it signs in
    /// another Region. A sentence without the key's name.
    fn caution(&self) -> Option<String> {
        None
    }

    /// Where it signs now, if that is not where its URI says: the name of another Region. Does not block.
    fn elsewhere(&self) -> Option<String> {
        None
    }
}

/// A key that carries a deployment's tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundKey {
    /// Where it is.
    pub uri: KeyUri,
    /// The nonce of the intent that it was made for.
    pub nonce: Nonce,
    /// What it was made for.
    pub role: KeyRole,
    /// Of which generation.
    pub generation: u32,
    /// When it was made, where the key store tells.
    pub made_at: Option<SystemTime>,
}

/// Making, finding and giving up keys.
#[async_trait]
pub trait KeyLifecycle: Send + Sync {
    /// The key that was made for this intent, if there is one. Adopted only if it is the single match, not older than
    /// the intent by more than five minutes where the store tells, made inside the key store, and of the right
    /// algorithm; a match that fails any of these is an error that names it.
    async fn find(&self, intent: &KeyIntent) -> Result<Option<KeyPin>>;

    /// Makes the key for this intent, or gives the one made before: it looks first, as `find` does, so calling it twice
    /// makes one key.
    async fn create(&self, intent: &KeyIntent) -> Result<KeyPin>;

    /// Every key here that was made for this deployment (its id, 16 hex digits) and not given up, whatever its intent.
    async fn list(&self, deployment: &str) -> Result<Vec<FoundKey>>;

    /// Gives the key up, as late and as revocably as the key store can.
    async fn schedule_destruction(&self, pin: &KeyPin) -> Result<()>;
}
