//! The vendor's library: loaded and initialised once in a process, whatever the number of tokens that are used through
//! it.

use super::{
    edge::{self, Functions},
    login::Ledger,
    place::Names,
    turn::{PATIENCE, Turn},
};
use crate::{
    config::{Setting, TokenConfig},
    trouble::Trouble,
};
use catalyst_signing::{Refusal, SignError};
use cryptoki::{
    context::Pkcs11,
    error::{Error, RvError},
};
use std::{
    collections::HashMap,
    ffi::CString,
    path::{Path, PathBuf},
    sync::{
        Arc, LazyLock, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

type Outcome<T> = Result<T, Trouble>;

/// How long the first pause is when a module does not initialise; each is twice as long as the one before. Another
/// process that opens the same token at the same moment is done by then.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
const ATTEMPTS: u32 = 6;

static MODULES: LazyLock<Turn<HashMap<PathBuf, Arc<Module>>>> = LazyLock::new(Turn::default);

/// One library.
pub(super) struct Module {
    pub(super) pkcs11: Pkcs11,
    pub(super) functions: Functions,
    text: Option<CString>,
    /// Tokens that are used through it. Not in `state`, so that one can be dropped on any thread.
    tenants: AtomicUsize,
    /// Threads that are inside a call, or may be. They enter with `state` in hand, and leave whatever hangs.
    visitors: AtomicUsize,
    /// Sessions that are open.
    sessions: AtomicUsize,
    /// The logins at each token: a login is the process's, whatever names an operator has for the token.
    ledgers: Mutex<Vec<(Names, Arc<Ledger>)>>,
    state: Turn<State>,
}

#[derive(Default)]
struct State {
    initialised: bool,
    /// Somebody else in this process initialised it, and ends it.
    borrowed: bool,
    /// Counts initialisations: sessions of an earlier one are gone.
    epoch: u64,
}

/// A token's share in a module.
pub(super) struct Tenancy {
    module: Arc<Module>,
}

/// A thread's stay in a module: nobody ends the module meanwhile.
pub(super) struct Visit {
    module: Arc<Module>,
}

impl Tenancy {
    /// Loads and initialises the module of `config`, if nobody did yet. Blocks.
    pub(super) fn begin(config: &TokenConfig) -> Outcome<Self> {
        let wrong = |what: String| {
            let setting = config.setting(Setting::Module);
            SignError::refused(
                Refusal::Configuration,
                format!(
                    "{}: {} {what}; put {setting} right, then restart or run `catalyst backend retry`",
                    config.name,
                    config.module.display()
                ),
            )
        };
        let path =
            config.module.canonicalize().map_err(|error| wrong(format!("cannot be read ({error})")))?;
        let text = config.initialisation.as_deref().map(CString::new).transpose().map_err(|_| {
            let setting = config.setting(Setting::Initialisation);
            SignError::refused(Refusal::Configuration, format!("{}: {setting} holds a NUL", config.name))
        })?;
        let mut modules = MODULES.take(PATIENCE).ok_or_else(|| stuck(&path))?;
        let module = match modules.get(&path) {
            Some(module) => module.clone(),
            None => {
                let load = || Ok((Pkcs11::new(&path)?, Functions::of(&path)?));
                let (pkcs11, functions) = load().map_err(|error: Error| match error {
                    Error::LibraryLoading(error) => wrong(format!("cannot be loaded ({error})")),
                    Error::MissingSymbol(_) => wrong("is no PKCS#11 module".to_owned()),
                    error => wrong(format!("cannot be used as a PKCS#11 module ({error})")),
                })?;
                let module = Arc::new(Module {
                    pkcs11,
                    functions,
                    text: text.clone(),
                    tenants: AtomicUsize::new(0),
                    visitors: AtomicUsize::new(0),
                    sessions: AtomicUsize::new(0),
                    ledgers: Mutex::default(),
                    state: Turn::default(),
                });
                modules.insert(path.clone(), module.clone());
                module
            }
        };
        drop(modules);
        if module.text != text {
            let setting = config.setting(Setting::Initialisation);
            return Err(wrong(format!("is in use with another initialisation string (see {setting})")).into());
        }
        module.tenants.fetch_add(1, Ordering::SeqCst);
        let tenancy = Self { module };
        let mut state = tenancy.module.state.take(PATIENCE).ok_or_else(|| stuck(&path))?;
        tenancy.module.initialise(&mut state).map_err(|trouble| {
            if trouble.is(RvError::ArgumentsBad) && config.initialisation.is_none() {
                let setting = config.setting(Setting::Initialisation);
                SignError::unavailable(format!(
                    "{}: {}: the module may want an initialisation string: give it one with {setting}, then restart",
                    config.name,
                    trouble.answer()
                ))
                .into()
            } else {
                trouble
            }
        })?;
        drop(state);
        Ok(tenancy)
    }

    /// Enters the module, initialising it again if it was ended since.
    pub(super) fn visit(&self) -> Outcome<Visit> {
        let mut state = self.module.state.take(PATIENCE).ok_or_else(Module::busy)?;
        self.module.initialise(&mut state)?;
        Ok(self.module.enter(&state))
    }

    /// Gives the share back and, if it was the last and nobody is inside, ends the module (C_Finalize). Blocks.
    pub(super) fn end(self) {
        let module = self.module.clone();
        drop(self);
        if let Some(mut state) = module.state.take(PATIENCE)
            && module.tenants.load(Ordering::SeqCst) == 0
            && module.visitors.load(Ordering::SeqCst) == 0
        {
            module.finalise(&mut state);
        }
    }
}

impl Drop for Tenancy {
    fn drop(&mut self) {
        self.module.tenants.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Visit {
    pub(super) fn module(&self) -> &Arc<Module> {
        &self.module
    }

    /// Which initialisation of the module this is.
    pub(super) fn epoch(&self) -> Outcome<u64> {
        Ok(self.module.state.take(PATIENCE).ok_or_else(Module::busy)?.epoch)
    }

    /// Ends and initialises the module again, if nobody else is inside and no session is open: so a module that looks
    /// for tokens at initialisation alone sees one that another process has made since. Whether it was done.
    pub(super) fn renew(&self) -> Outcome<bool> {
        let mut state = self.module.state.take(PATIENCE).ok_or_else(Module::busy)?;
        let (visitors, sessions) = (&self.module.visitors, &self.module.sessions);
        if visitors.load(Ordering::SeqCst) > 1 || sessions.load(Ordering::SeqCst) > 0 || state.borrowed {
            return Ok(false);
        }
        self.module.finalise(&mut state);
        self.module.initialise(&mut state)?;
        Ok(true)
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.module.visitors.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Module {
    /// Enters the module if it is still initialised as it was in `epoch`.
    pub(super) fn visit_at(self: &Arc<Self>, epoch: u64) -> Option<Visit> {
        let state = self.state.take(PATIENCE)?;
        (state.initialised && state.epoch == epoch).then(|| self.enter(&state))
    }

    fn enter(self: &Arc<Self>, _: &State) -> Visit {
        self.visitors.fetch_add(1, Ordering::SeqCst);
        Visit { module: self.clone() }
    }

    /// The module answered that it is not initialised: somebody ended it behind our back. Once for all who see it.
    pub(super) fn was_ended(&self, epoch: u64) {
        if let Some(mut state) = self.state.take(PATIENCE) {
            state.initialised &= state.epoch != epoch;
        }
    }

    /// The logins at the token of these names.
    pub(super) fn ledger(&self, names: &Names) -> Arc<Ledger> {
        let mut ledgers = self.ledgers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = ledgers.iter().find(|(of, _)| of == names) {
            return known.clone();
        }
        let ledger = Arc::default();
        ledgers.push((names.clone(), Arc::clone(&ledger)));
        ledger
    }

    pub(super) fn session_opened(&self) {
        self.sessions.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn session_ended(&self) {
        self.sessions.fetch_sub(1, Ordering::SeqCst);
    }

    fn busy() -> SignError {
        SignError::unavailable("the PKCS#11 module does not come back from C_Initialize")
    }

    fn initialise(&self, state: &mut State) -> Outcome<()> {
        if state.initialised {
            return Ok(());
        }
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            match edge::initialise(&self.pkcs11, self.text.as_ref()) {
                Ok(()) => state.borrowed = false,
                Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {
                    state.borrowed |= state.epoch == 0
                }
                Err(error) if attempt == ATTEMPTS => return Err(error.into()),
                Err(_) => {
                    thread::sleep(pause);
                    pause *= 2;
                    continue;
                }
            }
            break;
        }
        state.initialised = true;
        state.epoch += 1;
        Ok(())
    }

    fn finalise(&self, state: &mut State) {
        if state.initialised && !state.borrowed {
            // An answer other than CKR_OK leaves nothing to do: initialising again tells.
            let _ = self.pkcs11.clone().finalize();
        }
        state.initialised = false;
    }
}

fn stuck(path: &Path) -> SignError {
    SignError::unavailable(format!("{} does not come back from loading or C_Initialize", path.display()))
}
