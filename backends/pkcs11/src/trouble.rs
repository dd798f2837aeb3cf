//! What goes wrong at a token, and what it means: for the session, for the key, for the operator.

use catalyst_signing::SignError;
use cryptoki::error::Error;

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

impl Trouble {
    /// As the guard reads it; `token` is what the operator calls the token.
    pub(crate) fn into_error(self, token: &str) -> SignError {
        match self {
            Self::Said(error) => error,
            Self::Call(error) => SignError::unavailable(format!("{token}: {error}")),
        }
    }
}
