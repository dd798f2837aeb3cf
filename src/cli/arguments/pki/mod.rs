//! `catalyst pki …`

mod audit;
mod ca;
mod cert;
mod export;
mod identity;
mod keys;
mod recovery;

pub(in crate::cli) use audit::AuditFilter;
pub(in crate::cli) use ca::{BundleRequest, CaRequest};
pub(in crate::cli) use cert::{CertFilter, CertRequest, Curve, Export, Generate, Revoke, SignCsr};
pub(in crate::cli) use identity::IdentityRequest;

use super::{Command as Asked, Output, Request, client, group};
use crate::settings::{Environment, Table};
use clap::{ArgMatches, Command};

pub(super) fn command(table: &Table) -> Command {
    group("pki", "The certificate authority")
        .args(client::options().map(|option| option.global(true)))
        .subcommands([cert::command(), identity::command()])
        .subcommand(audit::command())
        .subcommands([
            ca::init(),
            Command::new("status")
                .about("Show how the CA is; exit code 1 unless all is well")
                .after_help("Examples:\n  catalyst pki status\n  catalyst pki status --output json"),
        ])
        .subcommands([ca::command(), export::command(), recovery::command()])
        .subcommand(keys::command(table))
}

/// What is to be done without asking a service.
pub(super) fn task(
    table: &Table,
    matches: &ArgMatches,
    environment: Environment,
    output: Output,
) -> Result<Asked, String> {
    let keys = matches.subcommand().and_then(|(_, keys)| keys::task(table, keys, environment, output));
    // clap lets nothing else pass.
    keys.ok_or_else(|| "a command of 'catalyst pki' is wanted".into())
}

/// What is asked; `None`: no service is.
pub(super) fn request(matches: &ArgMatches) -> Result<Option<Request>, String> {
    Ok(Some(match matches.subcommand() {
        Some(("audit", audit)) => audit::request(audit),
        Some(("init", init)) => ca::init_request(init),
        Some(("status", _)) => Request::Status,
        Some(("ca", ca)) => ca::request(ca)?,
        Some(("recovery", recovery)) => recovery::request(recovery)?,
        Some(("export", export)) => export::request(export)?,
        Some(("keys", keys)) if !keys::asks_service(keys) => return Ok(None),
        Some(("keys", _)) => Request::ReconcileKeys,
        Some(("cert", cert)) => cert::request(cert)?,
        Some(("identity", identity)) => identity::request(identity)?,
        // clap lets nothing else pass.
        _ => return Err("a command of 'catalyst pki' is wanted".into()),
    }))
}
