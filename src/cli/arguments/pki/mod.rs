//! `catalyst pki …`

mod audit;

pub(in crate::cli) use audit::AuditFilter;

use super::{Request, client, group};
use clap::{ArgMatches, Command};

pub(super) fn command() -> Command {
    group("pki", "The certificate authority")
        .args(client::options().map(|option| option.global(true)))
        .subcommand(audit::command())
}

/// What is asked.
pub(super) fn request(matches: &ArgMatches) -> Result<Request, String> {
    Ok(match matches.subcommand() {
        Some(("audit", audit)) => audit::request(audit),
        // clap lets nothing else pass.
        _ => return Err("a command of 'catalyst pki' is wanted".into()),
    })
}
