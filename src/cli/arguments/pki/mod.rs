//! `catalyst pki …`

mod audit;
mod ca;
mod cert;
mod export;
mod identity;

pub(in crate::cli) use audit::AuditFilter;
pub(in crate::cli) use ca::{BundleRequest, CaRequest};
pub(in crate::cli) use cert::{CertFilter, CertRequest, Curve, Export, Generate, Revoke, SignCsr};
pub(in crate::cli) use identity::IdentityRequest;

use super::{Request, client, group};
use clap::{ArgMatches, Command};

pub(super) fn command() -> Command {
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
        .subcommands([ca::command(), export::command()])
        .subcommand(group("keys", "The keys in the key stores").subcommand(
            Command::new("reconcile").about(
                "List keys that were made for this deployment and belong to no CA; nothing is destroyed",
            )
            .after_help("Examples:\n  catalyst pki keys reconcile"),
        ))
}

/// What is asked.
pub(super) fn request(matches: &ArgMatches) -> Result<Request, String> {
    Ok(match matches.subcommand() {
        Some(("audit", audit)) => audit::request(audit),
        Some(("init", init)) => ca::init_request(init),
        Some(("status", _)) => Request::Status,
        Some(("ca", ca)) => ca::request(ca)?,
        Some(("export", export)) => export::request(export)?,
        Some(("keys", _)) => Request::ReconcileKeys,
        Some(("cert", cert)) => cert::request(cert)?,
        Some(("identity", identity)) => identity::request(identity)?,
        // clap lets nothing else pass.
        _ => return Err("a command of 'catalyst pki' is wanted".into()),
    })
}
