//! What KMS answers but success, as the signing contract says it.

use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use catalyst_signing::{Refusal, SignError, TransientKind};
use std::error::Error;

/// One call, for the sentences of its errors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    /// The operation as IAM names it, without `kms:`.
    pub(crate) operation: &'static str,
    /// The key, alias or Region it was about.
    pub(crate) about: &'a str,
}

impl Asked<'_> {
    /// What the answer means.
    pub(crate) fn failed<E: ProvideErrorMetadata + Error + 'static>(
        self,
        error: &SdkError<E, HttpResponse>,
    ) -> SignError {
        let Self { operation, about } = self;
        match error {
            SdkError::ServiceError(answer) => {
                let code = answer.err().code().unwrap_or("an unnamed error");
                let message = answer.err().message().unwrap_or_default();
                let status = answer.raw().status().as_u16();
                let reason = format!("AWS KMS answered {operation} of {about} with {code}: {message}");
                match code {
                    "ThrottlingException" => {
                        SignError::Transient { kind: TransientKind::Throttled, reason, retry_after: None }
                    }
                    "KMSInternalException" | "DependencyTimeoutException" | "KeyUnavailableException" => {
                        SignError::unavailable(reason)
                    }
                    _ if status >= 500 => SignError::unavailable(reason),
                    "AccessDeniedException" => {
                        SignError::refused(Refusal::Denied, format!("{reason}: allow kms:{operation} on it"))
                    }
                    "NotFoundException" => SignError::refused(Refusal::Missing, reason),
                    "DisabledException" | "KMSInvalidStateException" => {
                        SignError::refused(Refusal::Disabled, reason)
                    }
                    "InvalidKeyUsageException" => SignError::refused(Refusal::WrongType, reason),
                    "UnsupportedOperationException" => SignError::refused(Refusal::Unsupported, reason),
                    _ => SignError::refused(Refusal::Configuration, reason),
                }
            }
            other => SignError::unavailable(format!(
                "AWS KMS did not answer {operation} of {about}: {}",
                aws_sdk_kms::error::DisplayErrorContext(other)
            )),
        }
    }
}
