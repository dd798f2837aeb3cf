//! What the guard tells metrics and logs.

use super::KeyHealth;
use std::{fmt, time::Duration};

/// What was asked of the key store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Opening the pinned key.
    Open,
    /// Reading the public key.
    PublicKey,
    /// A real signature.
    Sign,
    /// A probe signature.
    Probe,
    /// Reading the key's state.
    State,
}

impl Operation {
    /// The metric label: `open`, `public_key`, `sign`, `probe`, `state`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::PublicKey => "public_key",
            Self::Sign => "sign",
            Self::Probe => "probe",
            Self::State => "state",
        }
    }
}

/// How one attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// With an answer, and if that was a signature, it verified.
    Ok,
    /// With a failure that may pass.
    Transient,
    /// The key store allows no more calls now.
    Throttled,
    /// The caller's deadline passed, or the adapter's own.
    Timeout,
    /// With a refusal.
    Refused,
    /// With something false.
    Integrity,
    /// The caller went away.
    Cancelled,
}

impl Outcome {
    /// The metric label: `ok`, `transient`, `throttled`, `timeout`, `refused`, `integrity`, `cancelled`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Transient => "transient",
            Self::Throttled => "throttled",
            Self::Timeout => "timeout",
            Self::Refused => "refused",
            Self::Integrity => "integrity",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Something that happened. `backend` is the URI scheme, `name` the policy's.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SigningEvent<'a> {
    /// An attempt began: one more in flight.
    Started {
        /// URI scheme.
        backend: &'static str,
        /// What was asked.
        operation: Operation,
    },
    /// An attempt ended: one less in flight. Every `Started` is followed by one.
    Finished {
        /// URI scheme.
        backend: &'static str,
        /// What was asked.
        operation: Operation,
        /// How it ended.
        outcome: Outcome,
        /// How long the key store took; waiting for a slot or for the quota is not in it.
        duration: Duration,
    },
    /// A call was held back or refused: by the key store, or by the guard to keep a quota.
    Throttled {
        /// URI scheme.
        backend: &'static str,
        /// The CA's name.
        name: &'a str,
    },
    /// A key's health changed; `Latched` wants an ERROR log, its error names the permission or the key.
    Health {
        /// URI scheme.
        backend: &'static str,
        /// The CA's name.
        name: &'a str,
        /// What it is now.
        health: &'a KeyHealth,
    },
}

/// Takes what the guard sees. Called on the signing path: count and return.
pub trait Observer: Send + Sync + fmt::Debug {
    /// Something happened.
    fn signing(&self, event: &SigningEvent<'_>);
}

/// Looks away.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoObserver;

impl Observer for NoObserver {
    fn signing(&self, _: &SigningEvent<'_>) {}
}
