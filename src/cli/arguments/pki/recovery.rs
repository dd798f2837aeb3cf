//! `catalyst pki recovery …`

use super::super::{Request, group};
use clap::{Arg, ArgAction, ArgMatches, Command};

const WITHOUT: &str = "a restored service issues nothing until the instance that ran before is gone for good: two that issue give one name to two holders, and neither knows what the other has revoked. See that it is stopped and cannot start again, then say --old-instance-is-gone";

pub(super) fn command() -> Command {
    group("recovery", "The time after a restore, in which nothing is issued").subcommand(
        Command::new("confirm")
            .about("Issue certificates again: the instance that ran before the restore is gone")
            .arg(
                Arg::new("old-instance-is-gone")
                    .long("old-instance-is-gone")
                    .action(ArgAction::SetTrue)
                    .help("It is stopped and never starts again"),
            )
            .after_help(
                "'catalyst pki status' says since when the service is in recovery, and from which backup.\n\nExamples:\n  catalyst pki recovery confirm --old-instance-is-gone",
            ),
    )
}

/// What is asked; without the flag, what it means.
pub(super) fn request(matches: &ArgMatches) -> Result<Request, String> {
    let is_gone = matches.subcommand().is_some_and(|(_, confirm)| confirm.get_flag("old-instance-is-gone"));
    if is_gone { Ok(Request::ConfirmRecovery) } else { Err(WITHOUT.to_owned()) }
}
