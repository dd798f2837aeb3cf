//! What goes wrong between us and Cloud KMS, as the signing contract says it.

mod answer;
#[cfg(test)]
mod tests;
mod way;

use answer::Answer;
use catalyst_signing::{Refusal, SignError, TransientKind};
use google_cloud_gax::error::Error;
pub(crate) use way::Late;

/// One call, for the sentences of its errors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    /// The method as Google names it.
    pub(crate) operation: &'static str,
    /// The IAM permission that it needs.
    pub(crate) permission: &'static str,
    /// The key, version or key ring it was about.
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
    /// Cloud KMS takes the credentials no more; read anew they may be others.
    Expired,
    /// There are no credentials to ask with.
    Unloaded,
    /// They did not come in time.
    Late,
    /// The one operation is not permitted.
    Denied,
    /// There is no such thing.
    Missing,
    /// It is there already.
    Exists,
    /// Whatever else happened.
    Other,
}

impl From<SignError> for Trouble {
    fn from(error: SignError) -> Self {
        Self { error, cause: Cause::Other }
    }
}

impl Asked<'_> {
    /// What a failed call means. `place` is what was asked, for people.
    pub(crate) fn trouble(self, place: &str, error: &Error) -> Trouble {
        let Self { operation, about, .. } = self;
        if let Some(answer) = Answer::of(error) {
            return answer.trouble(self);
        }
        if let Some(status) = error.http_status_code() {
            return self.foreign(place, status);
        }
        if error.is_deserialization() || error.is_transport() {
            return self.foreign(place, 200);
        }
        if error.is_timeout() || error.is_exhausted() {
            return self.late(place);
        }
        if let Some(trouble) = way::lost(self, place, error) {
            return trouble;
        }
        let reason = format!("{operation} of {about} cannot be asked: {}", way::told(error));
        SignError::refused(Refusal::Configuration, reason).into()
    }

    /// No answer came in time.
    pub(crate) fn late(self, place: &str) -> Trouble {
        let Self { operation, about, .. } = self;
        SignError::timed_out(format!("{place} did not answer {operation} of {about} in time")).into()
    }

    /// What came back is not Cloud KMS' own: a proxy's page, or an answer that was cut off. None of it is repeated.
    fn foreign(self, place: &str, status: u16) -> Trouble {
        let Self { operation, about, .. } = self;
        let kind = if status == 429 { TransientKind::Throttled } else { TransientKind::Unavailable };
        let reason = format!(
            "{place} answered {operation} of {about} with HTTP {status} and what is no whole answer of Google Cloud KMS: \
             look at the endpoint, and at proxies on the way"
        );
        SignError::Transient { kind, reason, retry_after: None }.into()
    }

    /// What was answered cannot be true.
    pub(crate) fn false_answer(self, said: &str) -> Trouble {
        let Self { operation, about, .. } = self;
        SignError::integrity(format!("Google Cloud KMS was asked for {operation} of {about}, and {said}"))
            .into()
    }
}
