//! The one table of KMS' own error codes.

use super::{Asked, Cause, Trouble};
use aws_sdk_kms::{
    error::ProvideErrorMetadata,
    primitives::{DateTime, DateTimeFormat},
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use catalyst_signing::{Refusal, SignError, TransientKind};
use std::time::{Duration, SystemTime};

/// The longest wait that a Retry-After is believed.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// An error that KMS itself answered with.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) code: String,
    pub(super) message: String,
    pub(super) retry_after: Option<Duration>,
    /// How far this clock is ahead of the one that answered, in seconds, where the answer has a date.
    pub(super) ahead: Option<i64>,
}

/// What a code means.
enum Meaning {
    Away,
    Throttled,
    Expired,
    Skewed,
    /// The key is being made.
    Creating,
    /// A code that is not in the table.
    Unknown,
    Stays(Refusal),
}

impl Answer {
    /// `None`: it has no error code, so it is not KMS that answered.
    pub(super) fn of(error: &impl ProvideErrorMetadata, raw: &HttpResponse, now: SystemTime) -> Option<Self> {
        let header = |name: &str| raw.headers().get(name);
        let date = header("date").and_then(|date| DateTime::from_str(date, DateTimeFormat::HttpDate).ok());
        Some(Self {
            status: raw.status().as_u16(),
            code: error.code()?.to_owned(),
            message: error.message().map(words).unwrap_or_default(),
            retry_after: header("retry-after")
                .and_then(|wait| wait.parse().ok())
                .map(|seconds| Duration::from_secs(seconds).min(LONGEST_WAIT)),
            ahead: date.map(|date| DateTime::from(now).secs().saturating_sub(date.secs())),
        })
    }

    pub(super) fn trouble(self, asked: Asked<'_>) -> Trouble {
        let Asked { operation, about } = asked;
        let Self { code, message, retry_after, .. } = &self;
        let message = if message.is_empty() { String::new() } else { format!(": {message}") };
        let reason = format!("AWS KMS answered {operation} of {about} with {code}{message}");
        let transient = |kind, reason| SignError::Transient { kind, reason, retry_after: *retry_after };
        let (error, cause) = match self.meaning() {
            Meaning::Away => (transient(TransientKind::Unavailable, reason), Cause::Away),
            Meaning::Throttled => (transient(TransientKind::Throttled, reason), Cause::Answered),
            Meaning::Expired => (
                SignError::unavailable(format!(
                    "{reason}: the credentials have expired and are read anew; if they stay, renew them"
                )),
                Cause::Expired,
            ),
            Meaning::Skewed => {
                (SignError::unavailable(format!("{reason}: {}", self.skew())), Cause::Answered)
            }
            Meaning::Creating => {
                (SignError::unavailable(format!("{reason}: the key is being made")), Cause::Answered)
            }
            Meaning::Unknown => (transient(TransientKind::Unavailable, reason), Cause::Answered),
            Meaning::Stays(kind) => {
                let cause = match kind {
                    Refusal::Missing => Cause::Missing,
                    Refusal::Denied if self.is_denial() => Cause::Denied,
                    _ => Cause::Answered,
                };
                (SignError::refused(kind, format!("{reason}: {}", self.advice(kind, asked))), cause)
            }
        };
        Trouble { error, cause }
    }

    fn meaning(&self) -> Meaning {
        use Meaning::{Away, Creating, Expired, Skewed, Stays, Throttled, Unknown};
        match self.code.as_str() {
            "ThrottlingException"
            | "Throttling"
            | "ThrottledException"
            | "TooManyRequestsException"
            | "RequestLimitExceeded"
            | "RequestThrottled"
            | "RequestThrottledException"
            | "SlowDown" => Throttled,
            "LimitExceededException" if self.says("rate exceeded") || self.says("per second") => Throttled,
            _ if self.status == 429 => Throttled,
            "KMSInternalException" | "DependencyTimeoutException" | "KeyUnavailableException" => Away,
            _ if self.status >= 500 => Away,

            "RequestTimeTooSkewed" | "RequestInTheFuture" => Skewed,
            "InvalidSignatureException" | "SignatureDoesNotMatch"
                if self.says("signature expired") || self.says("not yet current") =>
            {
                Skewed
            }
            "ExpiredTokenException" | "ExpiredToken" | "RequestExpired" => Expired,
            "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "UnrecognizedClientException"
            | "InvalidClientTokenId"
                if self.says("expired") =>
            {
                Expired
            }

            "KMSInvalidStateException" if self.says("creating") => Creating,
            "DisabledException" | "KMSInvalidStateException" => Stays(Refusal::Disabled),
            "NotFoundException" => Stays(Refusal::Missing),
            "InvalidKeyUsageException" | "IncorrectKeyException" => Stays(Refusal::WrongType),
            "AccessDeniedException"
            | "AccessDenied"
            | "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "IncompleteSignature"
            | "IncompleteSignatureException"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException"
            | "OptInRequired" => Stays(Refusal::Denied),
            "UnsupportedOperationException" => Stays(Refusal::Unsupported),
            // An endpoint without the algorithm does not know its name.
            "ValidationException" if self.says("'keyspec'") || self.says("'signingalgorithm'") => {
                Stays(Refusal::Unsupported)
            }
            "LimitExceededException"
            | "ValidationException"
            | "SerializationException"
            | "InvalidArnException"
            | "InvalidAliasNameException"
            | "InvalidGrantTokenException"
            | "InvalidMarkerException"
            | "MalformedPolicyDocumentException"
            | "TagException"
            | "AlreadyExistsException" => Stays(Refusal::Configuration),
            // Only what surely stays latches a key.
            _ => Unknown,
        }
    }

    fn advice(&self, kind: Refusal, asked: Asked<'_>) -> String {
        let Asked { operation, about } = asked;
        match kind {
            Refusal::Denied if self.is_denial() => {
                format!("allow kms:{operation} on it, in the policies of who asks and in the key's own")
            }
            Refusal::Denied => {
                "AWS does not take these credentials: look at the access key and its secret".into()
            }
            Refusal::Disabled if self.says("pending deletion") || self.says("pendingdeletion") => format!(
                "it will be destroyed: `{}`, then `aws kms enable-key`, brings it back, and `catalyst backend retry` lets it sign again",
                command("cancel-key-deletion", about)
            ),
            Refusal::Disabled if self.says("pending import") || self.says("pendingimport") => {
                "it has no key material: import it again".into()
            }
            Refusal::Disabled => format!(
                "`{}` brings it back, and `catalyst backend retry` lets it sign again",
                command("enable-key", about)
            ),
            Refusal::Missing => "look at its id, its account and its Region".into(),
            Refusal::WrongType => {
                "the key must be one that signs (SIGN_VERIFY), of the pinned algorithm".into()
            }
            Refusal::Unsupported => {
                "this endpoint cannot do it: choose another algorithm, or a Region that has this one".into()
            }
            _ if self.code == "LimitExceededException" => {
                "have the account's quota raised, or remove keys that nobody needs".into()
            }
            _ => "correct what was asked for".into(),
        }
    }

    fn skew(&self) -> String {
        let off = match self.ahead {
            Some(seconds) if seconds > 0 => format!("this clock is {} ahead of AWS'", span(seconds)),
            Some(seconds) if seconds < 0 => format!("this clock is {} behind AWS'", span(seconds)),
            _ => "this clock and AWS' differ".to_owned(),
        };
        format!("{off}: set this host's clock (NTP)")
    }

    /// Whether it is known who asks, and he may not.
    fn is_denial(&self) -> bool {
        self.code.starts_with("AccessDenied")
    }

    fn says(&self, words: &str) -> bool {
        self.message.to_ascii_lowercase().contains(words)
    }
}

/// What an operator types about a key.
fn command(what: &str, about: &str) -> String {
    match about.split(':').nth(3) {
        Some(region) => format!("aws kms {what} --key-id {about} --region {region}"),
        None => format!("aws kms {what} --key-id {about}"),
    }
}

fn span(seconds: i64) -> String {
    let seconds = seconds.unsigned_abs();
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds} s"),
        (minutes, seconds) => format!("{minutes} min {seconds} s"),
    }
}

/// AWS' own words, in one line and without what they may repeat of the request: where a signature does not match, they
/// go on with the canonical request, session token and all.
pub(super) fn words(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    let own = ["The Canonical", "canonical string", "x-amz-security-token", "X-Amz-Security-Token"]
        .into_iter()
        .filter_map(|end| line.find(end))
        .min()
        .and_then(|end| line.get(..end))
        .unwrap_or(line);
    catalyst_signing::words(own)
}
