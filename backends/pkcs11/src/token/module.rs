//! The vendor's library: loaded and initialised once in a process, whatever the number of tokens that are used through
//! it.

use super::{
    edge::{self, Functions},
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
        Arc, LazyLock,
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
    state: Turn<State>,
}

#[derive(Default)]
struct State {
    initialised: bool,
    /// Somebody else in this process initialised it, and ends it.
    borrowed: bool,
    /// Counts initialisations: sessions of an earlier one are gone.
    epoch: u64,
    /// Threads that are inside a call, or may be.
    visitors: usize,
    /// Sessions that are open.
    sessions: usize,
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
        tenancy.module.initialise(&mut state)?;
        drop(state);
        Ok(tenancy)
    }

    /// Enters the module, initialising it again if it was ended since.
    pub(super) fn visit(&self) -> Outcome<Visit> {
        let mut state = self.module.state.take(PATIENCE).ok_or_else(Module::busy)?;
        self.module.initialise(&mut state)?;
        state.visitors += 1;
        Ok(Visit { module: self.module.clone() })
    }

    /// Gives the share back and, if it was the last and nobody is inside, ends the module (C_Finalize). Blocks.
    pub(super) fn end(self) {
        let module = self.module.clone();
        drop(self);
        if let Some(mut state) = module.state.take(PATIENCE)
            && module.tenants.load(Ordering::SeqCst) == 0
            && state.visitors == 0
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
        if state.visitors > 1 || state.sessions > 0 || state.borrowed {
            return Ok(false);
        }
        self.module.finalise(&mut state);
        self.module.initialise(&mut state)?;
        Ok(true)
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.module.count(|state| state.visitors = state.visitors.saturating_sub(1));
    }
}

impl Module {
    /// Enters the module if it is still initialised as it was in `epoch`.
    pub(super) fn visit_at(self: &Arc<Self>, epoch: u64) -> Option<Visit> {
        let mut state = self.state.take(PATIENCE)?;
        if !state.initialised || state.epoch != epoch {
            return None;
        }
        state.visitors += 1;
        Some(Visit { module: self.clone() })
    }

    /// The module answered that it is not initialised: somebody ended it behind our back. Once for all who see it.
    pub(super) fn was_ended(&self, epoch: u64) {
        self.count(|state| state.initialised &= state.epoch != epoch);
    }

    pub(super) fn session_opened(&self) {
        self.count(|state| state.sessions += 1);
    }

    pub(super) fn session_ended(&self) {
        self.count(|state| state.sessions = state.sessions.saturating_sub(1));
    }

    fn count(&self, change: impl FnOnce(&mut State)) {
        if let Some(mut state) = self.state.take(PATIENCE) {
            change(&mut state);
        }
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
        state.sessions = 0;
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
