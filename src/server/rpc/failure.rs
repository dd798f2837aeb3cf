//! How a method that fails says so: in its own shape where that has a place for it, and else by rejecting.

use super::super::problem::Problem;
use crate::rpc::{Answer, Exception};
use axum::http::StatusCode;
use serde_json::{Value, json};

/// What becomes of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The client's promise is rejected.
    Rejects,
    /// `{success: false, error, code}`, beside `{success: true, …}`.
    Unsuccessful,
    /// `{success: false, errorType, reason, error, code}`
    Unauthorized,
}

impl Failure {
    /// The answer of a method that succeeded.
    pub(super) fn none(self, mut answer: Value) -> Value {
        if let (Self::Unsuccessful, Some(fields)) = (self, answer.as_object_mut()) {
            fields.insert("success".to_owned(), true.into());
        }
        answer
    }

    /// That of one that failed.
    pub(super) fn of(self, problem: &Problem) -> Result<Answer, Exception> {
        let (error, code) = (problem.sentence(), problem.code());
        match self {
            Self::Rejects => Err(Exception::error(error)),
            Self::Unsuccessful => Ok(Answer::Value(json!({"success": false, "error": error, "code": code}))),
            Self::Unauthorized => Ok(Answer::Value(json!({
                "success": false, "errorType": error_type(problem), "reason": error, "error": error, "code": code,
            }))),
        }
    }
}

/// What is wrong with the credential; whatever else goes wrong is not the caller's to mend.
fn error_type(problem: &Problem) -> &'static str {
    match (problem.code(), problem.status()) {
        ("credential_expired", _) => "token_expired",
        ("credential_revoked", _) => "token_revoked",
        (_, StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS) => "token_malformed",
        (_, StatusCode::FORBIDDEN) => "permission_denied",
        _ => "system_error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::AccessError;
    use std::time::Duration;

    #[test]
    fn the_type_of_an_error_says_whose_it_is() {
        let of = |problem: Problem| error_type(&problem);
        assert_eq!(of(AccessError::Expired.into()), "token_expired");
        assert_eq!(of(AccessError::Revoked.into()), "token_revoked");
        assert_eq!(of(AccessError::Malformed("x").into()), "token_malformed");
        assert_eq!(of(AccessError::Invalid("x").into()), "token_malformed");
        assert_eq!(of(Problem::too_many_failures(Duration::from_secs(1))), "token_malformed");
        assert_eq!(of(AccessError::KeyNotOpen.into()), "system_error");
        assert_eq!(of(Problem::internal()), "system_error");
        assert_eq!(of(Problem::malformed("x")), "system_error");
    }
}
