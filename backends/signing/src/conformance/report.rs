//! How the suite tells what it found.

use std::fmt;

/// How one rule fared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The backend keeps the rule.
    Passed,
    /// The rule could not be tried, and why.
    Skipped(String),
    /// The backend breaks the rule, and how.
    Failed(String),
}

/// Why a rule did not pass; rules return it through `?`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unmet {
    Skipped(String),
    Failed(String),
}

/// What a rule gives.
pub(super) type Tried<T = ()> = std::result::Result<T, Unmet>;

pub(super) fn failed<T>(how: impl Into<String>) -> Tried<T> {
    Err(Unmet::Failed(how.into()))
}

pub(super) fn skipped<T>(why: impl Into<String>) -> Tried<T> {
    Err(Unmet::Skipped(why.into()))
}

/// Of a rule that holds for everything but what could not be tried, each with its reason.
pub(super) fn all_but(missing: &[String]) -> Tried {
    match missing {
        [] => Ok(()),
        _ => skipped(format!("{}; the others pass", missing.join("; "))),
    }
}

/// Fails with `how` unless it holds.
pub(super) fn ensure(holds: bool, how: impl FnOnce() -> String) -> Tried {
    if holds { Ok(()) } else { failed(how()) }
}

/// One rule and how it fared.
#[derive(Clone, Debug)]
pub struct Check {
    /// The rule, as a sentence.
    pub rule: &'static str,
    /// How it fared.
    pub verdict: Verdict,
}

/// All rules, in the order they were tried.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The rules.
    pub checks: Vec<Check>,
}

impl Report {
    /// Whether no rule failed; skipped ones do not count.
    pub fn passed(&self) -> bool {
        self.checks.iter().all(|check| !matches!(check.verdict, Verdict::Failed(_)))
    }

    /// For tests.
    ///
    /// # Panics
    /// If a rule failed, with the whole report.
    pub fn assert(&self) {
        assert!(self.passed(), "the backend breaks the signing contract:\n{self}");
    }

    pub(super) fn add(&mut self, rule: &'static str, tried: Tried) {
        let verdict = match tried {
            Ok(()) => Verdict::Passed,
            Err(Unmet::Skipped(why)) => Verdict::Skipped(why),
            Err(Unmet::Failed(how)) => Verdict::Failed(how),
        };
        self.checks.push(Check { rule, verdict });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.checks.iter().try_for_each(|Check { rule, verdict }| match verdict {
            Verdict::Passed => writeln!(f, "passed   {rule}"),
            Verdict::Skipped(why) => writeln!(f, "skipped  {rule}: {why}"),
            Verdict::Failed(how) => writeln!(f, "FAILED   {rule}: {how}"),
        })
    }
}
