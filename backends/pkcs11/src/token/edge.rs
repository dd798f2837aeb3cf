//! The edge to the vendor's library: the calls that `cryptoki` has no safe way for. The one file with unsafe code.
#![allow(unsafe_code)]

use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Function, Pkcs11},
    error::{Error, Result, Rv},
    mechanism::Mechanism,
    object::ObjectHandle,
    session::Session,
};
use cryptoki_sys::{CK_FUNCTION_LIST, CK_MECHANISM};
use std::{ffi::CString, path::Path, ptr, ptr::NonNull};

/// The module's own functions. `cryptoki` has no C_Sign by itself, which a key that wants a login after C_SignInit
/// needs, and asks for the length of every signature in a call of its own; and it closes only a session that it can
/// take.
pub(super) struct Functions {
    list: CK_FUNCTION_LIST,
    /// Keeps the library loaded, and so the pointers above valid.
    _library: cryptoki_sys::Pkcs11,
}

impl Functions {
    /// Takes the functions of a module that is loaded: opening its file once more only counts a reference.
    pub(super) fn of(path: &Path) -> Result<Self> {
        // SAFETY: loading runs the initialisers of a library that the operator named, and that is loaded already.
        let library = unsafe { cryptoki_sys::Pkcs11::new(path) }.map_err(Error::LibraryLoading)?;
        let Ok(get_function_list) = library.C_GetFunctionList else {
            return Err(Error::MissingSymbol("C_GetFunctionList"));
        };
        let mut list: *mut CK_FUNCTION_LIST = ptr::null_mut();
        // SAFETY: the symbol has this type by the standard (PKCS#11 3.1, 5.4.4), and `list` is where its answer goes.
        Rv::from(unsafe { get_function_list(&mut list) }).into_result(Function::GetFunctionList)?;
        let list = NonNull::new(list).ok_or(Error::NullFunctionPointer)?;
        // SAFETY: C_GetFunctionList succeeded, so this is the module's own static list, and readable.
        let list = unsafe { list.read() };
        Ok(Self { list, _library: library })
    }

    /// C_SignInit.
    pub(super) fn sign_init(
        &self,
        session: &Session,
        mechanism: &Mechanism<'_>,
        key: ObjectHandle,
    ) -> Result<()> {
        let function = self.list.C_SignInit.ok_or(Error::NullFunctionPointer)?;
        let mut mechanism = CK_MECHANISM::from(mechanism);
        // SAFETY: the session is open and used by this thread alone; the mechanism and the parameters that it points
        // to, borrowed by the caller, outlive the call.
        let answer = unsafe { function(session.handle(), &mut mechanism, key.handle()) };
        Rv::from(answer).into_result(Function::SignInit)
    }

    /// C_Sign, once: a signature of at most `most` octets.
    pub(super) fn sign(&self, session: &Session, data: &[u8], most: usize) -> Result<Vec<u8>> {
        let function = self.list.C_Sign.ok_or(Error::NullFunctionPointer)?;
        let mut signature = vec![0; most];
        let mut length = most.try_into()?;
        // SAFETY: `data` is read only, for its length, though the standard's C types have no const; the answer goes to
        // a buffer of `length` octets that nobody else has.
        let answer = unsafe {
            function(
                session.handle(),
                data.as_ptr().cast_mut(),
                data.len().try_into()?,
                signature.as_mut_ptr(),
                &mut length,
            )
        };
        Rv::from(answer).into_result(Function::Sign)?;
        signature.truncate(length.try_into()?);
        Ok(signature)
    }

    /// C_CloseSession, whatever it answers: the token may have closed the session itself.
    pub(super) fn close(&self, session: &Session) {
        if let Some(function) = self.list.C_CloseSession {
            // SAFETY: the session is this thread's alone, and was opened without closing itself when it is dropped.
            unsafe { function(session.handle()) };
        }
    }
}

/// C_Initialize with the operating system's locks and, where the module wants one, a string in `pReserved`.
pub(super) fn initialise(module: &Pkcs11, text: Option<&CString>) -> Result<()> {
    let locks = CInitializeFlags::OS_LOCKING_OK;
    let Some(text) = text else {
        return module.initialize(CInitializeArgs::new(locks));
    };
    let reserved = NonNull::new(text.as_ptr().cast_mut().cast()).ok_or(Error::InvalidValue)?;
    // SAFETY: a string that ends in NUL and outlives the call, which is what modules that take one want (NSS softokn).
    module.initialize(unsafe { CInitializeArgs::new_with_reserved(locks, reserved) })
}
