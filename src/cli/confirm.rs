//! The question before something that cannot be taken back.

use crate::client::{ClientError, Result, printable};
use std::io::{self, IsTerminal as _, Write as _};

/// Asks whoever sits at the terminal, unless `yes` was said beforehand. Where nobody sits, as in scripts, nothing is
/// asked.
///
/// # Errors
/// The answer is not yes.
pub(super) fn confirm(question: &str, yes: bool) -> Result<()> {
    if !will_ask(yes) {
        return Ok(());
    }
    let mut answer = String::new();
    let asked = write!(io::stderr(), "{} [y/N] ", printable(question));
    asked
        .and_then(|()| io::stdin().read_line(&mut answer))
        .map_err(|error| ClientError::failed(format!("cannot ask: {error}")))?;
    if is_yes(&answer) {
        return Ok(());
    }
    Err(ClientError::failed("nothing was done").with_hint("answer y to go on, or give --yes"))
}

/// Whether [`confirm`] asks: somebody sits at a terminal, and has not said `yes` beforehand.
pub(super) fn will_ask(yes: bool) -> bool {
    !yes && io::stdin().is_terminal() && io::stderr().is_terminal()
}

fn is_yes(answer: &str) -> bool {
    ["y", "yes"].iter().any(|yes| answer.trim().eq_ignore_ascii_case(yes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        assert!(["y\n", "Yes\r\n", " YES"].into_iter().all(is_yes));
        assert!(!["", "\n", "n", "yess", "y e s"].into_iter().any(is_yes));
    }
}
