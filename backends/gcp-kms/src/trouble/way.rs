//! Calls that never reached Cloud KMS: no connection, or nothing to ask with.

use super::{Asked, Cause, Trouble, answer::words};
use catalyst_signing::{Refusal, SignError};
use google_cloud_gax::error::{CredentialsError, Error};
use std::{error, iter::successors};

/// What a call that found no way means; `None`: it found one.
pub(super) fn lost(asked: Asked<'_>, place: &str, error: &Error) -> Option<Trouble> {
    if error.is_authentication() {
        return Some(unloaded(error));
    }
    let Asked { operation, about, .. } = asked;
    (error.is_connect() || error.is_io()).then(|| {
        let told = told(error);
        SignError::unavailable(format!("{place} could not be asked for {operation} of {about}: {told}"))
            .into()
    })
}

/// Only what is written wrongly stays so; the rest (a service that gives credentials) may be back in a moment.
fn unloaded(error: &Error) -> Trouble {
    let known = causes(error).find_map(|cause| cause.downcast_ref::<CredentialsError>());
    let stays = known.is_some_and(|error| !error.is_transient());
    let told = told(error);
    let error = if stays {
        let reason = format!("the Google credentials are not taken: {told}: correct them or their file");
        SignError::refused(Refusal::Configuration, reason)
    } else {
        SignError::unavailable(format!(
            "the Google credentials could not be had: {told}: look at what gives them (the metadata server, the token \
             exchange, the impersonated account)"
        ))
    };
    Trouble { error, cause: Cause::Unloaded }
}

/// An error and its causes in one line.
pub(crate) fn told(error: &(dyn error::Error + 'static)) -> String {
    let mut line: Vec<String> = Vec::new();
    for cause in causes(error).map(ToString::to_string) {
        if line.last().is_none_or(|before| !before.contains(&cause)) {
            line.push(cause);
        }
    }
    words(&line.join(": "))
}

fn causes<'a>(
    error: &'a (dyn error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn error::Error + 'static)> {
    successors(Some(error), |&error| error.source())
}
