//! Errors to HTTP, in one place.

use crate::{
    access::AccessError,
    api::ErrorBody,
    authority::{AuthorityError, x509::CsrError},
    store::{StoreError, TicketRefusal},
};
use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use catalyst_signing::SignError;
use std::time::Duration;

/// An answer that says what went wrong and what to do.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    code: &'static str,
    sentence: String,
    retry_after: Option<Duration>,
}

/// How much of a sentence is sent: it may repeat what a request said.
const MOST_CHARACTERS: usize = 600;
/// What a client waits when nobody knows better.
const RETRY_AFTER: Duration = Duration::from_secs(5);

impl Problem {
    pub(super) fn new(status: StatusCode, code: &'static str, sentence: impl Into<String>) -> Self {
        let retry_after = matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS);
        let mut sentence = sentence.into();
        if let Some((end, _)) = sentence.char_indices().nth(MOST_CHARACTERS) {
            sentence.truncate(end);
            sentence.push('…');
        }
        Self { status, code, sentence, retry_after: retry_after.then_some(RETRY_AFTER) }
    }

    pub(super) fn malformed(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed_request", sentence)
    }

    /// A body of more than so many octets.
    pub(super) fn too_large(most: usize) -> Self {
        let sentence = format!("the body has more than {} KiB", most / 1024);
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", sentence)
    }

    pub(super) fn too_slow() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", "the body did not arrive in time")
    }

    pub(super) fn no_credential() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "credential_missing",
            "a credential is needed: Authorization: Bearer <token>",
        )
    }

    /// A peer that failed too often; its next good credential is taken all the same.
    pub(super) fn too_many_failures(wait: Duration) -> Self {
        let sentence =
            "too many credentials from this address were not taken: try again later, with a good one";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_failures", sentence).with_delay(Some(wait))
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn code(&self) -> &'static str {
        self.code
    }

    pub(super) fn sentence(&self) -> &str {
        &self.sentence
    }

    /// A handler that asked no policy: ours to mend.
    pub(super) fn undecided() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "internal error: no policy was asked")
    }

    pub(super) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "internal error")
    }

    /// Plain HTTP from another machine, for something secret.
    pub(super) fn overheard() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "insecure_channel",
            "this is not answered over plain HTTP from another machine: use https://, or call from the service's own machine",
        )
    }

    /// A page of another origin.
    pub(super) fn foreign_origin() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "origin_refused",
            "pages of this origin may not call: allow it with CATALYST_PKI_ALLOWED_ORIGINS",
        )
    }

    /// Something else than a WebSocket where one was to be opened.
    pub(super) fn websocket_expected(why: &str) -> Self {
        let sentence = format!(
            "this is the Cap'n Web interface: open a WebSocket here, or POST a batch of messages ({why})"
        );
        Self::new(StatusCode::UPGRADE_REQUIRED, "websocket_expected", sentence)
    }

    /// Long answers, of which too many lie unread or are being made.
    pub(super) fn busy() -> Self {
        let sentence =
            "too many long lists are asked for, or lie unread: try again later, or ask for fewer entries";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", sentence)
    }

    /// Batches are read before anybody knows whose they are, so that few are at once.
    pub(super) fn too_many_batches() -> Self {
        let sentence = "too many batches are being read: try again later, or open a WebSocket";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_batches", sentence)
    }

    /// A call that took too long; what it began may be done all the same.
    pub(super) fn not_in_time() -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, "not_in_time", "no answer in time: look whether it was done")
    }

    pub(super) fn not_found(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", sentence)
    }

    fn with_delay(mut self, delay: Option<Duration>) -> Self {
        self.retry_after = delay.or(self.retry_after);
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = ErrorBody { error: self.sentence, code: self.code.to_owned() };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        if let Some(delay) = self.retry_after {
            let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.status == StatusCode::UPGRADE_REQUIRED {
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

impl From<AuthorityError> for Problem {
    fn from(error: AuthorityError) -> Self {
        let status = match &error {
            AuthorityError::Csr(CsrError::Malformed(_) | CsrError::ProofOfPossession) => {
                StatusCode::BAD_REQUEST
            }
            AuthorityError::Csr(_)
            | AuthorityError::UriMissing(_)
            | AuthorityError::UriMany(_)
            | AuthorityError::UriMismatch { .. }
            | AuthorityError::Identity(_)
            | AuthorityError::Ttl(_)
            | AuthorityError::NameNotAllowed(_)
            | AuthorityError::NameTaken { .. }
            | AuthorityError::Key(_)
            | AuthorityError::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            AuthorityError::Denied(_) | AuthorityError::Ticket(TicketRefusal::IdentityExists) => {
                StatusCode::FORBIDDEN
            }
            AuthorityError::Ticket(_) => StatusCode::UNAUTHORIZED,
            AuthorityError::NotFound(_) => StatusCode::NOT_FOUND,
            AuthorityError::Conflict(_) => StatusCode::CONFLICT,
            AuthorityError::LimitReached { .. } => StatusCode::TOO_MANY_REQUESTS,
            AuthorityError::KeyStore(error) => key_store_status(error),
            AuthorityError::Recovery(_)
            | AuthorityError::NotInitialized
            | AuthorityError::NoIssuer(_)
            | AuthorityError::CaExpiring { .. }
            | AuthorityError::ClockBehind { .. }
            | AuthorityError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let delay = match &error {
            AuthorityError::LimitReached { retry_after } => Some(*retry_after),
            AuthorityError::KeyStore(error) => error.retry_after(),
            _ => None,
        };
        Self::new(status, error.code(), error.to_string()).with_delay(delay)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        AuthorityError::from(error).into()
    }
}

impl From<AccessError> for Problem {
    fn from(error: AccessError) -> Self {
        let bad_credential = |code| Self::new(StatusCode::UNAUTHORIZED, code, "Invalid token");
        match error {
            AccessError::Missing => Self::no_credential(),
            AccessError::Malformed(_) | AccessError::Invalid(_) => bad_credential("credential_invalid"),
            AccessError::Expired => bad_credential("credential_expired"),
            AccessError::Revoked => bad_credential("credential_revoked"),
            AccessError::IdentityDenied(_) => {
                Self::new(StatusCode::FORBIDDEN, "identity_denied", error.to_string())
            }
            AccessError::Ticket(refusal) => AuthorityError::Ticket(refusal).into(),
            AccessError::Denied { .. } => {
                Self::new(StatusCode::FORBIDDEN, "permission_denied", error.to_string())
            }
            AccessError::Beyond(_) => {
                Self::new(StatusCode::FORBIDDEN, "grant_exceeds_own", error.to_string())
            }
            AccessError::Request(sentence) => AuthorityError::Invalid(sentence).into(),
            AccessError::KeyNotOpen => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "token_key_unavailable", error.to_string())
            }
            AccessError::Store(error) => error.into(),
            AccessError::KeyStore(error) => AuthorityError::KeyStore(error).into(),
            other => AuthorityError::Internal(other.to_string()).into(),
        }
    }
}

/// What may pass is 503; what wants an operator is 500, so that nobody waits for it.
fn key_store_status(error: &SignError) -> StatusCode {
    if error.is_transient() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::INTERNAL_SERVER_ERROR }
}
