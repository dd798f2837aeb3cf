//! Keys of every role: intent first, then the key, then its pin; opened behind the guard.

use super::{Result, cautions::Cautions, config::NamedKey, error::AuthorityError, rounds::Answers};
use crate::{
    identity::CaRole,
    store::{KeyIntention, KeyRole, KeyRow, MadeKey, Stamp, Store},
};
use catalyst_signing::{
    GuardedKey, KeyIntent, KeyPin, KeyPolicy, KeyStores, KeyUri, Nonce, PIN_MISPLACED, Purpose, SignError,
    SignatureAlgorithm, holds_pin,
};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::time::{Instant, timeout};

const CA_PURPOSES: &[Purpose] = &[Purpose::Certificate, Purpose::Crl];
const SERVICES_PURPOSES: &[Purpose] = &[Purpose::Certificate, Purpose::Crl, Purpose::Manifest];
const TOKEN_PURPOSES: &[Purpose] = &[Purpose::Token, Purpose::AuditHead];

/// A CA's key must be able to sign a CRL of this many bytes: about 20,000 entries.
const CRL_ROOM: usize = 1024 * 1024;

/// How long a key store may take to make a key: HSMs make RSA keys for minutes. It bounds what waits for it.
const MAKING_DEADLINE: Duration = Duration::from_secs(300);
/// How long looking at a key that an operator names may take.
const LOOKING_DEADLINE: Duration = Duration::from_secs(30);

/// Makes, finds and opens keys for one deployment.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) store: Arc<dyn Store>,
    pub(super) key_stores: Arc<KeyStores>,
    pub(super) deployment: String,
    pub(super) concurrency: usize,
    pub(super) cautions: Cautions,
    pub(super) answers: Answers,
}

/// A key that is wanted.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) role: KeyRole,
    pub(super) generation: u32,
    pub(super) algorithm: SignatureAlgorithm,
    pub(super) backend: String,
    pub(super) named: Option<NamedKey>,
}

impl Keys {
    /// The key of this role and generation, made if it is not there yet. Safe to repeat after a crash at any point.
    pub(super) async fn ensure(&self, wanted: &Wanted, stamp: &Stamp) -> Result<KeyRow> {
        self.look_first(wanted).await?;
        let nonce = Nonce::random().map_err(|_| AuthorityError::Internal("no random numbers".into()))?;
        let intention = KeyIntention {
            role: wanted.role,
            generation: wanted.generation,
            algorithm: wanted.algorithm.name().to_owned(),
            backend: wanted.backend.clone(),
            reference: wanted.named.as_ref().map(|key| key.reference.clone()),
            nonce: *nonce.as_bytes(),
        };
        let row = self.store.intend_key(&intention, stamp).await?;
        if row.made.is_some() {
            return Ok(row);
        }
        // What was committed first counts: after a crash the request may be worded differently.
        let intent = self.intent_of(&row)?;
        let obtained =
            self.key_stores.obtain(&row.intention.backend, &intent, row.intention.reference.as_deref());
        let pin = timeout(MAKING_DEADLINE, obtained).await.map_err(|_| {
            SignError::unavailable(format!(
                "the {} key was not made in time; what was begun is taken up again",
                wanted.role
            ))
        })??;
        if let Some(reference) = &row.intention.reference {
            self.answers.learn(&row.intention.backend, reference, &pin);
        }
        let made = MadeKey { uri: pin.uri.to_string(), spki: pin.spki };
        Ok(self.store.record_key_made(wanted.role, wanted.generation, &made, stamp).await?)
    }

    /// Whether what is wanted can be had: a key of that algorithm, and the one that an operator names. Answers the latter.
    pub(super) async fn look_first(&self, wanted: &Wanted) -> Result<Option<KeyPin>> {
        refuse_pin([Some(&wanted.backend), wanted.named.as_ref().map(|key| &key.reference)])?;
        self.fits_a_ca(wanted)?;
        match &wanted.named {
            Some(key) => self.named_fits(wanted, key).await,
            None => Ok(None),
        }
    }

    /// Opens a made key for its role's purposes.
    pub(super) async fn open(
        &self,
        row: &KeyRow,
        name: &str,
        deadline: Instant,
    ) -> std::result::Result<GuardedKey, SignError> {
        let pin = pin_of(row)?;
        let role = row.intention.role;
        let policy = KeyPolicy {
            name: name.to_owned(),
            deployment: self.deployment.clone(),
            purposes: match role {
                KeyRole::Ca(CaRole::Services) => SERVICES_PURPOSES,
                KeyRole::Ca(_) => CA_PURPOSES,
                KeyRole::Token => TOKEN_PURPOSES,
            },
            concurrency: self.concurrency,
            probe: role != KeyRole::Ca(CaRole::Root),
        };
        let key = self.key_stores.open(&row.intention.backend, pin, policy, deadline).await?;
        self.cautions.note(&row.intention, &key);
        Ok(key)
    }

    /// A key store that can't sign a CRL is refused when the key is chosen, not at the first CRL.
    fn fits_a_ca(&self, wanted: &Wanted) -> Result<()> {
        let store = self.key_stores.get(&wanted.backend)?;
        let (algorithm, backend) = (wanted.algorithm, &wanted.backend);
        let Some(capability) = store.capabilities().iter().find(|c| c.algorithm == algorithm) else {
            return Err(AuthorityError::Invalid(format!("key store '{backend}' has no {algorithm} keys")));
        };
        if let (Some(limit @ ..CRL_ROOM), KeyRole::Ca(_)) = (capability.max_message, wanted.role) {
            return Err(AuthorityError::Invalid(format!(
                "key store '{backend}' signs at most {limit} bytes with {algorithm}, too few for a CRL: choose another algorithm for a CA"
            )));
        }
        if wanted.named.is_none() && !capability.creates {
            return Err(AuthorityError::Invalid(format!(
                "key store '{backend}' makes no {algorithm} keys: name an existing key"
            )));
        }
        Ok(())
    }

    /// A key that an operator names is looked at before it is meant: an intent is for good, and one that cannot be met
    /// would bar its role.
    async fn named_fits(&self, wanted: &Wanted, key: &NamedKey) -> Result<Option<KeyPin>> {
        let own = |key: &KeyIntention| (key.role, key.generation) == (wanted.role, wanted.generation);
        let hierarchy = self.store.hierarchy().await?;
        // It was looked at when it was meant, and counts from then on.
        if hierarchy.keys.iter().any(|row| own(&row.intention)) {
            return Ok(None);
        }
        let reference = &key.reference;
        let store = self.key_stores.get(&wanted.backend)?;
        let found = timeout(LOOKING_DEADLINE, store.resolve(reference, wanted.algorithm)).await;
        let late = |_| Err(SignError::unavailable("the key store did not find it in time; try again"));
        let pin = found.unwrap_or_else(late).map_err(|error| match error.is_transient() {
            true => AuthorityError::KeyStore(error),
            false => AuthorityError::Invalid(format!(
                "the key '{reference}'{} cannot be taken: {error}",
                named_by(key)
            )),
        })?;
        match hierarchy.keys.iter().find(|row| row.made.as_ref().is_some_and(|made| made.spki == pin.spki)) {
            Some(row) => Err(AuthorityError::Conflict(format!(
                "the key '{reference}'{} is the {} key of generation {}: two CAs never share a key; {}",
                named_by(key),
                row.intention.role,
                row.intention.generation,
                match &key.setting {
                    Some(setting) => format!("name another one in {setting}, or unset it"),
                    None => "name another one".to_owned(),
                }
            ))),
            None => Ok(Some(pin)),
        }
    }

    fn intent_of(&self, row: &KeyRow) -> Result<KeyIntent> {
        let millis = u64::try_from(row.intended_at.millis()).unwrap_or(0);
        Ok(KeyIntent {
            nonce: Nonce::from_bytes(row.intention.nonce),
            deployment: self.deployment.clone(),
            role: row.intention.role.into(),
            generation: row.intention.generation,
            algorithm: algorithm_of(row)?,
            created_at: SystemTime::UNIX_EPOCH + Duration::from_millis(millis),
        })
    }
}

/// The role as key stores know it.
impl From<KeyRole> for catalyst_signing::KeyRole {
    fn from(role: KeyRole) -> Self {
        match role {
            KeyRole::Ca(CaRole::Root) => Self::Root,
            KeyRole::Ca(CaRole::Services) => Self::Services,
            KeyRole::Ca(CaRole::Transport) => Self::Transport,
            KeyRole::Token => Self::Token,
        }
    }
}

/// What an operator typed, and which holds a PIN, is neither looked at nor kept nor repeated.
pub(super) fn refuse_pin<'a>(typed: impl IntoIterator<Item = Option<&'a String>>) -> Result<()> {
    match typed.into_iter().flatten().any(|text| holds_pin(text)) {
        true => Err(AuthorityError::Invalid(PIN_MISPLACED.into())),
        false => Ok(()),
    }
}

fn named_by(key: &NamedKey) -> String {
    key.setting.as_ref().map_or_else(String::new, |setting| format!(", which {setting} names,"))
}

/// The stored algorithm of a key.
pub(super) fn algorithm_of(row: &KeyRow) -> std::result::Result<SignatureAlgorithm, SignError> {
    row.intention.algorithm.parse().map_err(|_| {
        SignError::integrity(format!(
            "the stored key names the unknown algorithm '{}'",
            row.intention.algorithm
        ))
    })
}

/// The stored pin of a key that is made.
pub(super) fn pin_of(row: &KeyRow) -> std::result::Result<KeyPin, SignError> {
    let named = |what: &str| {
        SignError::integrity(format!(
            "the {} key of generation {} {what}",
            row.intention.role, row.intention.generation
        ))
    };
    let made = row.made.as_ref().ok_or_else(|| named("was never made"))?;
    Ok(KeyPin {
        uri: KeyUri::parse(&made.uri).map_err(|_| named("has a stored URI that cannot be read"))?,
        algorithm: algorithm_of(row)?,
        spki: made.spki.clone(),
    })
}
