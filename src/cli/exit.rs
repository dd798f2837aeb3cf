//! What exit codes mean: 0 done, 1 failed, 2 wrong usage or settings, 3 not authorised, 4 unreachable, 5 conflict; of
//! `backup verify` 6 that keys could not be asked for, 7 that nothing vouches for the backup.

use super::{Failure, output};
use crate::{
    client::{ClientError, Kind},
    settings::SettingsError,
};
use std::process::ExitCode;

pub(super) const FAILED: u8 = 1;
pub(super) const WRONG_USAGE: u8 = 2;
pub(super) const NOT_AUTHORISED: u8 = 3;
const UNREACHABLE: u8 = 4;
const CONFLICT: u8 = 5;
pub(super) const KEYS_UNREACHED: u8 = 6;
pub(super) const UNSIGNED: u8 = 7;

/// Says what went wrong, and what to do, on standard error.
pub(super) fn report(error: &ClientError) -> ExitCode {
    output::error(&error.to_string());
    if let Some(hint) = &error.hint {
        output::hint(hint);
    }
    ExitCode::from(code(error.kind))
}

/// The code of a service or command that did not begin: a setting that can't be used is told from all else.
pub(super) fn code_of_start(error: &Failure) -> ExitCode {
    ExitCode::from(if error.is::<SettingsError>() { WRONG_USAGE } else { FAILED })
}

fn code(kind: Kind) -> u8 {
    match kind {
        Kind::Failed => FAILED,
        Kind::Usage => WRONG_USAGE,
        Kind::NotAuthorised => NOT_AUTHORISED,
        Kind::Unreachable => UNREACHABLE,
        Kind::Conflict => CONFLICT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scripts rest on these numbers.
    #[test]
    fn every_kind_of_failure_has_its_code() {
        let kinds = [Kind::Failed, Kind::Usage, Kind::NotAuthorised, Kind::Unreachable, Kind::Conflict];
        assert_eq!(kinds.map(code), [1, 2, 3, 4, 5]);
    }
}
