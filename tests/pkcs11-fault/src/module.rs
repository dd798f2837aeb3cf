//! The other module, and how this one looks in its place.

use crate::calls;
use cryptoki_sys::{
    CK_FUNCTION_LIST, CK_FUNCTION_LIST_3_0, CK_FUNCTION_LIST_3_2, CK_INTERFACE, CKR_OK, Pkcs11,
};
use std::{
    ffi::{CStr, OsStr},
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    ptr,
    sync::OnceLock,
};

/// The functions of a module, of which the later are missing in an earlier version.
pub(crate) type Functions = CK_FUNCTION_LIST_3_2;

/// The other module and this one.
pub(crate) struct Module {
    /// Where the files of this copy are.
    pub(crate) directory: PathBuf,
    /// The other's functions.
    pub(crate) inner: Functions,
    /// This one's: the same, each through the rules.
    pub(crate) outer: Functions,
    /// It is never unloaded.
    _library: Pkcs11,
}

/// The other module; `None` if it can't be loaded, which standard error has explained.
pub(crate) fn module() -> Option<&'static Module> {
    static MODULE: OnceLock<Option<Module>> = OnceLock::new();
    let load = || Module::load().map_err(|wrong| eprintln!("pkcs11-fault: {wrong}")).ok();
    MODULE.get_or_init(load).as_ref()
}

impl Module {
    fn load() -> Result<Self, String> {
        let directory = directory().ok_or("the directory of this library is not known")?;
        let path = directory.join("inner");
        // SAFETY: it is a PKCS#11 module, whose initialisers may run at any time.
        let library = unsafe { Pkcs11::new(&path) };
        let library = library.map_err(|error| format!("{}: {error}", path.display()))?;
        let inner = functions(&library).ok_or_else(|| format!("{} gives no functions", path.display()))?;
        Ok(Self { directory, inner, outer: calls::through(inner), _library: library })
    }
}

/// The directory of this copy.
fn directory() -> Option<PathBuf> {
    let function: *const _ = directory as fn() -> Option<PathBuf> as *const libc::c_void;
    let mut found = libc::Dl_info {
        dli_fname: ptr::null(),
        dli_fbase: ptr::null_mut(),
        dli_sname: ptr::null(),
        dli_saddr: ptr::null_mut(),
    };
    // SAFETY: dladdr takes any address, and writes into a structure of this function.
    if unsafe { libc::dladdr(function, &raw mut found) } == 0 || found.dli_fname.is_null() {
        return None;
    }
    // SAFETY: dladdr found the object, so this is its name, which lives as long as the object is loaded.
    let name = unsafe { CStr::from_ptr(found.dli_fname) };
    let path = fs::canonicalize(Path::new(OsStr::from_bytes(name.to_bytes()))).ok()?;
    path.parent().map(Path::to_path_buf)
}

/// The functions of the newest version that the module has.
fn functions(library: &Pkcs11) -> Option<Functions> {
    let mut list: *const CK_FUNCTION_LIST = ptr::null();
    if library.C_GetInterface.is_ok() {
        let mut interface: *mut CK_INTERFACE = ptr::null_mut();
        // SAFETY: as PKCS#11 3.0, 5.4.6 has it: no name and no version mean the module's own choice.
        let value =
            unsafe { library.C_GetInterface(ptr::null_mut(), ptr::null_mut(), &raw mut interface, 0) };
        if value == CKR_OK && !interface.is_null() {
            // SAFETY: the module said that it has written the address of an interface.
            list = unsafe { (*interface).pFunctionList }.cast();
        }
    }
    if list.is_null() && library.C_GetFunctionList.is_ok() {
        let mut found: *mut CK_FUNCTION_LIST = ptr::null_mut();
        // SAFETY: as PKCS#11 2.40, 5.4 has it.
        if unsafe { library.C_GetFunctionList(&raw mut found) } == CKR_OK {
            list = found;
        }
    }
    if list.is_null() {
        return None;
    }
    // SAFETY: every list begins with its version.
    let version = unsafe { (*list).version };
    let size = match (version.major, version.minor) {
        (0..=2, _) => size_of::<CK_FUNCTION_LIST>(),
        (3, 0..=1) => size_of::<CK_FUNCTION_LIST_3_0>(),
        _ => size_of::<CK_FUNCTION_LIST_3_2>(),
    };
    let mut functions = Functions::default();
    // SAFETY: a list of this version is as long, and is the beginning of the longest, in which a function that is not
    // there is a null pointer.
    unsafe { ptr::copy_nonoverlapping(list.cast::<u8>(), (&raw mut functions).cast(), size) };
    Some(functions)
}
