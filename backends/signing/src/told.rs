//! What others say, made fit for one line of ours.

use std::{error::Error, iter::successors};

/// How many characters of others' words are repeated.
const MOST: usize = 500;

/// The first line of what a key store says, without what would change a terminal, and without the full stop at its end: the
/// sentence goes on. What must not be repeated at all, the adapter cuts off before.
#[must_use]
pub fn words(said: &str) -> String {
    let line = said.lines().next().unwrap_or_default();
    line.trim().trim_end_matches('.').chars().filter(|c| !c.is_control()).take(MOST).collect()
}

/// An error and its causes in one line, each once.
#[must_use]
pub fn told(error: &(dyn Error + 'static)) -> String {
    let mut line: Vec<String> = Vec::new();
    for cause in causes(error).map(ToString::to_string) {
        if line.last().is_none_or(|before| !before.contains(&cause)) {
            line.push(cause);
        }
    }
    line.join(": ")
}

/// An error, what caused it, what caused that, and so on.
pub fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    successors(Some(error), |&error| error.source())
}

/// An endpoint as people may see it: without what stands before an `@`.
#[must_use]
pub fn place(endpoint: &str) -> String {
    match endpoint.split_once("://") {
        Some((scheme, rest)) => {
            format!("{scheme}://{}", rest.rsplit_once('@').map_or(rest, |(_, place)| place))
        }
        None => endpoint.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{words}")]
    struct Caused {
        words: &'static str,
        source: Option<Box<Caused>>,
    }

    #[test]
    fn words_are_one_line_that_leaves_a_terminal_alone() {
        assert_eq!(words(" The key is away. \nand more"), "The key is away");
        assert_eq!(words("a\u{1b}[31mb\0"), "a[31mb");
        assert_eq!(words(&"é".repeat(600)).chars().count(), 500);
        assert_eq!(words(""), "");
    }

    #[test]
    fn causes_are_told_once() {
        let caused = |words, source: Option<Caused>| Caused { words, source: source.map(Box::new) };
        let refused = caused("connection refused", None);
        let error = caused("dispatch failure", Some(caused("io: connection refused", Some(refused))));
        assert_eq!(told(&error), "dispatch failure: io: connection refused");
    }

    #[test]
    fn a_place_holds_no_password() {
        assert_eq!(place("https://user:p@ss@kms.example.org/a"), "https://kms.example.org/a");
        assert_eq!(place("https://kms.example.org"), "https://kms.example.org");
        assert_eq!(place("kms.example.org"), "kms.example.org");
    }
}
