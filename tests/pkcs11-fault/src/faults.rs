//! What happens to every call before and after the other module has it.

use crate::{
    module::{Module, module},
    rules::{Effect, Rules},
    sessions::{Left, Sessions},
};
use cryptoki_sys::{
    CK_RV, CK_SESSION_HANDLE, CK_SLOT_ID, CKR_CRYPTOKI_NOT_INITIALIZED, CKR_DEVICE_REMOVED,
    CKR_GENERAL_ERROR, CKR_TOKEN_NOT_PRESENT,
};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

const POLL: Duration = Duration::from_millis(10);

/// What a call is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The module, or slots rather than their tokens.
    Module,
    /// The token in a slot.
    Token(CK_SLOT_ID),
    /// A session.
    Session(CK_SESSION_HANDLE),
}

/// What this copy of the module knows.
pub(crate) struct Faults {
    pub(crate) rules: Rules,
    pub(crate) sessions: Sessions,
    /// The user PIN, as a login has shown it to be right.
    pub(crate) pin: Option<Vec<u8>>,
    calls: Option<File>,
}

static FAULTS: Mutex<Faults> =
    Mutex::new(Faults { rules: Rules::new(), sessions: Sessions::new(), pin: None, calls: None });

pub(crate) fn faults() -> MutexGuard<'static, Faults> {
    FAULTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes down that the function was called.
pub(crate) fn count(function: &str) {
    let Some(module) = module() else { return };
    if let Err(error) = faults().count(module, function) {
        eprintln!("pkcs11-fault: {}/calls: {error}", module.directory.display());
    }
}

/// Hands a call on, unless a rule has another answer for it.
pub(crate) fn call(
    function: &'static str,
    place: Place,
    inner: impl FnOnce(&'static Module) -> CK_RV,
) -> CK_RV {
    match enter(function, place) {
        Ok(entered) => entered.leave(inner),
        Err(answer) => answer,
    }
}

/// Begins a call: counts it, waits as long as a rule says; the error is what it answers without the other module.
pub(crate) fn enter(function: &'static str, place: Place) -> Result<Entered, CK_RV> {
    count(function);
    let module = module().ok_or(CKR_GENERAL_ERROR)?;
    let mut faults = Faults::now(module)?;
    while faults.rules.have(Effect::Hang { function }) {
        drop(faults);
        thread::sleep(POLL);
        faults = Faults::now(module)?;
    }
    let delay = |effect| match effect {
        Effect::Delay { function: of, time } if of == function => Some(time),
        _ => None,
    };
    if let Some(time) = faults.rules.take(delay) {
        drop(faults);
        thread::sleep(time);
        faults = Faults::now(module)?;
    }
    let answer = |effect| match effect {
        Effect::Return { function: of, value } if of == function => Some(value),
        _ => None,
    };
    if let Some(value) = faults.rules.take(answer) {
        return Err(value);
    }
    faults.lose_sessions(module);
    let away = faults.rules.have(Effect::TokenAway);
    match place {
        Place::Token(_) if away => return Err(CKR_TOKEN_NOT_PRESENT),
        Place::Session(_) if away => return Err(CKR_DEVICE_REMOVED),
        Place::Session(session) => faults.sessions.enter(session),
        Place::Token(_) | Place::Module => {}
    }
    Ok(Entered { module, place })
}

/// A call that the other module may have.
pub(crate) struct Entered {
    module: &'static Module,
    place: Place,
}

impl Entered {
    /// Makes the call; a session that was lost meanwhile answers so.
    pub(crate) fn leave(self, inner: impl FnOnce(&'static Module) -> CK_RV) -> CK_RV {
        let value = inner(self.module);
        let Place::Session(session) = self.place else { return value };
        let mut faults = faults();
        match faults.sessions.leave(session) {
            Left::There => return value,
            Left::Lost => {}
            Left::LostAtLast => close(self.module, session),
        }
        CKR_DEVICE_REMOVED
    }
}

impl Faults {
    /// With the rules of this moment.
    fn now(module: &Module) -> Result<MutexGuard<'static, Self>, CK_RV> {
        let path = module.directory.join("rules");
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            read => read,
        };
        let mut faults = faults();
        let updated = match text {
            Ok(text) => faults.rules.update(text).map_err(str::to_owned),
            Err(error) => Err(error.to_string()),
        };
        match updated {
            Ok(()) => Ok(faults),
            Err(wrong) => {
                eprintln!("pkcs11-fault: {}: {wrong}", path.display());
                Err(CKR_GENERAL_ERROR)
            }
        }
    }

    /// Closes what the rules close. Nobody can begin a call in these sessions meanwhile.
    fn lose_sessions(&mut self, module: &Module) {
        let idle = |effect| match effect {
            Effect::IdleSessions(longest) => Some(longest),
            _ => None,
        };
        let mut lost =
            self.rules.take(idle).map_or_else(Vec::new, |longest| self.sessions.take_idle(longest));
        if self.rules.have(Effect::TokenAway) {
            let all = self.sessions.take_all();
            if let (Some(logout), Some(session)) = (module.inner.C_Logout, all.first()) {
                // SAFETY: the session is open. The token forgets the login even if a session with a call stays open.
                unsafe { logout(*session) };
            }
            lost.extend(all);
        }
        for session in lost {
            close(module, session);
        }
    }

    fn count(&mut self, module: &Module, function: &str) -> io::Result<()> {
        let file = match &mut self.calls {
            Some(file) => file,
            none => {
                let path = module.directory.join("calls");
                none.insert(OpenOptions::new().create(true).append(true).open(path)?)
            }
        };
        file.write_all(format!("{function}\n").as_bytes())
    }
}

fn close(module: &Module, session: CK_SESSION_HANDLE) {
    let value = match module.inner.C_CloseSession {
        // SAFETY: any number may be given as a handle.
        Some(close) => unsafe { close(session) },
        None => CKR_GENERAL_ERROR,
    };
    // After C_Finalize there is nothing to close.
    if value != cryptoki_sys::CKR_OK && value != CKR_CRYPTOKI_NOT_INITIALIZED {
        eprintln!("pkcs11-fault: a session can't be closed: {value:#x}");
    }
}
