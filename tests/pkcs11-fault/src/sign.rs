//! Functions of keys and signatures that rules change.
#![allow(non_snake_case)]

use crate::{
    faults::{Place, call, enter, faults},
    forward::inner,
    module::{Module, module},
    rules::Effect,
};
use cryptoki_sys::{
    CK_ATTRIBUTE, CK_BYTE, CK_MECHANISM, CK_OBJECT_HANDLE, CK_RV, CK_SESSION_HANDLE, CK_TRUE, CK_ULONG,
    CK_UNAVAILABLE_INFORMATION, CKA_ALWAYS_AUTHENTICATE, CKR_BUFFER_TOO_SMALL, CKR_DEVICE_ERROR, CKR_OK,
    CKR_USER_NOT_LOGGED_IN,
};
use std::slice;

/// Room for a signature that nobody wants: ML-DSA-87 gives 4627 octets, SLH-DSA up to 49856.
const LONGEST_SIGNATURE: usize = 50_000;

pub(crate) unsafe extern "C" fn C_GetAttributeValue(
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    template: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
) -> CK_RV {
    call("C_GetAttributeValue", Place::Session(session), |module| {
        let value = inner!(module.C_GetAttributeValue(session, object, template, count));
        if !template.is_null() && faults().rules.have(Effect::AlwaysAuthenticate) {
            // SAFETY: the caller says that there are so many.
            for attribute in unsafe { slice::from_raw_parts(template, count as usize) } {
                let there = attribute.ulValueLen != CK_UNAVAILABLE_INFORMATION && !attribute.pValue.is_null();
                if there && attribute.type_ == CKA_ALWAYS_AUTHENTICATE {
                    // SAFETY: the other module has written an octet there.
                    unsafe { *attribute.pValue.cast() = CK_TRUE };
                }
            }
        }
        value
    })
}

pub(crate) unsafe extern "C" fn C_SignInit(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
) -> CK_RV {
    call("C_SignInit", Place::Session(session), |module| {
        let value = inner!(module.C_SignInit(session, mechanism, key));
        if value == CKR_OK {
            let mut faults = faults();
            let wants = faults.rules.have(Effect::AlwaysAuthenticate);
            faults.sessions.set_wants_login(session, wants);
        }
        value
    })
}

pub(crate) unsafe extern "C" fn C_Sign(
    session: CK_SESSION_HANDLE,
    data: *mut CK_BYTE,
    data_length: CK_ULONG,
    signature: *mut CK_BYTE,
    length: *mut CK_ULONG,
) -> CK_RV {
    let abandon = |module: &Module| {
        let (mut room, mut most) = (vec![0; LONGEST_SIGNATURE], LONGEST_SIGNATURE as CK_ULONG);
        inner!(module.C_Sign(session, data, data_length, room.as_mut_ptr(), &raw mut most));
    };
    signing("C_Sign", session, abandon, |module| {
        let value = inner!(module.C_Sign(session, data, data_length, signature, length));
        // SAFETY: the caller says that these are writable, and the other module has written them if it says so.
        unsafe { flip(value, signature, length) };
        value
    })
}

pub(crate) unsafe extern "C" fn C_SignUpdate(
    session: CK_SESSION_HANDLE,
    part: *mut CK_BYTE,
    length: CK_ULONG,
) -> CK_RV {
    signing("C_SignUpdate", session, finish(session), |module| {
        inner!(module.C_SignUpdate(session, part, length))
    })
}

pub(crate) unsafe extern "C" fn C_SignFinal(
    session: CK_SESSION_HANDLE,
    signature: *mut CK_BYTE,
    length: *mut CK_ULONG,
) -> CK_RV {
    signing("C_SignFinal", session, finish(session), |module| {
        inner!(module.C_SignFinal(session, signature, length))
    })
}

pub(crate) unsafe extern "C" fn C_GenerateKeyPair(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    public: *mut CK_ATTRIBUTE,
    public_count: CK_ULONG,
    private: *mut CK_ATTRIBUTE,
    private_count: CK_ULONG,
    public_key: *mut CK_OBJECT_HANDLE,
    private_key: *mut CK_OBJECT_HANDLE,
) -> CK_RV {
    call("C_GenerateKeyPair", Place::Session(session), |module| {
        let value = inner!(module.C_GenerateKeyPair(
            session,
            mechanism,
            public,
            public_count,
            private,
            private_count,
            public_key,
            private_key
        ));
        let lost = |effect| (effect == Effect::GenerateThenFail).then_some(CKR_DEVICE_ERROR);
        if value == CKR_OK { faults().rules.take(lost).unwrap_or(value) } else { value }
    })
}

/// A step of a signature. One that fails ends the signature (PKCS#11 2.40, 5.11), at the other module too, which
/// `abandon` tells.
fn signing(
    function: &'static str,
    session: CK_SESSION_HANDLE,
    abandon: impl Fn(&Module),
    inner: impl FnOnce(&Module) -> CK_RV,
) -> CK_RV {
    let abandon = |module: &Module| {
        abandon(module);
        faults().sessions.set_wants_login(session, false);
    };
    match enter(function, Place::Session(session)) {
        Ok(entered) => entered.leave(|module| {
            if faults().sessions.wants_login(session) {
                abandon(module);
                return CKR_USER_NOT_LOGGED_IN;
            }
            inner(module)
        }),
        Err(answer) => {
            if answer != CKR_BUFFER_TOO_SMALL {
                module().map(abandon);
            }
            answer
        }
    }
}

/// Ends a signature that was begun in parts.
fn finish(session: CK_SESSION_HANDLE) -> impl Fn(&Module) {
    move |module| {
        let (mut room, mut most) = (vec![0; LONGEST_SIGNATURE], LONGEST_SIGNATURE as CK_ULONG);
        inner!(module.C_SignFinal(session, room.as_mut_ptr(), &raw mut most));
    }
}

/// Turns a bit in the middle of a signature, if it is one and a rule says so.
///
/// # Safety
/// With CKR_OK, `length` is readable, and `signature` is null or writable for so many octets.
unsafe fn flip(value: CK_RV, signature: *mut CK_BYTE, length: *const CK_ULONG) {
    let flips = || faults().rules.take(|effect| (effect == Effect::FlipSignature).then_some(())).is_some();
    if value == CKR_OK && !signature.is_null() && flips() {
        // SAFETY: as above.
        let signature = unsafe { slice::from_raw_parts_mut(signature, *length as usize) };
        let middle = signature.len() / 2;
        if let Some(octet) = signature.get_mut(middle) {
            *octet ^= 1;
        }
    }
}
