//! What goes wrong at a token, and what it means: for the session, for the key, for the operator.

use catalyst_signing::{Refusal, SignError};
use cryptoki::{
    context::Function,
    error::{Error, RvError},
};

/// Why work at a token ended.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// A PKCS#11 call failed.
    Call(Error),
    /// The work itself says what is wrong.
    Said(SignError),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Call(error)
    }
}

impl From<SignError> for Trouble {
    fn from(error: SignError) -> Self {
        Self::Said(error)
    }
}

/// What a failure takes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Nothing: the session is as good as before.
    Nothing,
    /// The session is not to be trusted any more. The work may have been done, so it is not run again here.
    Trust,
    /// The session, its login or its handles; the work was not done.
    Session,
    /// Every session with the token; the work was not done.
    Token,
}

impl Loss {
    /// Whether the work may be run once more, in a session made anew.
    pub(crate) fn may_run_again(self) -> bool {
        matches!(self, Self::Session | Self::Token)
    }
}

impl Trouble {
    /// What the failure takes with it.
    pub(crate) fn loss(&self) -> Loss {
        let Self::Call(Error::Pkcs11(code, _)) = self else {
            return Loss::Nothing;
        };
        match code {
            RvError::SessionHandleInvalid
            | RvError::SessionClosed
            | RvError::ObjectHandleInvalid
            | RvError::KeyHandleInvalid
            // The handle may name another object by now; if it does not, it is the same the second time.
            | RvError::KeyTypeInconsistent
            | RvError::KeyFunctionNotPermitted
            | RvError::UserNotLoggedIn => Loss::Session,
            RvError::DeviceRemoved
            | RvError::TokenNotPresent
            | RvError::TokenNotRecognized
            | RvError::SlotIdInvalid
            | RvError::CryptokiNotInitialized => Loss::Token,
            RvError::DeviceError
            | RvError::GeneralError
            | RvError::FunctionFailed
            | RvError::DeviceMemory
            | RvError::HostMemory
            | RvError::OperationActive
            | RvError::OperationNotInitialized => Loss::Trust,
            _ => Loss::Nothing,
        }
    }

    /// Whether the token itself fails, rather than a key, a login or one request: a token that does so again and again
    /// rests.
    pub(crate) fn says_token_fails(&self) -> bool {
        self.loss() == Loss::Token
            || [
                RvError::DeviceError,
                RvError::GeneralError,
                RvError::FunctionFailed,
                RvError::SessionHandleInvalid,
                RvError::SessionClosed,
            ]
            .into_iter()
            .any(|code| self.is(code))
    }

    /// Whether the module answered with this code.
    pub(crate) fn is(&self, wanted: RvError) -> bool {
        matches!(self, Self::Call(Error::Pkcs11(code, _)) if *code == wanted)
    }

    /// Whether somebody in this process ended the module behind our back.
    pub(crate) fn says_module_was_ended(&self) -> bool {
        self.is(RvError::CryptokiNotInitialized)
    }

    /// Whether a login failed as it does where the token is being written by another process (SoftHSM, when several
    /// open it at the same moment).
    pub(crate) fn is_half_made(&self) -> bool {
        matches!(
            self,
            Self::Call(Error::Pkcs11(
                RvError::GeneralError | RvError::UserPinNotInitialized,
                Function::Login
            ))
        )
    }

    /// What the module answered: `C_Sign answered CKR_DEVICE_ERROR`.
    pub(crate) fn answer(&self) -> String {
        match self {
            Self::Call(Error::Pkcs11(code, function)) => {
                format!("C_{function:?} answered {}", name_of(*code))
            }
            Self::Call(error) => error.to_string(),
            Self::Said(error) => error.to_string(),
        }
    }

    /// As the guard reads it; `token` is what the operator calls the token. A code that is not known here is
    /// transient: only what surely stays latches a key.
    pub(crate) fn into_error(self, token: &str) -> SignError {
        let answered = format!("{token}: {}", self.answer());
        let (meaning, advice) = match self {
            Self::Said(error) => return error,
            Self::Call(Error::Pkcs11(code, function)) => meaning(code, function),
            Self::Call(Error::NullFunctionPointer) => {
                (Meaning::Stays(Refusal::Unsupported), "the module lacks a function that this needs")
            }
            Self::Call(_) => (Meaning::Passes, ""),
        };
        match meaning {
            Meaning::Passes if advice.is_empty() => SignError::unavailable(answered),
            Meaning::Passes => SignError::unavailable(format!("{answered}: {advice}")),
            Meaning::Stays(refusal) => SignError::refused(refusal, format!("{answered}: {advice}")),
        }
    }
}

enum Meaning {
    Passes,
    Stays(Refusal),
}

/// The one table of return codes (PKCS#11 3.1, 5.1): whether it passes, and what to tell the operator.
fn meaning(code: RvError, function: Function) -> (Meaning, &'static str) {
    use Meaning::{Passes, Stays};
    let makes_objects = matches!(
        function,
        Function::GenerateKeyPair
            | Function::CreateObject
            | Function::CopyObject
            | Function::SetAttributeValue
    );
    match code {
        RvError::PinIncorrect => (Stays(Refusal::Pin), "the PIN is wrong"),
        RvError::PinInvalid => (Stays(Refusal::Pin), "the PIN has characters that the token does not take"),
        RvError::PinLenRange => (Stays(Refusal::Pin), "the PIN is too short or too long for the token"),
        RvError::PinExpired => {
            (Stays(Refusal::Pin), "the PIN has expired: set another with the vendor's tool")
        }
        RvError::PinLocked => (
            Stays(Refusal::Pin),
            "the token is locked: the security officer has to set the user PIN anew, with the vendor's tool",
        ),
        RvError::UserPinNotInitialized => (
            Stays(Refusal::Pin),
            "the token has no user PIN yet: the security officer sets one, with the vendor's tool",
        ),
        RvError::FunctionCanceled if matches!(function, Function::Login) => {
            (Stays(Refusal::Pin), "nobody entered the PIN at the token")
        }

        RvError::KeyFunctionNotPermitted => {
            (Stays(Refusal::Denied), "the key is not for this: CKA_SIGN of a signing key must be true")
        }
        RvError::UserNotLoggedIn => (
            Stays(Refusal::Denied),
            "the token wants another login than that of its user, or one for each use",
        ),
        RvError::ActionProhibited => {
            (Stays(Refusal::Denied), "the token's policy, or an attribute of the object, forbids it")
        }
        RvError::TokenWriteProtected => {
            (Stays(Refusal::Denied), "the token is write-protected: take that off to make or change keys")
        }
        RvError::SessionReadOnly => (
            Stays(Refusal::Denied),
            "the token gives read-only sessions alone, so keys cannot be made or changed",
        ),

        RvError::KeyTypeInconsistent => {
            (Stays(Refusal::WrongType), "the key is not of the type that its algorithm needs")
        }
        RvError::MechanismInvalid | RvError::FunctionNotSupported => {
            (Stays(Refusal::Unsupported), "the token cannot do this")
        }
        RvError::KeySizeRange => (Stays(Refusal::Unsupported), "the token does not take keys of this size"),
        RvError::CurveNotSupported => (Stays(Refusal::Unsupported), "the token does not have this curve"),
        RvError::DataLenRange => (Stays(Refusal::Unsupported), "the token does not sign data of this length"),

        RvError::DeviceMemory if makes_objects => {
            (Passes, "the token may be full: remove objects that nobody needs")
        }
        RvError::DeviceMemory => (Passes, "the token is out of memory"),
        RvError::SessionCount => {
            (Passes, "the token has no session left: others use it, or its limit is low")
        }
        RvError::TokenNotPresent | RvError::DeviceRemoved => (Passes, "the token is not there"),
        RvError::TokenNotRecognized => (Passes, "the module does not recognise what is in the slot"),
        RvError::HostMemory => (Passes, "this host is out of memory"),
        _ => (Passes, ""),
    }
}

/// The code as the standard and the vendors' manuals write it: `CKR_DEVICE_ERROR`.
fn name_of(code: RvError) -> String {
    match code {
        RvError::VendorDefined(number) => format!("the vendor's code {number:#010x}"),
        RvError::UnknownErrorCode(number) => format!("the unknown code {number:#010x}"),
        code => {
            let mut name = String::from("CKR");
            for letter in format!("{code:?}").chars() {
                if letter.is_ascii_uppercase() {
                    name.push('_');
                }
                name.push(letter.to_ascii_uppercase());
            }
            name
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use catalyst_signing::TransientKind;

    fn error(code: RvError, function: Function) -> SignError {
        Trouble::from(Error::Pkcs11(code, function)).into_error("pkcs11:hsm-1")
    }

    #[test]
    fn codes_that_stay_are_refusals_of_their_kind() {
        use RvError as Rv;
        for (codes, kind) in [
            (
                &[Rv::PinIncorrect, Rv::PinInvalid, Rv::PinLenRange, Rv::PinLocked, Rv::PinExpired][..],
                Refusal::Pin,
            ),
            (&[Rv::UserPinNotInitialized], Refusal::Pin),
            (&[Rv::KeyFunctionNotPermitted, Rv::UserNotLoggedIn, Rv::ActionProhibited], Refusal::Denied),
            (&[Rv::TokenWriteProtected, Rv::SessionReadOnly], Refusal::Denied),
            (&[Rv::MechanismInvalid, Rv::KeySizeRange, Rv::CurveNotSupported], Refusal::Unsupported),
            (&[Rv::DataLenRange, Rv::FunctionNotSupported], Refusal::Unsupported),
            (&[Rv::KeyTypeInconsistent], Refusal::WrongType),
        ] {
            for code in codes {
                let refused = error(*code, Function::Sign);
                assert!(
                    matches!(&refused, SignError::Refused { kind: is, .. } if *is == kind),
                    "{code:?}: {refused}"
                );
            }
        }
    }

    #[test]
    fn whatever_else_a_module_answers_is_transient() {
        for code in [
            RvError::DeviceError,
            RvError::GeneralError,
            RvError::FunctionFailed,
            RvError::DeviceMemory,
            RvError::HostMemory,
            RvError::SessionCount,
            RvError::TokenNotPresent,
            RvError::SessionHandleInvalid,
            RvError::KeyHandleInvalid,
            RvError::ArgumentsBad,
            RvError::TemplateInconsistent,
            RvError::VendorDefined(0x8000_0001),
            RvError::UnknownErrorCode(0x777),
        ] {
            let passes = error(code, Function::Sign);
            assert!(
                matches!(&passes, SignError::Transient { kind: TransientKind::Unavailable, .. }),
                "{code:?}: {passes}"
            );
        }
    }

    #[test]
    fn sentences_name_the_token_the_function_and_the_code() {
        assert_eq!(
            error(RvError::DeviceError, Function::Sign).to_string(),
            "key store unavailable: pkcs11:hsm-1: C_Sign answered CKR_DEVICE_ERROR"
        );
        assert_eq!(
            error(RvError::PinLenRange, Function::Login).to_string(),
            "key store refused: pkcs11:hsm-1: C_Login answered CKR_PIN_LEN_RANGE: the PIN is too short or too long \
             for the token"
        );
        let vendor = error(RvError::VendorDefined(0x8000_0101), Function::GenerateKeyPair).to_string();
        assert!(vendor.ends_with("C_GenerateKeyPair answered the vendor's code 0x80000101"), "{vendor}");
    }

    #[test]
    fn a_creation_without_memory_says_that_the_token_may_be_full() {
        let full = error(RvError::DeviceMemory, Function::GenerateKeyPair).to_string();
        assert!(full.contains("may be full"), "{full}");
        let other = error(RvError::DeviceMemory, Function::Sign).to_string();
        assert!(!other.contains("full"), "{other}");
    }

    #[test]
    fn work_is_run_again_only_where_it_was_surely_not_done() {
        for (code, loss) in [
            (RvError::SessionHandleInvalid, Loss::Session),
            (RvError::SessionClosed, Loss::Session),
            (RvError::ObjectHandleInvalid, Loss::Session),
            (RvError::KeyHandleInvalid, Loss::Session),
            (RvError::KeyTypeInconsistent, Loss::Session),
            (RvError::KeyFunctionNotPermitted, Loss::Session),
            (RvError::UserNotLoggedIn, Loss::Session),
            (RvError::DeviceRemoved, Loss::Token),
            (RvError::TokenNotPresent, Loss::Token),
            (RvError::TokenNotRecognized, Loss::Token),
            (RvError::SlotIdInvalid, Loss::Token),
            (RvError::CryptokiNotInitialized, Loss::Token),
            (RvError::DeviceError, Loss::Trust),
            (RvError::GeneralError, Loss::Trust),
            (RvError::FunctionFailed, Loss::Trust),
            (RvError::DeviceMemory, Loss::Trust),
            (RvError::HostMemory, Loss::Trust),
            (RvError::PinIncorrect, Loss::Nothing),
            (RvError::MechanismInvalid, Loss::Nothing),
        ] {
            assert_eq!(Trouble::from(Error::Pkcs11(code, Function::Sign)).loss(), loss, "{code:?}");
        }
        for loss in [Loss::Nothing, Loss::Trust] {
            assert!(!loss.may_run_again());
        }
    }
}
