//! Functions of slots, tokens and sessions that rules change.
#![allow(non_snake_case)]

use crate::{
    faults::{Place, call, enter, faults},
    forward::inner,
    rules::Effect,
};
use cryptoki_sys::{
    CK_BBOOL, CK_FLAGS, CK_NOTIFY, CK_RV, CK_SESSION_HANDLE, CK_SLOT_ID, CK_SLOT_INFO, CK_TOKEN_INFO,
    CK_ULONG, CK_USER_TYPE, CK_UTF8CHAR, CKF_TOKEN_PRESENT, CKR_OK, CKR_OPERATION_NOT_INITIALIZED,
    CKR_PIN_INCORRECT, CKR_SESSION_COUNT, CKU_CONTEXT_SPECIFIC, CKU_USER,
};
use std::{ffi::c_void, slice};

pub(crate) unsafe extern "C" fn C_Finalize(reserved: *mut c_void) -> CK_RV {
    call("C_Finalize", Place::Module, |module| {
        let value = inner!(module.C_Finalize(reserved));
        if value == CKR_OK {
            faults().sessions.forget();
        }
        value
    })
}

pub(crate) unsafe extern "C" fn C_GetSlotList(
    present: CK_BBOOL,
    list: *mut CK_SLOT_ID,
    count: *mut CK_ULONG,
) -> CK_RV {
    call("C_GetSlotList", Place::Module, |module| {
        let away = present != 0 && faults().rules.have(Effect::TokenAway);
        // SAFETY: it is null or writable.
        match unsafe { count.as_mut() } {
            Some(count) if away => {
                *count = 0;
                CKR_OK
            }
            _ => inner!(module.C_GetSlotList(present, list, count)),
        }
    })
}

pub(crate) unsafe extern "C" fn C_GetSlotInfo(slot: CK_SLOT_ID, info: *mut CK_SLOT_INFO) -> CK_RV {
    call("C_GetSlotInfo", Place::Module, |module| {
        let value = inner!(module.C_GetSlotInfo(slot, info));
        if value == CKR_OK && faults().rules.have(Effect::TokenAway) {
            // SAFETY: the other module has written it.
            unsafe { (*info).flags &= !CKF_TOKEN_PRESENT };
        }
        value
    })
}

pub(crate) unsafe extern "C" fn C_GetTokenInfo(slot: CK_SLOT_ID, info: *mut CK_TOKEN_INFO) -> CK_RV {
    call("C_GetTokenInfo", Place::Token(slot), |module| {
        let value = inner!(module.C_GetTokenInfo(slot, info));
        if value != CKR_OK {
            return value;
        }
        // SAFETY: the other module has written it.
        let info = unsafe { &mut *info };
        for effect in faults().rules.all() {
            match effect {
                Effect::TokenFlags { set, clear } => info.flags = (info.flags | set) & !clear,
                Effect::TokenSessions(most) => {
                    info.ulMaxSessionCount = most;
                    info.ulMaxRwSessionCount = most;
                }
                _ => {}
            }
        }
        value
    })
}

pub(crate) unsafe extern "C" fn C_OpenSession(
    slot: CK_SLOT_ID,
    flags: CK_FLAGS,
    application: *mut c_void,
    notify: CK_NOTIFY,
    session: *mut CK_SESSION_HANDLE,
) -> CK_RV {
    call("C_OpenSession", Place::Token(slot), |module| {
        // Held over the call, so that two threads don't both open the last one.
        let mut faults = faults();
        let limit = |effect| match effect {
            Effect::SessionLimit(most) => Some(most),
            _ => None,
        };
        if faults.rules.take(limit).is_some_and(|most| faults.sessions.count() >= most) {
            return CKR_SESSION_COUNT;
        }
        let value = inner!(module.C_OpenSession(slot, flags, application, notify, session));
        if value == CKR_OK {
            // SAFETY: the other module has written it.
            faults.sessions.opened(unsafe { *session }, slot);
        }
        value
    })
}

pub(crate) unsafe extern "C" fn C_CloseSession(session: CK_SESSION_HANDLE) -> CK_RV {
    call("C_CloseSession", Place::Session(session), |module| {
        let value = inner!(module.C_CloseSession(session));
        if value == CKR_OK {
            faults().sessions.closed(session);
        }
        value
    })
}

pub(crate) unsafe extern "C" fn C_CloseAllSessions(slot: CK_SLOT_ID) -> CK_RV {
    call("C_CloseAllSessions", Place::Token(slot), |module| {
        let value = inner!(module.C_CloseAllSessions(slot));
        if value == CKR_OK {
            faults().sessions.closed_in(slot);
        }
        value
    })
}

pub(crate) unsafe extern "C" fn C_Login(
    session: CK_SESSION_HANDLE,
    user: CK_USER_TYPE,
    pin: *mut CK_UTF8CHAR,
    length: CK_ULONG,
) -> CK_RV {
    let entered = match enter("C_Login", Place::Session(session)) {
        Ok(entered) => entered,
        Err(answer) => return answer,
    };
    let given = (!pin.is_null()).then(|| {
        // SAFETY: the caller says that there are so many octets.
        unsafe { slice::from_raw_parts(pin, length as usize) }
    });
    entered.leave(|module| {
        let mut state = faults();
        // The other module knows nothing of a key that wants this login.
        if user == CKU_CONTEXT_SPECIFIC && state.rules.have(Effect::AlwaysAuthenticate) {
            if !state.sessions.wants_login(session) {
                return CKR_OPERATION_NOT_INITIALIZED;
            }
            if state.pin.is_some() && state.pin.as_deref() != given {
                return CKR_PIN_INCORRECT;
            }
            state.sessions.set_wants_login(session, false);
            return CKR_OK;
        }
        drop(state);
        let value = inner!(module.C_Login(session, user, pin, length));
        if value == CKR_OK && user == CKU_USER {
            faults().pin = given.map(<[u8]>::to_vec);
        }
        value
    })
}
