//! The way to a token: its module, its slot, the login, and sessions on threads of their own.

use crate::{TokenChoice, TokenConfig, config::Pin, trouble::Trouble};
use catalyst_signing::{Refusal, Result, SignError};
use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    error::{Error, RvError},
    mechanism::{Mechanism, MechanismType},
    object::ObjectHandle,
    session::{Session, UserType},
    types::AuthPin,
};
use secrecy::ExposeSecret as _;
use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

/// Whether work changes what is on the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// It signs, finds and reads: a read-only session.
    Use,
    /// It makes, relabels or destroys objects: a read-write session.
    Change,
}

/// What a token says of itself.
#[derive(Clone, Debug)]
pub(crate) struct TokenFacts {
    pub(crate) label: String,
    pub(crate) serial: String,
    pub(crate) manufacturer: String,
    pub(crate) model: String,
    pub(crate) firmware: String,
    pub(crate) mechanisms: Vec<MechanismType>,
}

/// A logged-in session, for the time of one piece of work.
pub(crate) struct Desk<'a> {
    pub(crate) session: &'a Session,
    pub(crate) facts: &'a TokenFacts,
}

impl Desk<'_> {
    /// One signature. `most` is the longest that the mechanism can give; `consent` is for keys that want the PIN before
    /// each use (CKA_ALWAYS_AUTHENTICATE).
    pub(crate) fn sign(
        &self,
        mechanism: &Mechanism<'_>,
        key: ObjectHandle,
        data: &[u8],
        most: usize,
        consent: bool,
    ) -> std::result::Result<Vec<u8>, Trouble> {
        let _ = (most, consent);
        Ok(self.session.sign(mechanism, key, data)?)
    }
}

#[derive(Debug)]
pub(crate) struct Token {
    config: Arc<TokenConfig>,
}

static MODULES: Mutex<Option<HashMap<PathBuf, Pkcs11>>> = Mutex::new(None);

impl Token {
    pub(crate) fn new(config: TokenConfig) -> Self {
        Self { config: Arc::new(config) }
    }

    /// What the operator calls it.
    pub(crate) fn name(&self) -> &str {
        &self.config.name
    }

    pub(crate) fn config(&self) -> &TokenConfig {
        &self.config
    }

    /// Runs `work` on a thread of the pool, in a logged-in session. After the loss of a session or token the session is
    /// made anew and the work run once more, so it must be one that may be repeated: a look-up before a creation.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        purpose: Purpose,
        work: impl Fn(&Desk<'_>) -> std::result::Result<T, Trouble> + Send + 'static,
    ) -> Result<T> {
        let config = self.config.clone();
        let done = tokio::task::spawn_blocking(move || {
            attempt(&config, purpose, work).map_err(|trouble| trouble.into_error(&config.name))
        });
        done.await.map_err(|_| SignError::unavailable("the work at the token was cut off"))?
    }
}

fn attempt<T>(
    config: &TokenConfig,
    purpose: Purpose,
    work: impl Fn(&Desk<'_>) -> std::result::Result<T, Trouble>,
) -> std::result::Result<T, Trouble> {
    let module = {
        let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
        let modules = modules.get_or_insert_default();
        match modules.get(&config.module) {
            Some(module) => module.clone(),
            None => {
                let module = Pkcs11::new(&config.module)?;
                module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
                modules.insert(config.module.clone(), module.clone());
                module
            }
        }
    };
    for slot in module.get_slots_with_initialized_token()? {
        let info = module.get_token_info(slot)?;
        let chosen = match &config.token {
            TokenChoice::Label(label) => info.label() == label,
            TokenChoice::Uri { label, serial, manufacturer, model } => {
                let fits = |want: &Option<String>, has: &str| want.as_deref().is_none_or(|want| want == has);
                fits(label, info.label())
                    && fits(serial, info.serial_number())
                    && fits(manufacturer, info.manufacturer_id())
                    && fits(model, info.model())
            }
        };
        if !chosen {
            continue;
        }
        let facts = TokenFacts {
            label: info.label().to_owned(),
            serial: info.serial_number().to_owned(),
            manufacturer: info.manufacturer_id().to_owned(),
            model: info.model().to_owned(),
            firmware: info.firmware_version().to_string(),
            mechanisms: module.get_mechanism_list(slot)?,
        };
        let session = match purpose {
            Purpose::Use => module.open_ro_session(slot)?,
            Purpose::Change => module.open_rw_session(slot)?,
        };
        let Pin::Known(pin) = &config.pin else {
            return Err(SignError::refused(Refusal::Pin, "no PIN").into());
        };
        match session.login(UserType::User, Some(&AuthPin::new(pin.expose_secret().into()))) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
            Err(error) => return Err(error.into()),
        }
        return work(&Desk { session: &session, facts: &facts });
    }
    Err(SignError::unavailable(format!("{}: no such token", config.name)).into())
}
