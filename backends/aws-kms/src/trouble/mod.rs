//! What goes wrong between us and KMS, as the signing contract says it.

mod answer;
#[cfg(test)]
mod tests;
mod way;

use answer::Answer;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use catalyst_signing::{Refusal, SignError};
use std::{error::Error, time::SystemTime};

/// One call, for the sentences of its errors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    /// The operation as IAM names it, without `kms:`.
    pub(crate) operation: &'static str,
    /// The key, alias or Region it was about.
    pub(crate) about: &'a str,
}

/// A failed call, and what it says beyond its error.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) error: SignError,
    pub(crate) cause: Cause,
}

/// Where a failure comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// KMS does not answer, or fails itself: another Region may do better.
    Away,
    /// KMS takes the credentials no more; read anew they may be others.
    Expired,
    /// There are no credentials to ask with.
    Unloaded,
    /// The one operation is not permitted.
    Denied,
    /// There is no such key, or it does not show yet.
    Missing,
    /// Whatever else KMS answered.
    Answered,
}

impl Asked<'_> {
    /// What the answer means. `place` is what was asked, for people: an endpoint, or AWS KMS in a Region.
    pub(crate) fn trouble<E: ProvideErrorMetadata + Error + 'static>(
        self,
        place: &str,
        error: &SdkError<E, HttpResponse>,
    ) -> Trouble {
        let Self { operation, about } = self;
        match error {
            SdkError::ServiceError(failed) => {
                match Answer::of(failed.err(), failed.raw(), SystemTime::now()) {
                    Some(answer) => answer.trouble(self),
                    None => self.foreign(place, failed.raw()),
                }
            }
            SdkError::ResponseError(answer) => self.foreign(place, answer.raw()),
            SdkError::TimeoutError(_) => Trouble {
                error: SignError::timed_out(format!("{place} did not answer {operation} of {about} in time")),
                cause: Cause::Away,
            },
            SdkError::DispatchFailure(failure) => way::lost(self, place, failure),
            other => Trouble {
                error: SignError::refused(
                    Refusal::Configuration,
                    format!("{operation} of {about} cannot be asked: {}", way::told(other)),
                ),
                cause: Cause::Answered,
            },
        }
    }

    /// What came back is not KMS' own: a proxy's page, or an answer that was cut off. None of it is repeated.
    fn foreign(self, place: &str, answer: &HttpResponse) -> Trouble {
        let Self { operation, about } = self;
        let status = answer.status().as_u16();
        Trouble {
            error: SignError::unavailable(format!(
                "{place} answered {operation} of {about} with HTTP {status} and what is no whole answer of AWS KMS: \
                 look at the endpoint, and at proxies on the way"
            )),
            cause: Cause::Away,
        }
    }
}
