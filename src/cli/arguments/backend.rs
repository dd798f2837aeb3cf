//! `catalyst backend …`

use super::{Output, Request, client, group, inputs, output_arg, with_settings};
use crate::{
    api::RetryRequest,
    cli::backend::check::Check,
    settings::{Environment, Table},
};
use clap::{Arg, ArgAction, ArgMatches, Command};

pub(super) fn command(table: &Table) -> Command {
    let name = |help: &'static str| Arg::new("name").value_name("NAME").help(help);
    let check = Command::new("check")
        .about("Open key stores, list what they can do and make probe signatures; no service is asked")
        .arg(name("A key store: local, aws-kms, gcp-kms, pkcs11, or one of several as aws-kms:NAME; each that a role uses unless said"))
        .arg(
            Arg::new("key")
                .long("key")
                .value_name("KEY")
                .help("An existing key that signs; one is made and removed unless said"),
        )
        .arg(
            Arg::new("full")
                .long("full")
                .action(ArgAction::SetTrue)
                .help("Try every rule of the signing contract, with keys that are made and removed"),
        )
        .arg(output_arg(&["text", "json"]))
        .after_help("Examples:\n  catalyst backend check --local-passphrase-file /etc/catalyst/passphrase\n  catalyst backend check pkcs11 --config /etc/catalyst/settings.toml\n  catalyst backend check pkcs11:hsm-1 --config settings.toml --key services-1");
    let retry = Command::new("retry")
        .about(
            "Have the service try keys again that are down or were refused; exit code 1 unless all are ready",
        )
        .args(client::options())
        .arg(name("A key store; all unless said"))
        .after_help("Examples:\n  catalyst backend retry\n  catalyst backend retry pkcs11:hsm-1");
    group("backend", "Key stores").subcommands([with_settings(check, table), retry])
}

/// What is asked of the service; `None` for what is done here.
pub(super) fn request(matches: &ArgMatches) -> Option<Request> {
    match matches.subcommand() {
        Some(("retry", retry)) => Some(Request::RetryKeys(RetryRequest { backend: name(retry) })),
        _ => None,
    }
}

pub(super) fn check(
    table: &Table,
    matches: &ArgMatches,
    environment: Environment,
    output: Output,
) -> super::Command {
    let matches = matches.subcommand().map_or(matches, |(_, check)| check);
    let check = Check {
        name: name(matches),
        key: matches.get_one::<String>("key").cloned(),
        full: matches.get_flag("full"),
        inputs: inputs(table, matches, environment),
    };
    super::Command::CheckBackends(check, output)
}

fn name(matches: &ArgMatches) -> Option<String> {
    matches.get_one::<String>("name").cloned()
}
