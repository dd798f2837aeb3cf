//! What a key store can answer but a signature, and what it means for the caller.

use std::time::Duration;

/// The result of asking a key store.
pub type Result<T> = std::result::Result<T, SignError>;

/// Why a transient failure happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TransientKind {
    /// The key store could not be reached or answered with a failure of its own.
    Unavailable,
    /// The key store, or the guard's share of its quota, allows no more calls now.
    Throttled,
    /// The caller's deadline passed first.
    TimedOut,
}

/// Why a request was refused: asking again changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// A permission is missing.
    Denied,
    /// The key is disabled, or waits for its destruction.
    Disabled,
    /// There is no such key.
    Missing,
    /// The key is of another kind or algorithm.
    WrongType,
    /// The PIN or passphrase is wrong, or the token is locked.
    Pin,
    /// The guard's own: this key does not sign such things.
    Purpose,
    /// The key store cannot do this: the algorithm, or a message of that length.
    Unsupported,
    /// More than one key matches, or the one that does may not be adopted.
    Ambiguous,
    /// A setting, a reference or a file's mode is wrong.
    Configuration,
}

/// A failed request to a key store. Reasons are sentences that name the key or the permission and say what to do; no
/// reason holds a secret or signature bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// May work later: HTTP 503 with `Retry-After`.
    #[error("key store {}: {reason}", match kind {
        TransientKind::Unavailable => "unavailable",
        TransientKind::Throttled => "throttled",
        TransientKind::TimedOut => "timed out",
    })]
    Transient {
        /// What kind of failure.
        kind: TransientKind,
        /// For people.
        reason: String,
        /// How long to wait before asking again, where it is known.
        retry_after: Option<Duration>,
    },
    /// Will not work until somebody changes something.
    #[error("key store refused: {reason}")]
    Refused {
        /// What kind of refusal.
        kind: Refusal,
        /// For people: names the permission or the key and what to do.
        reason: String,
    },
    /// The key store answered with something false: another key, a signature that does not verify, a bad checksum.
    #[error("key store integrity: {reason}")]
    Integrity {
        /// For people; never holds the bad signature.
        reason: String,
    },
}

impl SignError {
    /// [`TransientKind::Unavailable`] without a known delay.
    pub fn unavailable(reason: impl Into<String>) -> Self {
        Self::Transient { kind: TransientKind::Unavailable, reason: reason.into(), retry_after: None }
    }

    /// [`TransientKind::TimedOut`] without a known delay.
    pub fn timed_out(reason: impl Into<String>) -> Self {
        Self::Transient { kind: TransientKind::TimedOut, reason: reason.into(), retry_after: None }
    }

    /// A refusal.
    pub fn refused(kind: Refusal, reason: impl Into<String>) -> Self {
        Self::Refused { kind, reason: reason.into() }
    }

    /// An integrity failure.
    pub fn integrity(reason: impl Into<String>) -> Self {
        Self::Integrity { reason: reason.into() }
    }

    /// The same with the name of the key store before its reason, where that tells whose credentials it is about.
    #[must_use]
    pub fn of_store(mut self, name: &str) -> Self {
        let (Self::Transient { reason, .. } | Self::Refused { reason, .. } | Self::Integrity { reason }) =
            &mut self;
        *reason = format!("{name}: {reason}");
        self
    }

    /// A stable code for logs and clients: `key_store_…` for what may pass, `key_refused_…` and `key_integrity` for
    /// what will not.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Transient { kind: TransientKind::Unavailable, .. } => "key_store_unavailable",
            Self::Transient { kind: TransientKind::Throttled, .. } => "key_store_throttled",
            Self::Transient { kind: TransientKind::TimedOut, .. } => "key_store_timeout",
            Self::Refused { kind, .. } => match kind {
                Refusal::Denied => "key_refused_denied",
                Refusal::Disabled => "key_refused_disabled",
                Refusal::Missing => "key_refused_missing",
                Refusal::WrongType => "key_refused_wrong_type",
                Refusal::Pin => "key_refused_pin",
                Refusal::Purpose => "key_refused_purpose",
                Refusal::Unsupported => "key_refused_unsupported",
                Refusal::Ambiguous => "key_refused_ambiguous",
                Refusal::Configuration => "key_refused_configuration",
            },
            Self::Integrity { .. } => "key_integrity",
        }
    }

    /// The sentence alone, to be made part of another.
    pub fn reason(&self) -> &str {
        match self {
            Self::Transient { reason, .. } | Self::Refused { reason, .. } | Self::Integrity { reason } => {
                reason
            }
        }
    }

    /// How long to wait before asking again, where it is known; `None` for what waiting does not cure.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Transient { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether the same request may work later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Transient { .. })
    }

    /// Whether the key must not be used again until configuration changes or an operator retries. A request that
    /// was itself wrong (purpose, length) says nothing about the key.
    pub fn latches(&self) -> bool {
        match self {
            Self::Transient { .. } => false,
            Self::Refused { kind, .. } => !matches!(kind, Refusal::Purpose | Refusal::Unsupported),
            Self::Integrity { .. } => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_key_is_to_blame_for_latches() {
        assert!(!SignError::unavailable("x").latches());
        assert!(SignError::integrity("x").latches());
        for kind in [Refusal::Denied, Refusal::Disabled, Refusal::Missing, Refusal::WrongType, Refusal::Pin] {
            assert!(SignError::refused(kind, "x").latches(), "{kind:?}");
        }
        for kind in [Refusal::Purpose, Refusal::Unsupported] {
            assert!(!SignError::refused(kind, "x").latches(), "{kind:?}");
        }
        assert_eq!(SignError::refused(Refusal::Pin, "wrong PIN").to_string(), "key store refused: wrong PIN");
        assert_eq!(SignError::unavailable("x").code(), "key_store_unavailable");
    }
}
