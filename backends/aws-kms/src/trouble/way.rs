//! Calls that never reached KMS: no connection, or nothing to sign them with.

use super::{Asked, Cause, Trouble, answer::words};
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::result::DispatchFailure;
use catalyst_signing::{Refusal, SignError, TransientKind, causes};
use std::error::Error;

/// What to set where nothing gives credentials.
const SOURCES: &str = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, CATALYST_PKI_AWS_PROFILE, or give this host, \
                       container or service account a role";

/// What a call that found no way means.
pub(super) fn lost(asked: Asked<'_>, place: &str, failure: &DispatchFailure) -> Trouble {
    let Some(failure) = failure.as_connector_error() else {
        return away(TransientKind::Unavailable, format!("{place} could not be asked"));
    };
    if let Some(credentials) = causes(failure).filter_map(|cause| cause.downcast_ref()).last() {
        // The connector's own word for it is "other".
        let whole = failure.source().unwrap_or(failure);
        return unloaded(whole, credentials);
    }
    let Asked { operation, about } = asked;
    let kind = if failure.is_timeout() { TransientKind::TimedOut } else { TransientKind::Unavailable };
    away(kind, format!("{place} could not be asked for {operation} of {about}: {}", told(failure)))
}

fn away(kind: TransientKind, reason: String) -> Trouble {
    Trouble { error: SignError::Transient { kind, reason, retry_after: None }, cause: Cause::Away }
}

/// Only what is written wrongly stays so; the rest (a service that gives credentials) may be back in a moment.
fn unloaded(whole: &(dyn Error + 'static), credentials: &CredentialsError) -> Trouble {
    let error = match credentials {
        CredentialsError::InvalidConfiguration(_) => SignError::refused(
            Refusal::Configuration,
            format!("the AWS credentials cannot be read: {}: correct the profile or its file", told(whole)),
        ),
        CredentialsError::CredentialsNotLoaded(_) => {
            SignError::unavailable(format!("there are no AWS credentials: {SOURCES}"))
        }
        _ => SignError::unavailable(format!(
            "the AWS credentials could not be loaded: {}: look at what gives them (STS, instance or container \
             metadata, the profile's command)",
            told(whole)
        )),
    };
    Trouble { error, cause: Cause::Unloaded }
}

/// An error and its causes in one line. Whole requests and answers are left out, and so is what a credential process
/// wrote, which may be anything.
pub(super) fn told(error: &(dyn Error + 'static)) -> String {
    let mut line = catalyst_signing::told(error);
    for rest in ["Stderr:", "Request {", "Response {"] {
        line.truncate(line.find(rest).unwrap_or(line.len()));
    }
    words(&line)
}
