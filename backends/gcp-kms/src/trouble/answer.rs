//! The one table of Cloud KMS' own errors (google.rpc.Code, google.rpc.ErrorInfo).

use super::{Asked, Cause, Trouble};
use catalyst_signing::{Refusal, SignError, TransientKind};
use google_cloud_gax::error::{
    Error,
    rpc::{Code, StatusDetails},
};
use std::time::Duration;

/// The longest wait that is believed.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// An error that Cloud KMS itself answered with.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) code: Code,
    pub(super) message: String,
    /// Google's reason: `IAM_PERMISSION_DENIED`, `SERVICE_DISABLED`, …
    pub(super) reason: Option<String>,
    /// Which permission is missing, and on what.
    pub(super) missing: Option<(String, String)>,
    pub(super) retry_after: Option<Duration>,
}

/// What an error means.
enum Meaning {
    Away,
    Late,
    Throttled,
    Expired,
    /// The version is being made.
    Pending,
    /// What was sent did not arrive as it was sent.
    Damaged,
    Exists,
    Stays(Refusal),
}

impl Answer {
    /// `None`: it is not Cloud KMS that answered.
    pub(super) fn of(error: &Error) -> Option<Self> {
        let status = error.status()?;
        let mut answer = Self {
            code: status.code,
            message: words(&status.message),
            reason: None,
            missing: None,
            retry_after: None,
        };
        for detail in &status.details {
            match detail {
                StatusDetails::ErrorInfo(info) => {
                    answer.reason = Some(info.reason.clone());
                    let of = |name: &str| info.metadata.get(name).map(|value| words(value));
                    answer.missing = of("permission").zip(of("resource"));
                }
                StatusDetails::RetryInfo(info) => {
                    let delay = info.retry_delay.and_then(|delay| Duration::try_from(delay).ok());
                    answer.retry_after = delay.map(|delay| delay.min(LONGEST_WAIT));
                }
                _ => {}
            }
        }
        Some(answer)
    }

    pub(super) fn trouble(self, asked: Asked<'_>) -> Trouble {
        let Asked { operation, about, .. } = asked;
        let Self { code, message, retry_after, .. } = &self;
        let message = if message.is_empty() { String::new() } else { format!(": {message}") };
        let reason =
            format!("Google Cloud KMS answered {operation} of {about} with {}{message}", code.name());
        let transient = |kind, reason| SignError::Transient { kind, reason, retry_after: *retry_after };
        let (error, cause) = match self.meaning(asked) {
            Meaning::Away => (transient(TransientKind::Unavailable, reason), Cause::Other),
            Meaning::Late => (transient(TransientKind::TimedOut, reason), Cause::Other),
            Meaning::Throttled => (transient(TransientKind::Throttled, reason), Cause::Other),
            Meaning::Expired => (
                SignError::unavailable(format!(
                    "{reason}: the credentials are not taken any more and are read anew; if they stay, renew them"
                )),
                Cause::Expired,
            ),
            Meaning::Pending => {
                (SignError::unavailable(format!("{reason}: the version is being made")), Cause::Other)
            }
            Meaning::Damaged => (SignError::integrity(reason), Cause::Other),
            Meaning::Exists => (SignError::refused(Refusal::Ambiguous, reason), Cause::Exists),
            Meaning::Stays(kind) => {
                let cause = match kind {
                    Refusal::Missing => Cause::Missing,
                    Refusal::Denied if self.code == Code::PermissionDenied => Cause::Denied,
                    _ => Cause::Other,
                };
                (SignError::refused(kind, format!("{reason}: {}", self.advice(kind, asked))), cause)
            }
        };
        Trouble { error, cause }
    }

    fn meaning(&self, asked: Asked<'_>) -> Meaning {
        use Meaning::{Away, Damaged, Exists, Expired, Late, Pending, Stays, Throttled};
        match self.code {
            Code::DeadlineExceeded => Late,
            Code::ResourceExhausted => Throttled,
            Code::Unauthenticated if self.is_for("CREDENTIALS_MISSING") => Stays(Refusal::Denied),
            Code::Unauthenticated => Expired,
            Code::PermissionDenied if self.is_for("SERVICE_DISABLED") || self.is_for("BILLING_DISABLED") => {
                Stays(Refusal::Configuration)
            }
            Code::PermissionDenied => Stays(Refusal::Denied),
            Code::NotFound => Stays(Refusal::Missing),
            Code::AlreadyExists => Exists,
            Code::FailedPrecondition if self.says("PENDING_GENERATION") => Pending,
            Code::FailedPrecondition if asked.is_of_version() => Stays(Refusal::Disabled),
            Code::FailedPrecondition => Stays(Refusal::Configuration),
            Code::InvalidArgument if self.says("CRC32C") => Damaged,
            Code::InvalidArgument if self.says("algorithm") => Stays(Refusal::Unsupported),
            Code::InvalidArgument => Stays(Refusal::Configuration),
            Code::Unimplemented | Code::OutOfRange => Stays(Refusal::Unsupported),
            // Only what surely stays latches a key.
            _ => Away,
        }
    }

    fn advice(&self, kind: Refusal, asked: Asked<'_>) -> String {
        match kind {
            Refusal::Denied if self.is_for("ACCESS_TOKEN_SCOPE_INSUFFICIENT") => {
                "what the credentials are good for does not include Cloud KMS: give the machine or the token the scope \
                 https://www.googleapis.com/auth/cloud-platform"
                    .into()
            }
            Refusal::Denied if self.is_for("SECURITY_POLICY_VIOLATED") => {
                "a perimeter of VPC Service Controls forbids it: let who asks, or this network, into it".into()
            }
            Refusal::Denied if self.code == Code::PermissionDenied => match &self.missing {
                Some((permission, resource)) => format!("grant {permission} on {resource} to who asks"),
                None => format!("grant {} on it to who asks", asked.full_permission()),
            },
            Refusal::Denied => "there are no credentials in the request: look at what gives them".into(),
            Refusal::Disabled if self.says("DESTROY_SCHEDULED") => format!(
                "it will be destroyed: `{}`, then `{}`, brings it back, and `catalyst backend retry` lets it sign again",
                command("restore", asked.about),
                command("enable", asked.about)
            ),
            Refusal::Disabled if self.says("DESTROYED") => "its key material is gone for good".into(),
            Refusal::Disabled => format!(
                "`{}` brings it back if it is disabled, and `catalyst backend retry` lets it sign again",
                command("enable", asked.about)
            ),
            Refusal::Missing if asked.operation == "ListCryptoKeys" => {
                "look at its project, its location and its name; `gcloud kms keyrings create` makes a key ring".into()
            }
            Refusal::Missing => "look at its project, its location and its name".into(),
            Refusal::Unsupported => {
                "it cannot be done there: choose another algorithm, protection level or location".into()
            }
            Refusal::Configuration if self.is_for("SERVICE_DISABLED") => {
                "`gcloud services enable cloudkms.googleapis.com` in that project enables it".into()
            }
            Refusal::Configuration if self.is_for("BILLING_DISABLED") => {
                "give that project a billing account".into()
            }
            Refusal::Configuration if self.code == Code::FailedPrecondition => {
                "look at what the organization's policies (constraints/cloudkms.allowedProtectionLevels, \
                 constraints/gcp.resourceLocations) allow in that project"
                    .into()
            }
            _ => "correct what was asked for".into(),
        }
    }

    fn is_for(&self, reason: &str) -> bool {
        self.reason.as_deref() == Some(reason)
    }

    fn says(&self, words: &str) -> bool {
        self.message.to_ascii_lowercase().contains(&words.to_ascii_lowercase())
    }
}

impl Asked<'_> {
    /// `cloudkms.cryptoKeyVersions.useToSign`.
    fn full_permission(self) -> String {
        format!("cloudkms.{}", self.permission)
    }

    /// Whether it was about a version, which alone can be disabled.
    fn is_of_version(self) -> bool {
        self.about.contains("/cryptoKeyVersions/")
    }
}

/// What an operator types about a version.
fn command(what: &str, version: &str) -> String {
    format!("gcloud kms keys versions {what} {version}")
}

/// Others' words in one line, without a token: Google's own, or a JWT (RFC 7519), whose header is JSON in base64.
pub(super) fn words(message: &str) -> String {
    let mut line = message.lines().next().unwrap_or_default();
    for token in ["Bearer ", "ya29.", "eyJ"] {
        line = line.split(token).next().unwrap_or_default();
    }
    catalyst_signing::words(line.trim_end_matches([' ', ':']))
}
