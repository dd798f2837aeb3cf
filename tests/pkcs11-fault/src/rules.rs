//! What goes wrong, and how often still.

use cryptoki_sys::{CK_FLAGS, CK_RV, CK_ULONG};
use std::time::Duration;

/// One line of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) effect: Effect,
    /// How often still; `None`: as long as the rule is there.
    pub(crate) times: Option<u32>,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Return { function: &'static str, value: CK_RV },
    Delay { function: &'static str, time: Duration },
    Hang { function: &'static str },
    FlipSignature,
    GenerateThenFail,
    TokenFlags { set: CK_FLAGS, clear: CK_FLAGS },
    TokenSessions(CK_ULONG),
    SessionLimit(usize),
    IdleSessions(Duration),
    TokenAway,
    AlwaysAuthenticate,
}

/// The rules of the file as it is.
#[derive(Debug)]
pub(crate) struct Rules {
    text: String,
    rules: Result<Vec<Rule>, String>,
}

impl Rules {
    pub(crate) const fn new() -> Self {
        Self { text: String::new(), rules: Ok(Vec::new()) }
    }

    /// Takes the file's text; one that has not changed leaves what has been counted. Errors are for standard error.
    pub(crate) fn update(&mut self, text: String) -> Result<(), &str> {
        if text != self.text {
            self.rules = crate::parse::rules(&text);
            self.text = text;
        }
        self.rules.as_ref().map(|_| ()).map_err(String::as_str)
    }

    /// What the first rule that `find` takes gives; it is used once more.
    pub(crate) fn take<T>(&mut self, find: impl Fn(Effect) -> Option<T>) -> Option<T> {
        self.rules.as_mut().ok()?.iter_mut().find_map(|rule| {
            if rule.times == Some(0) {
                return None;
            }
            let found = find(rule.effect)?;
            rule.times = rule.times.map(|times| times - 1);
            Some(found)
        })
    }

    /// What the rules do that hold as they are there.
    pub(crate) fn all(&self) -> impl Iterator<Item = Effect> {
        self.rules.iter().flatten().map(|rule| rule.effect)
    }

    /// Whether there is such a rule.
    pub(crate) fn have(&mut self, effect: Effect) -> bool {
        self.take(|one| (one == effect).then_some(())).is_some()
    }
}
