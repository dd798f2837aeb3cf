//! How calls are handed on.

/// Makes functions of these names that hand their calls on. The word before the braces is the `Place` that the first
/// argument names. The other arguments are of any types: `through` chooses them, by the types of the list.
macro_rules! forward {
    (Module { $($name:ident: $($arg:ident)*;)* }) => { $(
        unsafe extern "C" fn $name<$($arg),*>($($arg: $arg),*) -> CK_RV {
            $crate::faults::call(stringify!($name), Place::Module, |module| {
                let Some(inner) = module.inner.$name else { return CKR_FUNCTION_NOT_SUPPORTED };
                // SAFETY: `through` makes this function of the same type as the other module's, which has its place in
                // the list, and the caller keeps to that function's contract.
                unsafe {
                    let inner: unsafe extern "C" fn($($arg),*) -> CK_RV = mem::transmute(inner as *const ());
                    inner($($arg),*)
                }
            })
        }
    )* };
    ($place:ident { $($name:ident: $($arg:ident)*;)* }) => { $(
        unsafe extern "C" fn $name<$($arg),*>(handle: CK_ULONG, $($arg: $arg),*) -> CK_RV {
            $crate::faults::call(stringify!($name), Place::$place(handle), |module| {
                let Some(inner) = module.inner.$name else { return CKR_FUNCTION_NOT_SUPPORTED };
                // SAFETY: as above.
                unsafe {
                    let inner: unsafe extern "C" fn(CK_ULONG, $($arg),*) -> CK_RV =
                        mem::transmute(inner as *const ());
                    inner(handle, $($arg),*)
                }
            })
        }
    )* };
}

/// Calls a function of the other module with the arguments of the same function here.
macro_rules! inner {
    ($module:ident.$name:ident($($arg:expr),*)) => {
        match $module.inner.$name {
            // SAFETY: the caller keeps to the contract of the function, which is the same.
            Some(function) => unsafe { function($($arg),*) },
            None => cryptoki_sys::CKR_FUNCTION_NOT_SUPPORTED,
        }
    };
}

pub(crate) use {forward, inner};
