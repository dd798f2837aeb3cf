//! `catalyst pki …`

mod audit;
mod cert;
mod identity;

pub(in crate::cli) use audit::AuditFilter;
pub(in crate::cli) use cert::{CertFilter, CertRequest, Curve, Export, Generate, SignCsr};
pub(in crate::cli) use identity::IdentityRequest;

use super::{Request, client, group};
use clap::{ArgMatches, Command};

pub(super) fn command() -> Command {
    group("pki", "The certificate authority")
        .args(client::options().map(|option| option.global(true)))
        .subcommands([cert::command(), identity::command()])
        .subcommand(audit::command())
}

/// What is asked.
pub(super) fn request(matches: &ArgMatches) -> Result<Request, String> {
    Ok(match matches.subcommand() {
        Some(("audit", audit)) => audit::request(audit),
        Some(("cert", cert)) => cert::request(cert)?,
        Some(("identity", identity)) => identity::request(identity)?,
        // clap lets nothing else pass.
        _ => return Err("a command of 'catalyst pki' is wanted".into()),
    })
}
