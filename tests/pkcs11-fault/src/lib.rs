//! A PKCS#11 module that stands before another one and hands every call on, except where a test says otherwise.
//!
//! It takes nothing from the environment: a copy of this library lies in a directory with
//!
//! - `inner`: the other module, or a link to it;
//! - `rules`: what goes wrong, read at each call; no such file is no rule;
//! - `calls`: the name of each function as it is called, a line each, which this module writes.
//!
//! It is what the other module is: all of PKCS#11 2.40, 3.0 or 3.2. Each copy has a state of its own.
//!
//! # Rules
//!
//! One a line; what begins with `#` is none. A file that is not understood makes every call fail with
//! CKR_GENERAL_ERROR, and standard error says why.
//!
//! | rule | what it does |
//! | --- | --- |
//! | `C_Sign return CKR_DEVICE_ERROR` | answers so, in place of the call; any function, any return value, also `0x30` |
//! | `C_Sign delay 500ms` | waits first (`ms`, `s`) |
//! | `C_Sign hang` | waits until the rule is gone |
//! | `C_Sign flip` | turns one bit of the signature |
//! | `generate-then-fail` | makes the key pair, and answers CKR_DEVICE_ERROR: an answer that was lost |
//! | `C_GetTokenInfo flags +USER_PIN_FINAL_TRY` | sets a flag of the token, or with `-` clears it |
//! | `C_GetTokenInfo sessions 10` | the token says that it takes so many sessions |
//! | `C_OpenSession limit 10` | CKR_SESSION_COUNT while so many are open |
//! | `sessions idle 15s` | closes sessions that nobody used for so long |
//! | `token away` | no token in the slot; once it is back, what was open is not. From the first call on, not before |
//! | `C_GetAttributeValue always-authenticate` | CKA_ALWAYS_AUTHENTICATE is true, and a signature wants its own login |
//!
//! The first five may end in `times 3`: so often, then no more until the file changes.

mod calls;
mod entry;
mod faults;
mod forward;
mod module;
mod names;
mod parse;
mod rules;
mod sessions;
mod sign;
mod token;

pub use entry::{C_GetFunctionList, C_GetInterface, C_GetInterfaceList};
