//! Looking at an open key that somebody else holds.

use super::{KeyHealth, key::Inner};
use crate::KeyState;
use std::sync::{Arc, Weak};

/// A look at an open key, which it does not keep open.
#[derive(Clone, Debug)]
pub struct KeyView(Weak<Inner>);

/// How an open key is at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyNow {
    /// Whether it can be relied on.
    pub health: KeyHealth,
    /// What the key store last said of it.
    pub state: KeyState,
    /// What an operator has to know of it.
    pub caution: Option<String>,
    /// Where it signs, if that is not where its URI says.
    pub elsewhere: Option<String>,
}

impl KeyView {
    pub(super) fn of(inner: &Arc<Inner>) -> Self {
        Self(Arc::downgrade(inner))
    }

    /// How it is now; `None` once it is closed.
    pub fn now(&self) -> Option<KeyNow> {
        let inner = self.0.upgrade()?;
        Some(KeyNow {
            health: inner.health.now(),
            state: inner.health.key_state(),
            caution: inner.key.caution(),
            elsewhere: inner.key.elsewhere(),
        })
    }
}
