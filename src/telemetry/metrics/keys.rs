//! What is told of keys.

use std::sync::Arc;

/// The value of `key_state`; whatever is below 0 wants an operator's attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyHealth {
    /// 1: it signs.
    Ready,
    /// 0: closed, or not tried yet.
    Unknown,
    /// -1: its key store can't be reached, which may pass.
    Away,
    /// -2: refused or altered; latched until an operator acts.
    Latched,
    /// -3: disabled, as its key store says.
    Disabled,
    /// -4: its key store will destroy it.
    DestructionScheduled,
    /// -5: no longer in its key store.
    Gone,
}

impl KeyHealth {
    pub(super) fn value(self) -> i64 {
        match self {
            Self::Ready => 1,
            Self::Unknown => 0,
            Self::Away => -1,
            Self::Latched => -2,
            Self::Disabled => -3,
            Self::DestructionScheduled => -4,
            Self::Gone => -5,
        }
    }
}

/// A CA's name, its key store's, and where its key signs although its URI says otherwise.
pub type Elsewhere = (Arc<str>, Arc<str>, Arc<str>);

/// What is new about where keys sign.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ElsewhereChanges {
    /// Those that did not sign there before.
    pub begun: Vec<Elsewhere>,
    /// Those that sign there no more.
    pub ended: Vec<Elsewhere>,
}
