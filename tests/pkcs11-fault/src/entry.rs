//! What a program finds in the library by name: the way to all other functions.

use crate::{faults, module::module};
use cryptoki_sys::{
    CK_FLAGS, CK_FUNCTION_LIST, CK_INTERFACE, CK_RV, CK_ULONG, CK_UTF8CHAR, CK_VERSION, CKR_ARGUMENTS_BAD,
    CKR_BUFFER_TOO_SMALL, CKR_GENERAL_ERROR, CKR_OK,
};
use std::{ffi::CStr, ptr};

/// The name of the standard's interfaces.
const STANDARD: &CStr = c"PKCS 11";

/// The functions of PKCS#11 2.40, which are the first of any later version.
///
/// # Safety
/// As PKCS#11 2.40, 5.4 has it: `list` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn C_GetFunctionList(list: *mut *mut CK_FUNCTION_LIST) -> CK_RV {
    faults::count("C_GetFunctionList");
    let Some(module) = module() else { return CKR_GENERAL_ERROR };
    if list.is_null() {
        return CKR_ARGUMENTS_BAD;
    }
    // SAFETY: it is writable. The list outlives the program, and nobody has a reason to write to it.
    unsafe { *list = (&raw const module.outer).cast_mut().cast() };
    CKR_OK
}

/// The functions of the version that the other module has, whichever is asked for, if it is of the standard.
///
/// # Safety
/// As PKCS#11 3.0, 5.4.6 has it: `name` and `version` are null or readable, `interface` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn C_GetInterface(
    name: *mut CK_UTF8CHAR,
    version: *mut CK_VERSION,
    interface: *mut *mut CK_INTERFACE,
    _flags: CK_FLAGS,
) -> CK_RV {
    faults::count("C_GetInterface");
    let Some(offered) = offered() else { return CKR_GENERAL_ERROR };
    // SAFETY: a name is a string that ends in zero.
    let named = name.is_null() || unsafe { CStr::from_ptr(name.cast()) } == STANDARD;
    // SAFETY: it is null or readable.
    let wanted = unsafe { version.as_ref() };
    let has = module().map(|module| module.outer.version);
    let versed = wanted.is_none_or(|wanted| has.is_some_and(|has| wanted.major == has.major));
    if interface.is_null() || !named || !versed {
        return CKR_ARGUMENTS_BAD;
    }
    // SAFETY: it is writable. What is written is never freed.
    unsafe { *interface = Box::into_raw(Box::new(offered)) };
    CKR_OK
}

/// The one interface.
///
/// # Safety
/// As PKCS#11 3.0, 5.4.5 has it: `count` is writable, `list` is null or has room for `count` interfaces.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn C_GetInterfaceList(list: *mut CK_INTERFACE, count: *mut CK_ULONG) -> CK_RV {
    faults::count("C_GetInterfaceList");
    let Some(offered) = offered() else { return CKR_GENERAL_ERROR };
    // SAFETY: it is null or writable.
    let Some(count) = (unsafe { count.as_mut() }) else { return CKR_ARGUMENTS_BAD };
    let room = std::mem::replace(count, 1);
    match (list.is_null(), room) {
        (true, _) => CKR_OK,
        (false, 0) => CKR_BUFFER_TOO_SMALL,
        (false, _) => {
            // SAFETY: there is room for one.
            unsafe { *list = offered };
            CKR_OK
        }
    }
}

fn offered() -> Option<CK_INTERFACE> {
    let list = ptr::from_ref(&module()?.outer).cast_mut().cast();
    Some(CK_INTERFACE { pInterfaceName: STANDARD.as_ptr().cast_mut().cast(), pFunctionList: list, flags: 0 })
}
