//! Errors, in the form of google.rpc.Status over HTTP.

use catalyst_rigs::gcp::api::{Code, Enumeration as _};
use serde_json::{Value, json};
use std::{fmt, time::Duration};

/// A call is refused.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Refused {
    pub(crate) code: Code,
    pub(crate) message: String,
    pub(crate) details: Vec<Value>,
}

impl Refused {
    pub(crate) fn new(code: Code, message: &str) -> Self {
        Self { code, message: message.into(), details: Vec::new() }
    }

    pub(crate) fn invalid(message: &str) -> Self {
        Self::new(Code::InvalidArgument, message)
    }

    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(Code::NotFound, &format!("{what} not found."))
    }

    pub(crate) fn exists(what: &str) -> Self {
        Self::new(Code::AlreadyExists, &format!("{what} already exists."))
    }

    pub(crate) fn unimplemented(what: &str) -> Self {
        Self::new(Code::Unimplemented, &format!("The fake has no {what}."))
    }

    pub(crate) fn precondition(message: &str) -> Self {
        Self::new(Code::FailedPrecondition, message)
    }

    /// What a caller without the permission is told, whether the resource exists or not.
    pub(crate) fn permission(permission: &str, resource: &impl fmt::Display) -> Self {
        let message =
            format!("Permission '{permission}' denied on resource '{resource}' (or it may not exist).");
        let reason = json!({
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "IAM_PERMISSION_DENIED",
            "domain": "cloudkms.googleapis.com",
            "metadata": {"permission": permission, "resource": resource.to_string()},
        });
        Self { details: vec![reason], ..Self::new(Code::PermissionDenied, &message) }
    }

    /// With the wait that the caller is asked for.
    pub(crate) fn retry_after(mut self, delay: Duration) -> Self {
        self.details.push(json!({
            "@type": "type.googleapis.com/google.rpc.RetryInfo",
            "retryDelay": format!("{}s", delay.as_secs_f64()),
        }));
        self
    }

    /// The body.
    pub(crate) fn body(&self) -> Value {
        let mut error = json!({
            "code": self.code.http_status(),
            "message": self.message,
            "status": self.code.name(),
        });
        if !self.details.is_empty() {
            error["details"] = json!(self.details);
        }
        json!({ "error": error })
    }
}
