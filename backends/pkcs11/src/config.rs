//! What an operator says of one token.

use secrecy::SecretString;
use std::path::PathBuf;

/// One token, and how to use it.
#[derive(Clone, Debug)]
pub struct TokenConfig {
    /// The name that operators choose it by: `pkcs11`, `pkcs11:hsm-1`. Errors name its settings by it.
    pub name: String,
    /// The vendor's library.
    pub module: PathBuf,
    /// What the library is given at `C_Initialize` (`pReserved`, as NSS softokn wants it); nothing unless said.
    pub initialisation: Option<String>,
    /// Which of the module's tokens.
    pub token: TokenChoice,
    /// The user PIN.
    pub pin: Pin,
    /// The most sessions at once; the token's own limit counts too.
    pub sessions: u32,
    /// Whether a key is refused that is not sensitive, or that may leave the token.
    pub require_sensitive: bool,
    /// How long the login lasts.
    pub login: Login,
}

/// How a token is named: never by its slot, which changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenChoice {
    /// Its label (CKA_LABEL of the token, trailing blanks aside).
    Label(String),
    /// The token attributes of a PKCS#11 URI (RFC 7512, 2.3): all that are given must match.
    Uri {
        /// `token`.
        label: Option<String>,
        /// `serial`.
        serial: Option<String>,
        /// `manufacturer`.
        manufacturer: Option<String>,
        /// `model`.
        model: Option<String>,
    },
}

/// Where the user PIN comes from.
#[derive(Clone, Debug)]
pub enum Pin {
    /// This.
    Known(SecretString),
    /// The first line of this file, read at each login: the file may be there for a ceremony alone.
    File(PathBuf),
    /// The token asks for it itself (CKF_PROTECTED_AUTHENTICATION_PATH): a PIN pad.
    Pad,
}

/// How long a login lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// As long as the process lives.
    Kept,
    /// While a key of the token is open: the root's, which is opened for one operation.
    WhileInUse,
}
