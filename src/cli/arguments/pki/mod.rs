//! `catalyst pki …`

mod audit;
mod ca;

pub(in crate::cli) use audit::AuditFilter;
pub(in crate::cli) use ca::{BundleRequest, CaRequest};

use super::{Request, client, group};
use clap::{ArgMatches, Command};

pub(super) fn command() -> Command {
    group("pki", "The certificate authority")
        .args(client::options().map(|option| option.global(true)))
        .subcommand(audit::command())
        .subcommands([
            ca::init(),
            Command::new("status").about("Show how the CA is; exit code 1 unless all is well"),
        ])
        .subcommand(ca::command())
        .subcommand(group("keys", "The keys in the key stores").subcommand(
            Command::new("reconcile").about(
                "List keys that were made for this deployment and belong to no CA; nothing is destroyed",
            ),
        ))
}

/// What is asked.
pub(super) fn request(matches: &ArgMatches) -> Result<Request, String> {
    Ok(match matches.subcommand() {
        Some(("audit", audit)) => audit::request(audit),
        Some(("init", init)) => ca::init_request(init),
        Some(("status", _)) => Request::Status,
        Some(("ca", ca)) => ca::request(ca)?,
        Some(("keys", _)) => Request::ReconcileKeys,
        // clap lets nothing else pass.
        _ => return Err("a command of 'catalyst pki' is wanted".into()),
    })
}
