//! What an operator says of one token.

use catalyst_signing::Opening;
use secrecy::SecretString;
use std::{fmt, path::PathBuf};

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
    /// How long a login lasts.
    pub opening: Opening,
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

/// What errors ask operators to correct.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Setting {
    Module,
    Token,
    Initialisation,
    Pin,
    RequireSensitive,
}

impl TokenConfig {
    /// A setting as the operator writes it: a variable of the environment, or a key in the table of this token.
    pub(crate) fn setting(&self, setting: Setting) -> String {
        let (variable, key) = match setting {
            Setting::Module => ("MODULE", "module"),
            Setting::Token => ("TOKEN", "token"),
            Setting::Initialisation => ("INIT", "init"),
            Setting::Pin => ("PIN", "pin"),
            Setting::RequireSensitive => ("REQUIRE_SENSITIVE", "require_sensitive"),
        };
        match self.name.strip_prefix("pkcs11:") {
            Some(name) => format!("`{key}` in the table [pkcs11.{name}]"),
            None => format!("CATALYST_PKI_PKCS11_{variable}"),
        }
    }

    /// Where an operator corrects the PIN.
    pub(crate) fn pin_source(&self) -> String {
        match &self.pin {
            Pin::Known(_) => self.setting(Setting::Pin),
            Pin::File(path) => format!("the PIN in {}", path.display()),
            Pin::Pad => "the PIN".to_owned(),
        }
    }
}

impl fmt::Display for TokenChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Label(label) => write!(f, "the token with the label '{label}'"),
            Self::Uri { label, serial, manufacturer, model } => {
                let given =
                    [("label", label), ("serial", serial), ("manufacturer", manufacturer), ("model", model)];
                let mut words = "with";
                f.write_str("the token")?;
                for (name, value) in given {
                    if let Some(value) = value {
                        write!(f, " {words} the {name} '{value}'")?;
                        words = "and";
                    }
                }
                Ok(())
            }
        }
    }
}
