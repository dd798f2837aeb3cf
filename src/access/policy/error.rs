//! What is wrong with policies: each flaw with its place.

use cedar_policy::ffi::DetailedError;
use std::{fmt, io, path::Path};

/// The policies can't hold; every flaw that was found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(.flaws))]
pub struct PolicyError {
    flaws: Vec<Flaw>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// The file or directory.
    pub file: String,
    /// Line and column, from 1, where it is about a place in a file.
    pub at: Option<(usize, usize)>,
    /// What is wrong, and where it helps, what to do.
    pub what: String,
}

impl PolicyError {
    /// Everything that is wrong; at least one thing.
    pub fn flaws(&self) -> &[Flaw] {
        &self.flaws
    }

    pub(super) fn of(file: impl fmt::Display, what: impl Into<String>) -> Self {
        Self { flaws: vec![Flaw { file: file.to_string(), at: None, what: what.into() }] }
    }

    pub(super) fn unreadable(path: &Path, error: &io::Error) -> Self {
        Self::of(path.display(), format!("cannot be read: {error}"))
    }

    /// Nothing where nothing is wrong.
    pub(super) fn if_any(mut flaws: Vec<Flaw>) -> Result<(), Self> {
        if flaws.is_empty() {
            return Ok(());
        }
        flaws.sort_by(|a, b| (&a.file, a.at, &a.what).cmp(&(&b.file, b.at, &b.what)));
        flaws.dedup();
        Err(Self { flaws })
    }
}

impl Flaw {
    /// From what Cedar says about `text`. `statement_at` is where the policy begins, for flaws without a place.
    pub(super) fn of_cedar(
        file: String,
        text: &str,
        error: &DetailedError,
        statement_at: Option<usize>,
    ) -> Self {
        let label = error.source_locations.first();
        let at =
            label.map(|label| label.loc.start).or(statement_at).map(|offset| line_and_column(text, offset));
        let hints = [label.and_then(|label| label.label.as_deref()), error.help.as_deref()];
        let mut what = error.message.clone();
        for hint in hints.into_iter().flatten() {
            what.push_str("; ");
            what.push_str(hint);
        }
        Self { file, at, what }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Some((line, column)) => write!(f, "{}:{line}:{column}: {}", self.file, self.what),
            None => write!(f, "{}: {}", self.file, self.what),
        }
    }
}

fn lines(flaws: &[Flaw]) -> String {
    flaws.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// From 1 each; columns count characters. An offset that lies in no character, or past the end, is the end's.
pub(super) fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_from_one_in_characters() {
        let text = "a\nüb\n";
        assert_eq!(line_and_column(text, 0), (1, 1));
        assert_eq!(line_and_column(text, 1), (1, 2));
        assert_eq!(line_and_column(text, 2), (2, 1));
        assert_eq!(line_and_column(text, 4), (2, 2));
        assert_eq!(line_and_column(text, 99), (3, 1));
    }
}
