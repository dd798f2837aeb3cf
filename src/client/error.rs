//! What went wrong between the command line and the service.

use std::fmt;

/// The kinds of failure that a script tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The service did not do what was asked, or its answer can't be used.
    Failed,
    /// The command line, or what it names, can't be used as it is.
    Usage,
    /// No credential, or one that may not do this (401, 403).
    NotAuthorised,
    /// No answer: name, connection, TLS, time; or the service can't answer now (503).
    Unreachable,
    /// What is asked contradicts what is (409).
    Conflict,
}

/// A failure, and what the operator can do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientError {
    /// For the exit code.
    pub kind: Kind,
    /// What happened, a clause.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
}

/// What this module answers.
pub type Result<T> = std::result::Result<T, ClientError>;

impl ClientError {
    /// A failure without advice.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None }
    }

    /// Wrong usage.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// The service did not do it, or its answer can't be used.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Kind::Failed, message)
    }

    /// No answer.
    pub fn unreachable(message: impl Into<String>) -> Self {
        Self::new(Kind::Unreachable, message)
    }

    /// The same failure with advice.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ClientError {}
